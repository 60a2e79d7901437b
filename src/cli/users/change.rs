//! `coffeeshop users disable`, `enable` and `verify`, and what `set-role` has in common with them.

use anyhow::Result;

use crate::{
    accounts::{Accounts, Admin},
    cli::{args::UserArgs, user},
    domain::{Change, Status, UserChange},
};

pub async fn disable(accounts: &Accounts, by: &Admin, args: UserArgs) -> Result<()> {
    let change = UserChange { disabled: Change::Set(true), ..UserChange::default() };
    apply(accounts, by, &args.user, change, args.json).await
}

pub async fn enable(accounts: &Accounts, by: &Admin, args: UserArgs) -> Result<()> {
    let change = UserChange { disabled: Change::Set(false), ..UserChange::default() };
    apply(accounts, by, &args.user, change, args.json).await
}

pub async fn verify(accounts: &Accounts, by: &Admin, args: UserArgs) -> Result<()> {
    let change = UserChange { status: Change::Set(Status::Verified), ..UserChange::default() };
    apply(accounts, by, &args.user, change, args.json).await
}

/// Changes a user, and prints the result.
pub async fn apply(
    accounts: &Accounts,
    by: &Admin,
    id_or_email: &str,
    change: UserChange,
    as_json: bool,
) -> Result<()> {
    let user = user::find(accounts, by, id_or_email).await?;
    user::print(&accounts.change_user(by, user.id, change).await?, as_json)
}
