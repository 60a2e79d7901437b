//! Authentication and authorization: a handler asks for the rights that it needs by taking one of these as an argument.

use std::sync::Arc;

use poem::{Request, http::header};
use poem_openapi::{SecurityScheme, auth::Bearer};
use uuid::Uuid;

use super::operations::Operations;
use crate::{
    auth::Sessions,
    core::{Actor, Admin},
    domain::SessionId,
    http::{ApiError, ApiResult, Code, origin},
};

/// What the guards need. It is added to the data of every request, as an `Arc`.
pub struct Context {
    pub sessions: Sessions,
    pub operations: Operations,
}

/// Any user with a valid access token.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "authenticated")]
pub struct Authenticated(pub Actor);

/// An active admin.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "admin_only")]
pub struct AdminOnly(pub Admin);

/// The user whose id ends the path, or an active admin. Other users learn neither whether the user exists nor what is wrong
/// with the request.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "self_or_admin")]
pub struct SelfOrAdmin(pub Actor);

/// The session of an optional access token. A token that is invalid counts as none.
#[derive(SecurityScheme)]
pub enum OptionalSession {
    Token(NamedSession),
    #[oai(fallback)]
    None,
}

/// The session that an access token names, even if the token has expired.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "named_session")]
pub struct NamedSession(SessionId);

impl OptionalSession {
    pub fn id(self) -> Option<SessionId> {
        match self {
            Self::Token(session) => Some(session.0),
            Self::None => None,
        }
    }
}

async fn authenticated(request: &Request, bearer: Bearer) -> poem::Result<Actor> {
    let context = context(request)?;
    let actor = authenticate(context, request, &bearer).await?;
    context.operations.check_query(request)?;
    Ok(actor)
}

async fn admin_only(request: &Request, bearer: Bearer) -> poem::Result<Admin> {
    let context = context(request)?;
    let actor = authenticate(context, request, &bearer).await?;
    let admin = actor.admin().map_err(ApiError::from)?;
    context.operations.check_query(request)?;
    Ok(admin)
}

async fn self_or_admin(request: &Request, bearer: Bearer) -> poem::Result<Actor> {
    let context = context(request)?;
    let actor = authenticate(context, request, &bearer).await?;
    let id = request.uri().path().rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok());
    if id.as_ref() != Some(actor.user().id.as_uuid()) {
        actor.admin().map_err(ApiError::from)?;
    }
    context.operations.check_query(request)?;
    Ok(actor)
}

async fn named_session(request: &Request, bearer: Bearer) -> poem::Result<SessionId> {
    let token = single_token(request, &bearer)?;
    Ok(context(request)?.sessions.named_session(token).await.map_err(ApiError::from)?)
}

async fn authenticate(context: &Context, request: &Request, bearer: &Bearer) -> ApiResult<Actor> {
    Ok(context.sessions.authenticate(single_token(request, bearer)?, origin(request)).await?)
}

/// The token, unless the header is repeated: a proxy in front of this server might then take another one (RFC 9110, section
/// 5.3: a field that is no list occurs once).
fn single_token<'a>(request: &Request, bearer: &'a Bearer) -> ApiResult<&'a str> {
    match request.headers().get_all(header::AUTHORIZATION).iter().count() {
        1 => Ok(&bearer.token),
        _ => Err(ApiError::new(Code::InvalidToken, "The header Authorization is repeated. Send it once.")),
    }
}

fn context(request: &Request) -> ApiResult<&Context> {
    let context = request.data::<Arc<Context>>().map(Arc::as_ref);
    context.ok_or_else(|| ApiError::internal("the request has no context".to_owned()))
}
