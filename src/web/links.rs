//! `/verify` and `/reset`: the pages behind the links in messages. Opening one changes nothing, a button does.

use std::sync::Arc;

use poem::{Endpoint, Request, Response, Route, endpoint::make, get};

use super::{
    form::Form,
    layout::{Page, PageForm},
};
use crate::{
    accounts::{LinkInfo, Passwords, Rejected, Verification},
    app::App,
    config::Config,
    core::{Error, Proof},
    domain::{Channel, Email, Origin, PlainToken, Purpose},
    http::{ApiResult, origin},
};

#[derive(Clone)]
struct Pages {
    verification: Verification,
    passwords: Passwords,
    shop_name: Arc<str>,
    min_length: usize,
}

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
    fn page<F>(
        self,
        handler: impl Fn(Self, Form, Origin) -> F + Clone + Send + Sync + 'static,
    ) -> impl Endpoint
    where
        F: Future<Output = ApiResult<Page>> + Send,
    {
        make(move |request: Request| {
            let (pages, handler) = (self.clone(), handler.clone());
            async move {
                let origin = Origin { channel: Channel::Page, ..origin(&request) };
                let (shop_name, min_length) = (Arc::clone(&pages.shop_name), pages.min_length);
                let page = handler(pages, Form::read(request).await?, origin).await?;
                Ok::<Response, poem::Error>(page.into_answer(&shop_name, min_length))
            }
        })
    }

    async fn open_verify(self, form: Form, _origin: Origin) -> ApiResult<Page> {
        let Some(token) = form.token else { return Ok(request_verification(String::new())) };
        let shop_name = &self.shop_name;
        Ok(match self.inspect(&token).await? {
            Some(LinkInfo { purpose: Purpose::VerifyEmail, email, can_be_rejected }) => confirm(
                "Confirm your address",
                [
                    format!("An account at {shop_name} has the address {}. Is it yours?", email.as_str()),
                    "You will be logged out on all devices and can then log in again.".to_owned(),
                ],
                PageForm::Confirm {
                    token,
                    button: "Yes, confirm my address",
                    reject_hint: can_be_rejected.then_some(
                        "If you did not sign up, let us know, and we will delete the account right away.",
                    ),
                },
            ),
            Some(LinkInfo { purpose: Purpose::ChangeEmail, email, .. }) => confirm(
                "Confirm your new address",
                [
                    format!(
                        "An account at {shop_name} will use the address {}. Is it yours?",
                        email.as_str()
                    ),
                    "You will be logged out on all devices and can then log in with the new address."
                        .to_owned(),
                ],
                PageForm::Confirm {
                    token,
                    button: "Yes, use this address",
                    reject_hint: Some(
                        "If you did not ask for this, let us know, and the account keeps its current address.",
                    ),
                },
            ),
            _ => dead_verification(),
        })
    }

    async fn post_verify(self, form: Form, origin: Origin) -> ApiResult<Page> {
        match (form.action.as_deref(), form.token, form.email) {
            (Some("confirm"), Some(token), _) => {
                match self.verification.verify_on_page(PlainToken::new(token), origin).await {
                    Ok((user, token)) => Ok(confirmed(&user.profile.email, &token)),
                    Err(Error::EmailTaken) => Ok(Page::note(
                        "This address already has an account",
                        ["Another account, perhaps also yours, uses this address. The account that was to get it keeps \
                          its current address."
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
                    Ok(check_inbox([
                        "If an account is waiting for this address to be confirmed, we have sent it a message.",
                        "If nothing arrives, check the spelling of the address. If it is already confirmed, just log \
                         in. If the account has expired, sign up again.",
                    ]))
                }
                Err(error) => Ok(Page {
                    error: Some(validation_message(&error.message)),
                    ..request_verification(typed)
                }),
            },
            _ => Ok(request_verification(String::new())),
        }
    }

    async fn open_reset(self, form: Form, _origin: Origin) -> ApiResult<Page> {
        let Some(token) = form.token else { return Ok(request_reset(String::new())) };
        Ok(self.new_password(token).await?.unwrap_or_else(dead_reset))
    }

    async fn post_reset(self, form: Form, origin: Origin) -> ApiResult<Page> {
        match (form.action.as_deref(), form.token, form.email) {
            (Some("choose"), Some(token), _) => {
                let Some(page) = self.new_password(token.clone()).await? else { return Ok(dead_reset()) };
                let typed = form.new_password.unwrap_or_default();
                if form.repeat_password.as_ref() != Some(&typed) {
                    let error = "The two passwords do not match. Please type them again.".to_owned();
                    return Ok(Page { error: Some(error), ..page });
                }
                match self.passwords.reset(Proof::Link(PlainToken::new(token)), typed, origin).await {
                    Ok(()) => Ok(password_set(&page.form)),
                    Err(Error::Invalid(invalid)) => {
                        Ok(Page { error: Some(validation_message(&invalid.to_string())), ..page })
                    }
                    Err(Error::VerificationFailed) => Ok(dead_reset()),
                    Err(error) => Err(error.into()),
                }
            }
            (Some("reject"), Some(token), _) => self.reject(token, origin, dead_reset()).await,
            (Some("ask"), _, Some(typed)) => match Email::parse("email", &typed) {
                Ok(email) => {
                    self.passwords.request_reset(email, origin).await?;
                    Ok(check_inbox([
                        "If there is an account with this address, we have sent it a message.",
                        "If nothing arrives, check the spelling of the address, or try another one that you may have \
                         signed up with.",
                    ]))
                }
                Err(error) => {
                    Ok(Page { error: Some(validation_message(&error.message)), ..request_reset(typed) })
                }
            },
            _ => Ok(request_reset(String::new())),
        }
    }

    /// The page to choose a password on, if the link is for that.
    async fn new_password(&self, token: String) -> ApiResult<Option<Page>> {
        let Some(link) = self.inspect(&token).await? else { return Ok(None) };
        let (shop_name, email) = (&self.shop_name, link.email.as_str());
        let (heading, text) = match link.purpose {
            Purpose::AcceptInvitation => (
                "Welcome! Choose a password",
                format!("{shop_name} has created an account for {email}. Choose a password to activate it."),
            ),
            Purpose::CancelEmailChange => (
                "Keep your address: choose a new password",
                format!(
                    "Your account at {shop_name} keeps the address {email}. You will be logged out on all devices."
                ),
            ),
            purpose if Purpose::FOR_PASSWORD.contains(&purpose) => (
                "Choose a new password",
                format!(
                    "This is for the account of {email} at {shop_name}. You will be logged out on all devices."
                ),
            ),
            _ => return Ok(None),
        };
        let invited = link.purpose == Purpose::AcceptInvitation && link.can_be_rejected;
        let form = PageForm::Password { token, email: email.to_owned(), invited };
        Ok(Some(Page { heading, paragraphs: vec![text], form, ..Page::default() }))
    }

    async fn reject(&self, token: String, origin: Origin, dead: Page) -> ApiResult<Page> {
        match self.verification.reject(PlainToken::new(token), origin).await {
            Ok(Rejected::Account) => Ok(Page::note(
                "The account was deleted",
                ["Thanks for letting us know. The account and all its data were deleted.".to_owned()],
            )),
            Ok(Rejected::EmailChange) => Ok(Page::note(
                "Nothing was changed",
                ["Thanks for letting us know. The account keeps its current address.".to_owned()],
            )),
            Err(Error::VerificationFailed) => Ok(dead),
            Err(error) => Err(error.into()),
        }
    }

    async fn inspect(&self, token: &str) -> ApiResult<Option<LinkInfo>> {
        Ok(self.verification.inspect_link(PlainToken::new(token.to_owned())).await?)
    }
}

fn confirm(heading: &'static str, paragraphs: [String; 2], form: PageForm) -> Page {
    Page { form, ..Page::note(heading, paragraphs) }
}

/// The account's password may be that of another person, who signed up with this address.
fn confirmed(email: &Email, token: &PlainToken) -> Page {
    let email = email.as_str().to_owned();
    let paragraphs = [
        format!("Thank you for confirming {email}."),
        "You are now logged out on all devices. Log in with this address and your password.".to_owned(),
        "If you did not choose the password of this account yourself, set a new one now, so that only you know it."
            .to_owned(),
    ];
    let form = PageForm::Password { token: token.as_str().to_owned(), email, invited: false };
    Page { form, ..Page::note("Your address is confirmed", paragraphs) }
}

fn password_set(form: &PageForm) -> Page {
    let next = match form {
        PageForm::Password { email, invited: true, .. } => {
            format!("Your account is ready. Log in with {email} and this password.")
        }
        _ => "You are now logged out on all devices. Log in with the new password.".to_owned(),
    };
    Page::note("Your password is set", [next])
}

fn request_verification(typed: String) -> Page {
    let text = "We will send a new code and a new link to the address that you signed up with.".to_owned();
    let form = PageForm::Email { page: "verify", button: "Send a new link", typed };
    Page { form, ..Page::note("Request a new link", [text]) }
}

fn request_reset(typed: String) -> Page {
    let text =
        "We will send a link to the address of your account. Open it to choose a new password.".to_owned();
    let form = PageForm::Email { page: "reset", button: "Send me a link", typed };
    Page { form, ..Page::note("Choose a new password", [text]) }
}

fn dead_verification() -> Page {
    let next = "If you have already confirmed your address, just log in. If not, request a new link here. To change the \
                address of your account, log in and start the change again.";
    dead(next, request_verification(String::new()))
}

fn dead_reset() -> Page {
    let next = "If you have already set a password with it, just log in. If not, request a new link here.";
    dead(next, request_reset(String::new()))
}

fn dead(next: &str, request: Page) -> Page {
    let why = "It was already used, was replaced by a newer message, or has expired.";
    let paragraphs = vec![why.to_owned(), next.to_owned()];
    Page { heading: "This link no longer works", paragraphs, ..request }
}

/// The same whether or not the address has an account.
fn check_inbox([what, if_not]: [&str; 2]) -> Page {
    let wait = "It can take a minute or two. Please look in your spam folder, too.";
    Page::note("Check your inbox", [what, wait, if_not].map(str::to_owned))
}

/// Why a field is not valid, in the words of a page, which has its own names and hints for its fields.
fn validation_message(message: &str) -> String {
    let message = message
        .replace("The field new_password", "The new password")
        .replace("The field email", "The address");
    message.trim_end_matches(" A few unrelated words make a good one.").to_owned()
}
