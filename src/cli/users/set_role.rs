//! `coffeeshop users set-role`.

use anyhow::Result;

use super::change;
use crate::{
    accounts::Users,
    cli::args,
    core::Admin,
    domain::{Change, Role, UserChange},
};

/// Make a user an admin, or an admin a user.
#[derive(clap::Args)]
pub struct Args {
    /// The user's id or e-mail address.
    user: String,
    /// The new role.
    #[arg(value_parser = args::choice::<Role>())]
    role: Role,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(users: &Users, by: &Admin, args: Args) -> Result<()> {
    let change = UserChange { role: Change::Set(args.role), ..UserChange::default() };
    change::apply(users, by, &args.user, change, args.json).await
}
