//! The names of settings in the environment, and the setting that a misspelt name means.

use toml::Table;

pub(super) const PREFIX: &str = "COFFEESHOP_";
/// Settings that can be read from a file, named by `…_FILE`.
pub(super) const SECRETS: [(&str, &str); 5] = [
    ("auth", "secret"),
    ("database", "password"),
    ("database", "url"),
    ("smtp", "password"),
    ("smtp", "username"),
];

/// The variable of a setting in `table` from which `name` differs in case and separators only.
///
/// Kubernetes sets `COFFEESHOP_PORT` and others for a service called coffeeshop. They are like no setting, except for
/// `COFFEESHOP_SMTP_PORT` of a service called coffeeshop-smtp, whose value is a URL.
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

/// Every setting, and the `…_file` of each secret.
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
        // Whether there is a config.toml depends on the working directory of the tests.
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
