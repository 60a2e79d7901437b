//! `coffeeshop users invite`.

use anyhow::Result;

use crate::{
    accounts::{InvitationDraft, Invitations},
    cli::{args, output, user},
    core::Admin,
    domain::Role,
};

/// Invite a user: create the account, and send a link to choose a password.
#[derive(clap::Args)]
pub struct Args {
    /// The user's e-mail address.
    email: String,
    /// First name.
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Last name.
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// The user's role.
    #[arg(long, value_parser = args::choice::<Role>(), default_value = "user")]
    role: Role,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(invitations: &Invitations, by: &Admin, args: Args) -> Result<()> {
    let Args { email, first_name, last_name, role, json } = args;
    let invitee = InvitationDraft { email, first_name, last_name, role }.check()?;
    let user = invitations.invite(by, invitee).await?;
    user::print(&user, json)?;
    output::message(format_args!(
        "the server will send {} a link to choose a password",
        user.profile.email.as_str()
    ));
    Ok(())
}
