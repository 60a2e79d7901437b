//! `coffeeshop users list`.

use anyhow::Result;
use serde_json::json;

use crate::{
    accounts::Users,
    api,
    cli::{args, output},
    core::Admin,
    domain::{Name, Role, Status, User, UserCursor, UserFilter, UserQuery, UserSort},
};

/// List users, one page at a time.
#[derive(clap::Args)]
pub struct Args {
    /// Only users whose e-mail address or name contains each of these words; case and accents are ignored.
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Only users with this role.
    #[arg(long, value_parser = args::choice::<Role>())]
    role: Option<Role>,
    /// Only users with this status.
    #[arg(long, value_parser = args::choice::<Status>())]
    status: Option<Status>,
    /// Only disabled users (true), or only the others (false).
    #[arg(long)]
    disabled: Option<bool>,
    /// Sort order; prefix - for descending order.
    #[arg(long, value_parser = args::choice::<UserSort>(), default_value = "-created_at", allow_hyphen_values = true)]
    sort: UserSort,
    #[command(flatten)]
    page: args::PageArgs,
    /// Also print the number of users on all pages.
    #[arg(long)]
    total: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(users: &Users, by: &Admin, args: Args) -> Result<()> {
    let query = UserQuery {
        filter: UserFilter { text: args.q, role: args.role, status: args.status, disabled: args.disabled },
        sort: args.sort,
        cursor: args.page.cursor(|text| UserCursor::decode(text, args.sort))?,
        limit: args.page.limit()?,
        count: args.total,
    };
    let page = users.list(by, query).await?;
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
        output::message(format_args!("{total} users in total"));
    }
    if let Some(next) = next {
        output::message(format_args!("next page: --cursor {next}"));
    }
    Ok(())
}

fn row(user: &User) -> [String; 7] {
    let names = [&user.profile.first_name, &user.profile.last_name].into_iter().flatten();
    [
        user.id.to_string(),
        user.profile.email.as_str().to_owned(),
        names.map(Name::as_str).collect::<Vec<_>>().join(" "),
        user.role.into_str().to_owned(),
        user.status().into_str().to_owned(),
        if user.disabled { "yes".to_owned() } else { "no".to_owned() },
        user.created_at.to_string(),
    ]
}
