//! Who may come in: the proofs that a handler asks for by taking them as arguments.

use poem::Request;
use poem_openapi::{SecurityScheme, auth::Bearer};
use uuid::Uuid;

use super::{
    client::{Context, origin},
    error::ApiError,
    query,
};
use crate::accounts::{Accounts, Actor, Admin};

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

async fn signed_in(request: &Request, bearer: Bearer) -> poem::Result<Actor> {
    let accounts = accounts(request)?;
    let actor = accounts.authenticate(&bearer.token, origin(request)).await.map_err(ApiError::from)?;
    query::check(request)?;
    Ok(actor)
}

async fn as_admin(request: &Request, bearer: Bearer) -> poem::Result<Admin> {
    let accounts = accounts(request)?;
    let actor = accounts.authenticate(&bearer.token, origin(request)).await.map_err(ApiError::from)?;
    let admin = accounts.admin(&actor).map_err(ApiError::from)?;
    query::check(request)?;
    Ok(admin)
}

async fn own_or_admin(request: &Request, bearer: Bearer) -> poem::Result<Actor> {
    let accounts = accounts(request)?;
    let actor = accounts.authenticate(&bearer.token, origin(request)).await.map_err(ApiError::from)?;
    let id = request.uri().path().rsplit('/').next().and_then(|id| Uuid::try_parse(id).ok());
    if id.as_ref() != Some(actor.user().id.as_uuid()) {
        accounts.admin(&actor).map_err(ApiError::from)?;
    }
    query::check(request)?;
    Ok(actor)
}

fn accounts(request: &Request) -> Result<&Accounts, ApiError> {
    let context = request.data::<Context>();
    let accounts = context.map(|context| context.accounts.as_ref());
    accounts.ok_or_else(|| ApiError::internal("the guards do not know the accounts".to_owned()))
}
