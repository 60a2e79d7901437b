//! `/verify` and `/reset`: the pages behind the links in messages. Opening one changes nothing, a button does.

use std::sync::Arc;

use poem::{Endpoint, Request, Response, Route, endpoint::make, get};
use serde::{Deserialize, Deserializer};

use super::layout::{Form, Page};
use crate::{
    accounts::{LinkInfo, Passwords, Rejected, Verification},
    app::App,
    config::Config,
    core::{Error, Proof},
    domain::{Channel, Email, Origin, PlainToken, Purpose},
    http::{self, ApiError, ApiResult, Code, has_media_type, origin},
};

/// What is on the pages of this shop.
#[derive(Clone)]
struct Pages {
    verification: Verification,
    passwords: Passwords,
    shop_name: Arc<str>,
    min_length: usize,
}

/// What a link or a form says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    /// As it is, whatever came along with it when the link was copied.
    #[serde(default, deserialize_with = "pasted")]
    token: Option<String>,
    #[serde(rename = "do")]
    deed: Option<String>,
    email: Option<String>,
    new_password: Option<String>,
    repeat_password: Option<String>,
}

/// Adds the pages to a route.
pub fn add(route: Route, app: &App, config: &Config) -> Route {
    let pages = Pages {
        verification: app.verification.clone(),
        passwords: app.passwords.clone(),
        shop_name: config.messages.shop_name.as_str().into(),
        min_length: config.password.min_length,
    };
    route
        .at(
            "/verify",
            get(pages.clone().page(Pages::open_verify)).post(pages.clone().page(Pages::post_verify)),
        )
        .at("/reset", get(pages.clone().page(Pages::open_reset)).post(pages.page(Pages::post_reset)))
}

impl Pages {
    /// An endpoint that answers with a page.
    fn page<F>(
        self,
        handler: impl Fn(Self, Said, Origin) -> F + Clone + Send + Sync + 'static,
    ) -> impl Endpoint
    where
        F: Future<Output = ApiResult<Page>> + Send,
    {
        make(move |request: Request| {
            let (pages, handler) = (self.clone(), handler.clone());
            async move {
                let origin = Origin { channel: Channel::Page, ..origin(&request) };
                let shop_name = Arc::clone(&pages.shop_name);
                let min_length = pages.min_length;
                let page = handler(pages, said(request).await?, origin).await?;
                Ok::<Response, poem::Error>(page.into_answer(&shop_name, min_length))
            }
        })
    }

    async fn open_verify(self, said: Said, _origin: Origin) -> ApiResult<Page> {
        let Some(token) = said.token else { return Ok(ask_to_verify(String::new())) };
        match self.look(&token).await? {
            Some(link) if link.purpose == Purpose::VerifyEmail => Ok(Page {
                heading: "Confirm your address",
                paragraphs: vec![
                    format!(
                        "An account at {} has the address {}. Is it yours?",
                        self.shop_name,
                        link.email.as_str()
                    ),
                    "You are logged out everywhere then, and log in again.".to_owned(),
                ],
                form: Form::Confirm {
                    token,
                    button: "Yes, confirm my address",
                    otherwise: link.can_be_rejected.then_some(
                        "If somebody else gave your address, say so: the account is deleted at once.",
                    ),
                },
                ..Page::default()
            }),
            Some(link) if link.purpose == Purpose::ChangeEmail => Ok(Page {
                heading: "Confirm your new address",
                paragraphs: vec![
                    format!(
                        "An account at {} is to have the address {} from now on. Is it yours?",
                        self.shop_name,
                        link.email.as_str()
                    ),
                    "You are logged out everywhere then, and log in with the new address.".to_owned(),
                ],
                form: Form::Confirm {
                    token,
                    button: "Yes, this is my address now",
                    otherwise: Some(
                        "If somebody else gave your address, say so: the account keeps its old one.",
                    ),
                },
                ..Page::default()
            }),
            _ => Ok(dead_verification()),
        }
    }

    async fn post_verify(self, said: Said, origin: Origin) -> ApiResult<Page> {
        match (said.deed.as_deref(), said.token, said.email) {
            (Some("confirm"), Some(token), _) => {
                match self.verification.verify_on_page(PlainToken::new(token), origin).await {
                    Ok((user, token)) => Ok(confirmed(&user.profile.email, &token)),
                    Err(Error::EmailTaken) => Ok(Page::note(
                        "This address has an account already",
                        ["Somebody, perhaps you, has another account with this address. The account that was to get it \
                          keeps its old address."
                            .to_owned()],
                    )),
                    Err(Error::VerificationFailed) => Ok(dead_verification()),
                    Err(error) => Err(error.into()),
                }
            }
            (Some("reject"), Some(token), _) => self.reject(token, origin, dead_verification()).await,
            (Some("ask"), _, Some(typed)) => match Email::parse("email", &typed) {
                Ok(email) => {
                    self.verification.resend(email, origin).await?;
                    Ok(on_its_way([
                        "If an account waits for this address to be confirmed, a message is on its way.",
                        "If none comes, the address may be spelled wrong, or confirmed already: try to log in. Or the \
                         account is deleted by now: sign up again.",
                    ]))
                }
                Err(error) => Ok(Page { wrong: Some(said_wrong(&error.message)), ..ask_to_verify(typed) }),
            },
            _ => Ok(ask_to_verify(String::new())),
        }
    }

    async fn open_reset(self, said: Said, _origin: Origin) -> ApiResult<Page> {
        let Some(token) = said.token else { return Ok(ask_to_reset(String::new())) };
        Ok(self.choose(token).await?.unwrap_or_else(dead_reset))
    }

    async fn post_reset(self, said: Said, origin: Origin) -> ApiResult<Page> {
        match (said.deed.as_deref(), said.token, said.email) {
            (Some("choose"), Some(token), _) => {
                let Some(page) = self.choose(token.clone()).await? else { return Ok(dead_reset()) };
                let typed = said.new_password.unwrap_or_default();
                if said.repeat_password.as_ref() != Some(&typed) {
                    let wrong = "The two passwords are not the same. Type them again.".to_owned();
                    return Ok(Page { wrong: Some(wrong), ..page });
                }
                match self.passwords.reset(Proof::Link(PlainToken::new(token)), typed, origin).await {
                    Ok(()) => Ok(chosen(&page.form)),
                    Err(Error::Invalid(invalid)) => {
                        Ok(Page { wrong: Some(said_wrong(&invalid.to_string())), ..page })
                    }
                    Err(Error::VerificationFailed) => Ok(dead_reset()),
                    Err(error) => Err(error.into()),
                }
            }
            (Some("reject"), Some(token), _) => self.reject(token, origin, dead_reset()).await,
            (Some("ask"), _, Some(typed)) => match Email::parse("email", &typed) {
                Ok(email) => {
                    self.passwords.request_reset(email, origin).await?;
                    Ok(on_its_way([
                        "If this address has an account, a message is on its way.",
                        "If none comes, the address may be spelled wrong, or you have signed up with another.",
                    ]))
                }
                Err(error) => Ok(Page { wrong: Some(said_wrong(&error.message)), ..ask_to_reset(typed) }),
            },
            _ => Ok(ask_to_reset(String::new())),
        }
    }

    /// The page on which a password is chosen, if the link is good for that.
    async fn choose(&self, token: String) -> ApiResult<Option<Page>> {
        let link = self.look(&token).await?;
        let choose = |heading, opening: String, email: &Email, invited| Page {
            heading,
            paragraphs: vec![opening],
            form: Form::Password { token, email: email.as_str().to_owned(), invited },
            ..Page::default()
        };
        Ok(match link {
            Some(link) if link.purpose == Purpose::AcceptInvitation => Some(choose(
                "Welcome: choose a password",
                format!(
                    "{} has made an account for {}. With a password it is yours.",
                    self.shop_name,
                    link.email.as_str()
                ),
                &link.email,
                link.can_be_rejected,
            )),
            Some(link) if link.purpose == Purpose::CancelEmailChange => Some(choose(
                "Keep your address: choose a new password",
                format!(
                    "The account at {} keeps the address {}, and you are logged out everywhere then.",
                    self.shop_name,
                    link.email.as_str()
                ),
                &link.email,
                false,
            )),
            Some(link) if Purpose::FOR_PASSWORD.contains(&link.purpose) => Some(choose(
                "Choose a new password",
                format!(
                    "It is for the account of {} at {}. You are logged out everywhere then.",
                    link.email.as_str(),
                    self.shop_name
                ),
                &link.email,
                false,
            )),
            _ => None,
        })
    }

    async fn reject(&self, token: String, origin: Origin, dead: Page) -> ApiResult<Page> {
        match self.verification.reject(PlainToken::new(token), origin).await {
            Ok(Rejected::Account) => Ok(Page::note(
                "The account is deleted",
                ["Thank you for telling. The account and everything in it is deleted.".to_owned()],
            )),
            Ok(Rejected::EmailChange) => Ok(Page::note(
                "Nothing changes",
                ["Thank you for telling. The account keeps its old address.".to_owned()],
            )),
            Err(Error::VerificationFailed) => Ok(dead),
            Err(error) => Err(error.into()),
        }
    }

    async fn look(&self, token: &str) -> ApiResult<Option<LinkInfo>> {
        Ok(self.verification.inspect_link(PlainToken::new(token.to_owned())).await?)
    }
}

/// An address is its reader's own; the account's password is perhaps that of another person who signed up with it.
fn confirmed(email: &Email, token: &PlainToken) -> Page {
    let email = email.as_str().to_owned();
    let paragraphs = vec![
        format!("It is {email}. Thank you."),
        "You are logged out everywhere. Log in with this address and your password.".to_owned(),
        "If you did not choose the password of this account yourself, choose one now: then it is yours alone."
            .to_owned(),
    ];
    let form = Form::Password { token: token.as_str().to_owned(), email, invited: false };
    Page { heading: "Your address is confirmed", paragraphs, form, ..Page::default() }
}

/// A password was chosen on this form.
fn chosen(form: &Form) -> Page {
    let next = match form {
        Form::Password { email, invited: true, .. } => {
            format!("The account is yours. Log in with {email} and this password.")
        }
        _ => "You are logged out everywhere. Log in with the new password.".to_owned(),
    };
    Page::note("Your password is set", [next])
}

fn ask_to_verify(typed: String) -> Page {
    Page {
        heading: "Ask for a new link",
        paragraphs: vec![
            "We send a new code and a new link to the address that you signed up with.".to_owned(),
        ],
        form: Form::Ask { page: "verify", button: "Send them to me", typed },
        ..Page::default()
    }
}

fn ask_to_reset(typed: String) -> Page {
    Page {
        heading: "Choose a new password",
        paragraphs: vec![
            "We send a link to the address of your account. It opens a page on which you choose a new \
                          password."
                .to_owned(),
        ],
        form: Form::Ask { page: "reset", button: "Send me a link", typed },
        ..Page::default()
    }
}

fn dead_verification() -> Page {
    let next = "If you have confirmed your address with it, all is well: just log in. If not, have a new one sent. To \
                change the address of an account, log in and ask for it again.";
    dead(next, ask_to_verify(String::new()))
}

fn dead_reset() -> Page {
    let next =
        "If you have chosen a password with it, all is well: just log in. If not, have a new one sent.";
    dead(next, ask_to_reset(String::new()))
}

/// A link that is good for nothing, above the form that asks for another.
fn dead(next: &str, ask: Page) -> Page {
    let why = "It was used already, or a newer message has taken its place, or its time has run out.";
    Page {
        heading: "This link does not work any more",
        paragraphs: vec![why.to_owned(), next.to_owned()],
        ..ask
    }
}

/// The same for everybody who asks in one place.
fn on_its_way([what, if_not]: [&str; 2]) -> Page {
    let wait = "It may take a minute or two. Look into the folder for spam, too.";
    Page::note("Look into your mail", [what, wait, if_not].map(str::to_owned))
}

/// What is wrong with a field, in the words of a page, which has its own names for the fields and hints of its own.
fn said_wrong(message: &str) -> String {
    let message = message
        .replace("The field new_password", "The new password")
        .replace("The field email", "The address");
    message.trim_end_matches(" A few unrelated words make a good one.").to_owned()
}

fn pasted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Some(PlainToken::pasted(&text).as_str().to_owned()))
}

/// What a link says in its query, or a form in its body.
async fn said(mut request: Request) -> ApiResult<Said> {
    let malformed = || ApiError::new(Code::MalformedRequest, "The form cannot be read.");
    if request.method() != poem::http::Method::POST {
        let query = request.uri().query().unwrap_or_default();
        return serde_urlencoded::from_str(query).map_err(|_| malformed());
    }
    if !has_media_type(&request, "application/x-www-form-urlencoded") {
        let detail = "The body must be a form: Content-Type: application/x-www-form-urlencoded.";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    }
    let body = request.take_body();
    let bytes = http::read_body(body, &request).await?;
    serde_urlencoded::from_bytes(&bytes).map_err(|_| malformed())
}
