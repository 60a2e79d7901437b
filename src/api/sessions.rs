//! `/auth/login`, `/auth/refresh`, `/auth/logout` and `/auth/logout-all`.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::{ApiResult, Tag, answers::NoContent, body::Body, client::Caller, guards::SignedIn};
use crate::{
    accounts::{Accounts, TokenPair},
    model::{Email, Invalid, Password, Problems},
};

pub struct Sessions(pub Accounts);

/// Who logs in.
#[derive(Object)]
#[oai(example)]
struct Login {
    /// The address of the account, in any spelling.
    #[oai(validator(max_length = 254))]
    email: String,
    /// The password.
    #[oai(validator(max_length = 256))]
    password: String,
}

impl Example for Login {
    fn example() -> Self {
        Self { email: "ann@example.com".to_owned(), password: "mocha stirs slowly".to_owned() }
    }
}

/// A refresh token.
#[derive(Object)]
#[oai(example)]
struct Refresh {
    /// The refresh token of the latest login or refresh.
    #[oai(validator(max_length = 4096))]
    refresh_token: String,
}

impl Example for Refresh {
    fn example() -> Self {
        Self { refresh_token: "eyJ0eXAiOiJydCtqd3QiLCJhbGciOiJFZERTQSJ9.…".to_owned() }
    }
}

/// What a client keeps of a session.
#[derive(Object)]
#[oai(example)]
struct Tokens {
    /// Goes with every request, as `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// How many seconds the access token lives.
    expires_in: u64,
    /// Gives a new pair, once.
    refresh_token: String,
    /// How many seconds the refresh token lives.
    refresh_expires_in: u64,
}

impl Example for Tokens {
    fn example() -> Self {
        Self {
            access_token: "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.…".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 900,
            refresh_token: "eyJ0eXAiOiJydCtqd3QiLCJhbGciOiJFZERTQSJ9.…".to_owned(),
            refresh_expires_in: 2_592_000,
        }
    }
}

#[OpenApi(tag = "Tag::Sessions")]
impl Sessions {
    /// Log in
    ///
    /// Starts a session and gives its two tokens. An unknown address and a wrong password get the same answer, after the
    /// same time. Only after the right password does the answer tell that an account is disabled, or (where the shop
    /// wants that) not verified yet. Too many wrong passwords in a row make an account ask for patience.
    /// Somebody with 120 sessions loses the 21 that were not used for the longest time.
    #[oai(path = "/auth/login", method = "post", operation_id = "login")]
    async fn login(&self, from: Caller, body: Body<Login>) -> ApiResult<Json<Tokens>> {
        let (email, password) = body.check(Login::parse)?;
        let tokens = self.0.login(email, password, from.0).await?;
        Ok(Json(tokens.into()))
    }

    /// Renew the tokens
    ///
    /// Takes a refresh token and gives a new pair; the old refresh token is used up. If the reply was lost, the same
    /// token may be sent again within 10 seconds, or what the shop has set, as long as its successor was not used: the
    /// answer then holds the same successor. Any other second use ends the session, for it may be a thief's.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(&self, from: Caller, body: Body<Refresh>) -> ApiResult<Json<Tokens>> {
        let token = body.check(|refresh| Ok(refresh.refresh_token))?;
        let tokens = self.0.refresh(&token, from.0).await?;
        Ok(Json(tokens.into()))
    }

    /// Log out
    ///
    /// Ends the session of a refresh token: none of its tokens work from then on. A token that is dead already is fine.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, from: Caller, body: Body<Refresh>) -> ApiResult<NoContent> {
        let token = body.check(|refresh| Ok(refresh.refresh_token))?;
        self.0.logout(&token, from.0).await?;
        Ok(NoContent::Done)
    }

    /// Log out everywhere
    ///
    /// Ends every session of the user who asks, the one they ask with included.
    #[oai(path = "/auth/logout-all", method = "post", operation_id = "logout_all")]
    async fn logout_all(&self, who: SignedIn) -> ApiResult<NoContent> {
        self.0.logout_all(&who.0).await?;
        Ok(NoContent::Done)
    }
}

impl Login {
    fn parse(self) -> Result<(Email, Password), Invalid> {
        let mut problems = Problems::new();
        let email = problems.take(Email::parse("email", &self.email));
        let password = problems.take(Password::parse("password", &self.password));
        problems.finish(email.zip(password))
    }
}

impl From<TokenPair> for Tokens {
    fn from(pair: TokenPair) -> Self {
        let TokenPair { access_token, expires_in, refresh_token, refresh_expires_in } = pair;
        Self { access_token, token_type: "Bearer".to_owned(), expires_in, refresh_token, refresh_expires_in }
    }
}
