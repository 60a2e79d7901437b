//! `coffeeshop users disable`, `enable` and `verify`, and what `set-role` has in common with them.

use anyhow::Result;

use crate::{
    accounts::Users,
    cli::{args::UserArgs, user},
    core::Admin,
    domain::{Change, Status, UserChange},
};

pub async fn disable(users: &Users, by: &Admin, args: UserArgs) -> Result<()> {
    let change = UserChange { disabled: Change::Set(true), ..UserChange::default() };
    apply(users, by, &args.user, change, args.json).await
}

pub async fn enable(users: &Users, by: &Admin, args: UserArgs) -> Result<()> {
    let change = UserChange { disabled: Change::Set(false), ..UserChange::default() };
    apply(users, by, &args.user, change, args.json).await
}

pub async fn verify(users: &Users, by: &Admin, args: UserArgs) -> Result<()> {
    let change = UserChange { status: Change::Set(Status::Verified), ..UserChange::default() };
    apply(users, by, &args.user, change, args.json).await
}

/// Changes a user, and prints the result.
pub async fn apply(
    users: &Users,
    by: &Admin,
    id_or_email: &str,
    change: UserChange,
    as_json: bool,
) -> Result<()> {
    let user = user::find(users, by, id_or_email).await?;
    user::print(&users.update(by, user.id, change).await?, as_json)
}
