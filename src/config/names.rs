//! The names of settings in the environment, and which one a name means that is nearly one.

use toml::Table;

/// What the name of every setting in the environment starts with.
pub(super) const PREFIX: &str = "COFFEESHOP_";
/// The settings that may be read from a file of their own, named by `…_FILE`.
pub(super) const SECRETS: [(&str, &str); 3] =
    [("auth", "secret"), ("smtp", "username"), ("smtp", "password")];

/// The setting of `table`, as a variable of the environment, that a variable differs from in case and separators alone.
///
/// `COFFEESHOP_PORT` and its like, which Kubernetes sets for a service called coffeeshop, are like no setting, but for the
/// port of one called coffeeshop-smtp: that has a URL for a value.
pub(super) fn meant_by(table: &Table, name: &str, value: &str) -> Option<String> {
    let letters = |text: &str| text.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let wanted = letters(name);
    if !wanted.starts_with("coffeeshop") || value.contains("://") && wanted.ends_with("port") {
        return None;
    }
    let keys = keys(table).map(|(section, key)| format!("{PREFIX}{section}__{key}").to_ascii_uppercase());
    let mut keys = keys.filter(|known| letters(known) == wanted);
    keys.next()
}

/// Every setting, and what can be the name of a file that holds it.
fn keys(table: &Table) -> impl Iterator<Item = (&str, String)> {
    let keys = table.iter().flat_map(|(section, keys)| {
        let keys = keys.as_table().into_iter().flat_map(Table::keys);
        keys.map(move |key| (section.as_str(), key.clone()))
    });
    keys.chain(SECRETS.iter().map(|(section, key)| (*section, format!("{key}_file"))))
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn environment(name: &str, value: &str) -> Result<Config, String> {
        let loaded = Config::load(None, [(name.into(), value.into())]);
        // Whether there is a file depends on where the tests run.
        loaded.map(|config| Config { file: None, ..config }).map_err(|e| e.to_string())
    }

    #[test]
    fn what_kubernetes_tells_about_a_service_is_no_setting() {
        for (name, value) in [
            ("COFFEESHOP_SERVICE_HOST", "10.0.0.1"),
            ("COFFEESHOP_SERVICE_PORT", "8080"),
            ("COFFEESHOP_SERVICE_PORT_HTTP", "8080"),
            ("COFFEESHOP_PORT", "tcp://10.0.0.1:8080"),
            ("COFFEESHOP_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("COFFEESHOP_PORT_8080_TCP_PROTO", "tcp"),
            ("COFFEESHOP_PORT_8080_TCP_PORT", "8080"),
            ("COFFEESHOP_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("COFFEESHOP_SMTP_PORT", "tcp://10.0.0.1:25"),
            ("COFFEESHOP_SMTP_SERVICE_HOST", "10.0.0.1"),
            ("COFFEESHOP_SMTP_PORT_25_TCP_ADDR", "10.0.0.1"),
        ] {
            assert_eq!(environment(name, value), Ok(Config::default()), "{name}");
        }
    }

    #[test]
    fn a_variable_that_is_nearly_a_setting_names_the_one_it_is_like() {
        for (name, meant) in [
            ("COFFEESHOP_SERVER_LISTEN", "COFFEESHOP_SERVER__LISTEN"),
            ("COFFEESHOP__SERVER__LISTEN", "COFFEESHOP_SERVER__LISTEN"),
            ("coffeeshop_server__listen", "COFFEESHOP_SERVER__LISTEN"),
            ("Coffeeshop_Server_Listen", "COFFEESHOP_SERVER__LISTEN"),
            ("COFFEESHOP_RATELIMIT__ENABLED", "COFFEESHOP_RATE_LIMIT__ENABLED"),
            ("COFFEESHOP_MESSAGES_SHOP_NAME", "COFFEESHOP_MESSAGES__SHOP_NAME"),
            ("COFFEESHOP_AUTH_SECRET_FILE", "COFFEESHOP_AUTH__SECRET_FILE"),
            ("COFFEESHOP_SMTP_PORT", "COFFEESHOP_SMTP__PORT"),
            ("COFFEESHOP_DATABASE_FOLDER", "COFFEESHOP_DATABASE__FOLDER"),
        ] {
            let error = environment(name, "127.0.0.1:8080").expect_err(name);
            assert_eq!(error, format!("{name}: there is no such setting; did you mean {meant}?"));
        }
        for unlike in
            ["COFFEESHOP", "COFFEESHOP_SERVER", "COFFEESHOP_VERSION", "COFFEE_SERVER_LISTEN", "LISTEN"]
        {
            assert_eq!(environment(unlike, "1"), Ok(Config::default()), "{unlike}");
        }
    }
}
