//! `/auth/login`, `/auth/refresh`, `/auth/logout` and `/auth/logout-all`.

use poem_openapi::{OpenApi, payload::Json};

use super::{
    ApiResult, Tag,
    answers::NoContent,
    body::Body,
    guards::{Along, SignedIn},
    inputs::{Login, Refresh},
    views::Tokens,
};
use crate::{accounts::Accounts, http::RequestOrigin};

pub struct Sessions(pub Accounts);

#[OpenApi(tag = "Tag::Sessions")]
impl Sessions {
    /// Log in
    ///
    /// Starts a session and gives its pair of tokens. Unverified users may log in, unless the shop has set otherwise.
    ///
    /// An unknown address and a wrong password get the same answer, `401 invalid_credentials`, after the same time. Only
    /// after the right password does the answer say that the account is disabled (`403 account_disabled`) or has to be
    /// verified first (`403 email_not_verified`). After too many failed attempts login is rate limited (`429`). A user has
    /// at most 120 sessions; beyond that the least recently used ones are ended.
    ///
    /// Failed attempts of other clients at the same network address count towards the same limit. A client that has a session
    /// of the account can send its access token as well, also an expired one: then they do not matter.
    #[oai(path = "/auth/login", method = "post", operation_id = "login")]
    async fn login(&self, from: RequestOrigin, along: Along, body: Body<Login>) -> ApiResult<Json<Tokens>> {
        let (email, password) = body.check(Login::parse)?;
        let tokens = self.0.login(email, password, along.session(), from.0).await?;
        Ok(Json(tokens.into()))
    }

    /// Renew the tokens
    ///
    /// Takes a refresh token and gives a new pair. The refresh token is used up: store the new one before you use the new
    /// access token, and never send two refreshes at once. If the answer was lost, the same token may be sent again within
    /// 10 seconds (or what the shop has set), as long as its successor was not used: the answer is then the same
    /// successor. Any other second use ends the session, because the token may have been stolen.
    ///
    /// `401 invalid_refresh_token` is final: the user has to log in again.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(&self, from: RequestOrigin, body: Body<Refresh>) -> ApiResult<Json<Tokens>> {
        let token = body.check(Refresh::parse)?;
        let tokens = self.0.refresh(&token, from.0).await?;
        Ok(Json(tokens.into()))
    }

    /// Log out
    ///
    /// Ends the session that the refresh token belongs to: its access tokens and refresh tokens are no longer accepted.
    /// Idempotent: an expired or revoked token also gives `204`.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, from: RequestOrigin, body: Body<Refresh>) -> ApiResult<NoContent> {
        let token = body.check(Refresh::parse)?;
        self.0.logout(&token, from.0).await?;
        Ok(NoContent::Done)
    }

    /// Log out everywhere
    ///
    /// Ends every session of the authenticated user, including the one that this request belongs to: none of their access
    /// tokens and refresh tokens is accepted any more.
    #[oai(path = "/auth/logout-all", method = "post", operation_id = "logout_all")]
    async fn logout_all(&self, who: SignedIn) -> ApiResult<NoContent> {
        self.0.logout_all(&who.0).await?;
        Ok(NoContent::Done)
    }
}
