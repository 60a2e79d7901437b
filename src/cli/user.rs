//! A user as commands find and print them.

use anyhow::{Result, anyhow, bail};
use uuid::Uuid;

use super::output;
use crate::{
    accounts::Users,
    api,
    core::{Admin, Error},
    domain::{Email, User, UserId},
};

/// Finds a user by id or e-mail address.
pub async fn find(users: &Users, by: &Admin, id_or_email: &str) -> Result<User> {
    let found = match Uuid::try_parse(id_or_email.trim()) {
        Ok(id) => users.get(by, UserId::from_uuid(id)).await,
        Err(_) => {
            let Ok(email) = Email::parse("user", id_or_email) else {
                bail!("{} is neither an id nor an e-mail address", output::quoted(id_or_email));
            };
            users.get_by_email(by, email).await
        }
    };
    found.map_err(|error| match error {
        Error::NotFound => anyhow!("there is no user {id_or_email}"),
        error => error.into(),
    })
}

/// Prints a user: a field on each line, or the JSON of the API.
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
