//! `coffeeshop users …`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;
use uuid::Uuid;

use super::{open, output, prompt, user_sessions};
use crate::{
    accounts::{Accounts, Admin, InvitationDraft},
    api,
    config::Config,
    domain::{
        Change, Email, Limit, Role, Status, User, UserChange, UserCursor, UserFilter, UserId, UserQuery,
        UserSort, Word,
    },
};

/// List and change users, by the same rules as over HTTP.
#[derive(clap::Subcommand)]
pub enum Command {
    List(List),
    /// Show a user.
    Show(Who),
    SetRole(SetRole),
    /// Disable a user: end all sessions, and refuse to log in.
    Disable(Who),
    /// Enable a disabled user.
    Enable(Who),
    /// Mark a user's e-mail address as verified.
    Verify(Who),
    Delete(Delete),
    /// Print a one-time link for a user to choose a new password.
    ResetPassword(Who),
    Invite(Invite),
    /// List a user's sessions.
    Sessions(Who),
    /// End all sessions of a user.
    EndSessions(Who),
}

/// List users, a page at a time.
#[derive(clap::Args)]
pub struct List {
    /// Only users whose address or names contain each of these words, without regard to case and accents.
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Only users with this role.
    #[arg(long, value_parser = words::<Role>())]
    role: Option<Role>,
    /// Only users with this status.
    #[arg(long, value_parser = words::<Status>())]
    status: Option<Status>,
    /// Only disabled users, or with false only the others.
    #[arg(long)]
    disabled: Option<bool>,
    /// Sort order; a minus is for descending.
    #[arg(long, value_parser = words::<UserSort>(), default_value = "-created_at", allow_hyphen_values = true)]
    sort: UserSort,
    /// Page size, 1 to 200.
    #[arg(long, default_value_t = 50, value_parser = number)]
    limit: i64,
    /// Continue after the previous page: the cursor that it ended with.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Also count the users on all pages.
    #[arg(long)]
    total: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct Who {
    /// The user's id or address.
    pub user: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Invite a user: create the account, and send a link to choose a password.
#[derive(clap::Args)]
pub struct Invite {
    /// The user's e-mail address.
    email: String,
    /// First name.
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Last name.
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// The user's role.
    #[arg(long, value_parser = words::<Role>(), default_value = "user")]
    role: Role,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Change a user's role.
#[derive(clap::Args)]
pub struct SetRole {
    /// The user's id or address.
    user: String,
    /// The user's new role.
    #[arg(value_parser = words::<Role>())]
    role: Role,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Delete a user with all their data. This cannot be undone.
#[derive(clap::Args)]
pub struct Delete {
    /// The user's id or address.
    user: String,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Print the deleted user as JSON.
    #[arg(long)]
    json: bool,
}

/// Says that a link is made by other settings than the server's, as far as that can be seen.
fn warn_of_local_links(config: &Config) {
    if config.has_local_links() {
        output::warning(format_args!(
            "the link starts with {}, which opens on this machine alone: run this with the server's settings, or set \
             COFFEESHOP_SERVER__PUBLIC_URL",
            config.reset_url()
        ));
    }
}

pub async fn run(command: Command, config: &Config) -> Result<ExitCode> {
    let accounts = match command {
        Command::List(_) | Command::Show(_) | Command::Sessions(_) => open::to_read(config).await?,
        _ => open::to_write(config).await?,
    };
    let by = Admin::from_cli();
    match command {
        Command::List(args) => list(&accounts, &by, args).await?,
        Command::Show(who) => print(&find(&accounts, &by, &who.user).await?, who.json)?,
        Command::SetRole(SetRole { user, role, json }) => {
            let change = UserChange { role: Change::Set(role), ..UserChange::default() };
            self::change(&accounts, &by, &user, change, json).await?;
        }
        Command::Disable(who) => set_disabled(&accounts, &by, who, true).await?,
        Command::Enable(who) => set_disabled(&accounts, &by, who, false).await?,
        Command::Verify(who) => {
            let change = UserChange { status: Change::Set(Status::Verified), ..UserChange::default() };
            self::change(&accounts, &by, &who.user, change, who.json).await?;
        }
        Command::Delete(args) => delete(&accounts, &by, args).await?,
        Command::ResetPassword(who) => {
            reset_password(&accounts, &by, who).await?;
            warn_of_local_links(config);
        }
        Command::Invite(args) => {
            invite(&accounts, &by, args).await?;
            warn_of_local_links(config);
        }
        Command::Sessions(who) => user_sessions::list(&accounts, &by, who).await?,
        Command::EndSessions(who) => user_sessions::end(&accounts, &by, who).await?,
    }
    accounts.close().await;
    Ok(ExitCode::SUCCESS)
}

/// A user, in lines or as the JSON of the API.
pub fn print(user: &User, as_json: bool) -> Result<()> {
    let json = api::user_json(user);
    if as_json {
        return Ok(output::data(json)?);
    }
    for (field, value) in json.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        output::data(format_args!("{field:<14} {}", if value == "null" { "-" } else { &value }))?;
    }
    Ok(())
}

async fn list(accounts: &Accounts, by: &Admin, args: List) -> Result<()> {
    let cursor = args.cursor.map(|text| match UserCursor::decode(&text, args.sort) {
        Some(cursor) => Ok(cursor),
        None => bail!("--cursor must be the one that the previous page of the same list ended with"),
    });
    let query = UserQuery {
        filter: UserFilter { text: args.q, role: args.role, status: args.status, disabled: args.disabled },
        sort: args.sort,
        cursor: cursor.transpose()?,
        limit: page_size(args.limit)?,
        count: args.total,
    };
    let page = accounts.users(by, query).await?;
    let next = page.next.map(|cursor| cursor.encode(args.sort));
    if args.json {
        let items: Vec<_> = page.items.iter().map(api::user_json).collect();
        let mut json = json!({ "items": items, "next_cursor": next });
        if let Some(total) = page.total {
            json["total"] = total.into();
        }
        output::data(json)?;
        return Ok(());
    }
    output::table(
        ["ID", "E-MAIL", "NAME", "ROLE", "STATUS", "DISABLED", "CREATED"],
        page.items.iter().map(row),
    )?;
    if let Some(total) = page.total {
        output::words(format_args!("{total} users in all"));
    }
    if let Some(next) = next {
        output::words(format_args!("more with --cursor {next}"));
    }
    Ok(())
}

fn row(user: &User) -> [String; 7] {
    let names = [&user.profile.first_name, &user.profile.last_name].into_iter().flatten();
    [
        user.id.to_string(),
        user.profile.email.as_str().to_owned(),
        names.map(crate::domain::Name::as_str).collect::<Vec<_>>().join(" "),
        user.role.word().to_owned(),
        user.status().word().to_owned(),
        if user.disabled { "yes".to_owned() } else { "no".to_owned() },
        user.created_at.to_string(),
    ]
}

async fn invite(accounts: &Accounts, by: &Admin, args: Invite) -> Result<()> {
    let Invite { email, first_name, last_name, role, json } = args;
    let invitee = InvitationDraft { email, first_name, last_name, role }.check()?;
    let user = accounts.invite(by, invitee).await?;
    print(&user, json)?;
    output::words(format_args!(
        "the server sends {} a link to choose a password",
        user.profile.email.as_str()
    ));
    Ok(())
}

async fn set_disabled(accounts: &Accounts, by: &Admin, who: Who, disabled: bool) -> Result<()> {
    let change = UserChange { disabled: Change::Set(disabled), ..UserChange::default() };
    self::change(accounts, by, &who.user, change, who.json).await
}

async fn change(
    accounts: &Accounts,
    by: &Admin,
    user: &str,
    change: UserChange,
    as_json: bool,
) -> Result<()> {
    let user = find(accounts, by, user).await?;
    print(&accounts.change_user(by, user.id, change).await?, as_json)
}

async fn delete(accounts: &Accounts, by: &Admin, args: Delete) -> Result<()> {
    let user = find(accounts, by, &args.user).await?;
    let question =
        format!("Delete {} with all their data? This cannot be undone.", user.profile.email.as_str());
    if !args.yes && !prompt::confirm(&question)? {
        bail!("nothing was deleted");
    }
    accounts.delete_user(by, user.id).await?;
    if args.json {
        print(&user, true)?;
    }
    output::words(format_args!("deleted {}", user.profile.email.as_str()));
    Ok(())
}

/// Prints a one-time link on which the user chooses a new password. Give it to nobody else.
async fn reset_password(accounts: &Accounts, by: &Admin, who: Who) -> Result<()> {
    let user = find(accounts, by, &who.user).await?;
    let reset = accounts.reset_link(by, user.id).await?;
    if who.json {
        output::data(json!({ "link": reset.link, "expires_at": reset.expires_at.to_string() }))?;
    } else {
        output::data(&reset.link)?;
        output::words(format_args!(
            "works once, until {}; give it to {} alone",
            reset.expires_at,
            user.profile.email.as_str()
        ));
    }
    Ok(())
}

/// The user with this id or address.
pub async fn find(accounts: &Accounts, by: &Admin, id_or_email: &str) -> Result<User> {
    let found = match Uuid::try_parse(id_or_email.trim()) {
        Ok(id) => accounts.user(by, UserId::from_uuid(id)).await,
        Err(_) => {
            let Ok(email) = Email::parse("user", id_or_email) else {
                bail!("{} is neither an id nor an e-mail address", output::quoted(id_or_email));
            };
            accounts.user_by_email(by, email).await
        }
    };
    found.map_err(|error| match error {
        crate::accounts::Error::NotFound => anyhow::anyhow!("there is no user {id_or_email}"),
        error => error.into(),
    })
}

/// How many items a page has.
pub fn page_size(number: i64) -> Result<Limit> {
    Limit::new(number)
        .map_err(|_| anyhow::anyhow!("--limit is {number}; it must be from 1 to {}", Limit::MAX))
}

/// The same as it is typed; what is out of range is refused by the rule of lists.
pub fn number(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("must be a whole number from 1 to {}", Limit::MAX))
}

/// An id on the command line.
pub fn id(text: &str) -> Result<Uuid, &'static str> {
    Uuid::try_parse(text.trim()).map_err(|_| "must be an id such as 019aaf6e-5040-7b52-8f4e-2d1b93c6a7d0")
}

/// The words of a choice, on the command line as everywhere else.
pub fn words<W: Word + Send + Sync>() -> impl TypedValueParser<Value = W> {
    let words = W::ALL.iter().map(|choice| choice.word()).collect::<Vec<_>>();
    PossibleValuesParser::new(words).try_map(|word| W::named(&word).ok_or("no such choice"))
}
