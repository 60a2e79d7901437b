//! Who may come in: the proofs that a handler asks for by taking them as arguments.

use poem::Request;
use poem_openapi::{SecurityScheme, auth::Bearer};

use super::error::ApiError;
use crate::accounts::{Accounts, Actor, Admin};

/// The access token that a login or a refresh gave, as `Authorization: Bearer …`.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "signed_in")]
pub struct SignedIn(pub Actor);

/// The access token of a verified admin who is not disabled.
#[derive(SecurityScheme)]
#[oai(rename = "access_token", ty = "bearer", bearer_format = "JWT", checker = "as_admin")]
pub struct AsAdmin(pub Admin);

async fn signed_in(request: &Request, bearer: Bearer) -> poem::Result<Actor> {
    Ok(accounts(request)?.authenticate(&bearer.token).await.map_err(ApiError::from)?)
}

async fn as_admin(request: &Request, bearer: Bearer) -> poem::Result<Admin> {
    let accounts = accounts(request)?;
    let actor = accounts.authenticate(&bearer.token).await.map_err(ApiError::from)?;
    Ok(accounts.admin(&actor).map_err(ApiError::from)?)
}

fn accounts(request: &Request) -> Result<&Accounts, ApiError> {
    request
        .data::<Accounts>()
        .ok_or_else(|| ApiError::internal("the guards do not know the accounts".to_owned()))
}
