//! Who may come in: the proofs that a handler asks for by taking them as arguments.

use std::sync::Arc;

use poem::{Request, http::header};
use poem_openapi::{SecurityScheme, auth::Bearer};
use uuid::Uuid;

use super::query;
use crate::{
    accounts::{Accounts, Actor, Admin},
    domain::SessionId,
    http::{ApiError, Code, origin},
};

/// What the guards need, set on every request.
#[derive(Clone)]
pub struct Context {
    /// Whom the guards ask.
    pub accounts: Arc<Accounts>,
}

/// The access token of a login or a refresh, as `Authorization: Bearer …`.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "signed_in")]
pub struct SignedIn(pub Actor);

/// The access token of a verified admin who is not disabled.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "as_admin")]
pub struct AsAdmin(pub Admin);

/// The access token of the user whose id ends the path, or of an admin: nobody else hears whether such a user exists, or
/// what is wrong with the request.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "own_or_admin")]
pub struct OwnOrAdmin(pub Actor);

/// An access token where none is needed: the operation spares the session that it names. One that is good for nothing is
/// as good as none.
#[derive(SecurityScheme)]
pub enum Along {
    /// It came along.
    Token(Session),
    /// It did not.
    #[oai(fallback)]
    Nothing,
}

/// The session that an access token names.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "session")]
pub struct Session(SessionId);

impl Along {
    /// The session that it names.
    pub fn session(self) -> Option<SessionId> {
        match self {
            Self::Token(session) => Some(session.0),
            Self::Nothing => None,
        }
    }
}

async fn signed_in(request: &Request, bearer: Bearer) -> poem::Result<Actor> {
    let actor = actor(request, &bearer).await?;
    query::check(request)?;
    Ok(actor)
}

async fn as_admin(request: &Request, bearer: Bearer) -> poem::Result<Admin> {
    let actor = actor(request, &bearer).await?;
    let admin = accounts(request)?.admin(&actor).map_err(ApiError::from)?;
    query::check(request)?;
    Ok(admin)
}

async fn own_or_admin(request: &Request, bearer: Bearer) -> poem::Result<Actor> {
    let actor = actor(request, &bearer).await?;
    let id = request.uri().path().rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok());
    if id.as_ref() != Some(actor.user().id.as_uuid()) {
        accounts(request)?.admin(&actor).map_err(ApiError::from)?;
    }
    query::check(request)?;
    Ok(actor)
}

async fn session(request: &Request, bearer: Bearer) -> poem::Result<SessionId> {
    let token = only(request, &bearer)?;
    Ok(accounts(request)?.named_session(token).await.map_err(ApiError::from)?)
}

/// The user behind the access token.
async fn actor(request: &Request, bearer: &Bearer) -> Result<Actor, ApiError> {
    Ok(accounts(request)?.authenticate(only(request, bearer)?, origin(request)).await?)
}

/// The token, if it is the only one: with two headers a proxy in front and this server might each take another
/// (RFC 9110, section 5.3: a field that is no list comes once).
fn only<'a>(request: &Request, bearer: &'a Bearer) -> Result<&'a str, ApiError> {
    match request.headers().get_all(header::AUTHORIZATION).iter().count() {
        1 => Ok(&bearer.token),
        _ => Err(ApiError::new(Code::InvalidToken, "The header Authorization is repeated. Send it once.")),
    }
}

fn accounts(request: &Request) -> Result<&Accounts, ApiError> {
    let context = request.data::<Context>();
    let accounts = context.map(|context| context.accounts.as_ref());
    accounts.ok_or_else(|| ApiError::internal("the guards do not know the accounts".to_owned()))
}
