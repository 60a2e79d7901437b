//! Layers the settings: defaults, file, environment; an error names the file or variable.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{Table, Value};

use super::{
    Config, ConfigError, PostgresUrl,
    names::{self, PREFIX, SECRETS},
    secret_file,
    text::cleaned,
    values::quoted,
};
use crate::domain::typed::secret_line;

/// Read from the working directory if no other file is given.
const FILE: &str = "config.toml";

impl Config {
    /// The settings of `file` (or of `config.toml`, if that exists) overridden by those of `environment`.
    ///
    /// # Errors
    /// If a file cannot be read, a setting is unknown, or a value is invalid.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::defaults()?;
        settings.layer_file(file)?;
        let mut variables: Vec<_> = environment.into_iter().collect();
        variables.sort();
        for (name, text) in variables {
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX) && name.contains("__") {
                let text =
                    text.into_string().map_err(|_| ConfigError::new(&*name, "must be text in UTF-8"))?;
                settings.layer_variable(&name, text)?;
            } else if let Some(meant) = names::meant_by(&settings.table, &name, &text.to_string_lossy()) {
                return Err(ConfigError::unknown(&*name, Some(meant)));
            }
        }
        settings.config.check()?;
        Ok(Self { file: settings.file, exposed: settings.exposed, ..settings.config })
    }

    /// The settings as TOML, with secrets hidden.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

/// The settings read so far: as a table, in which one is replaced, and deserialized, so that an error belongs to that one.
struct Settings {
    table: Table,
    config: Config,
    file: Option<PathBuf>,
    exposed: Vec<String>,
}

impl Settings {
    fn defaults() -> Result<Self, ConfigError> {
        let config = Config::default();
        let table = Table::try_from(&config).map_err(|e| ConfigError::new("defaults", e))?;
        Ok(Self { table, config, file: None, exposed: Vec::new() })
    }

    fn layer_file(&mut self, file: Option<&Path>) -> Result<(), ConfigError> {
        let path = file.unwrap_or(Path::new(FILE));
        let at = path.display().to_string();
        let (content, exposed) = match secret_file::read(path) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.is_none() => return Ok(()),
            Err(error) => return Err(ConfigError::new(at, error)),
        };
        let text = String::from_utf8(content).map_err(|_| ConfigError::new(&*at, "must be text in UTF-8"))?;
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let table: Table = text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            ConfigError::new(format!("{at}, line {line}"), e.message())
        })?;
        self.file = Some(path.to_owned());
        for (section, keys) in table {
            let Value::Table(keys) = keys else {
                return Err(ConfigError::new(
                    at,
                    format!("there is no setting {section} outside of a section"),
                ));
            };
            for (key, value) in keys {
                if let Some(exposed) = exposed.as_ref().filter(|_| is_confidential(&section, &key, &value)) {
                    self.exposed.push(format!("{section}.{key} is set in {exposed}"));
                }
                self.set(&format!("{at}: {section}.{key}"), &section, &key, value)?;
            }
        }
        Ok(())
    }

    fn layer_variable(&mut self, name: &str, text: String) -> Result<(), ConfigError> {
        let unknown = || ConfigError::unknown(name, names::meant_by(&self.table, name, &text));
        let path = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
        let (section, key) = path.split_once("__").ok_or_else(unknown)?;
        if let Some(secret) = key.strip_suffix("_file").filter(|secret| SECRETS.contains(&(section, secret)))
        {
            let (content, exposed) = secret_file::read(Path::new(&text))
                .map_err(|e| ConfigError::new(name, format_args!("{text}: {e}")))?;
            match (section, secret, exposed) {
                // The installation secret decrypts everything else.
                ("auth", "secret", Some(exposed)) => return Err(ConfigError::new(name, exposed)),
                (_, "password" | "url", Some(exposed)) => {
                    self.exposed.push(format!("{name} is set to {exposed}"));
                }
                _ => {}
            }
            let wrong = |why| ConfigError::new(name, format_args!("{text}: the file {why}"));
            let line = secret_line(&content).map_err(wrong)?;
            if line.trim().is_empty() {
                return Err(wrong("is empty"));
            }
            return self.set(name, section, secret, Value::String(line.to_owned()));
        }
        let value = match self.default(section, key).ok_or_else(unknown)? {
            Value::Integer(_) => {
                Value::Integer(text.trim().parse().map_err(|_| mistyped(name, &text, "a whole number"))?)
            }
            Value::Boolean(_) => {
                Value::Boolean(text.trim().parse().map_err(|_| mistyped(name, &text, "true or false"))?)
            }
            Value::Array(_) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
            _ => Value::String(text),
        };
        self.set(name, section, key, value)
    }

    fn default(&self, section: &str, key: &str) -> Option<&Value> {
        self.table.get(section)?.get(key)
    }

    /// Sets one setting; `at` names its file or variable in errors.
    fn set(&mut self, at: &str, section: &str, key: &str, value: Value) -> Result<(), ConfigError> {
        match self.default(section, key) {
            None => return Err(ConfigError::unknown(at, None)),
            Some(default) if !default.same_type(&value) => {
                let wanted = match default {
                    Value::Integer(_) => "a whole number",
                    Value::Boolean(_) => "true or false",
                    Value::Array(_) => "a list such as [\"a\", \"b\"]",
                    _ => "a text in quotes",
                };
                let is_secret = SECRETS.contains(&(section, key));
                let value = if is_secret { "it".to_owned() } else { value.to_string() };
                return Err(mistyped(at, &value, wanted));
            }
            Some(_) => {}
        }
        let is_secret = SECRETS.contains(&(section, key));
        let value =
            if is_secret { value } else { cleaned(value).map_err(|why| ConfigError::new(at, why))? };
        if let Some(Value::Table(keys)) = self.table.get_mut(section) {
            keys.insert(key.to_owned(), value);
        }
        self.config =
            Config::deserialize(self.table.clone()).map_err(|e| ConfigError::new(at, plain(e.message())))?;
        Ok(())
    }
}

/// Whether other users of the machine must not read a value: a user name is no secret, and neither is a URL without password.
fn is_confidential(section: &str, key: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match (section, key) {
        ("smtp", "username") => false,
        ("database", "url") => text.parse().is_ok_and(|url: PostgresUrl| url.password().reveal().is_some()),
        secret => SECRETS.contains(&secret) && !text.is_empty(),
    }
}

fn mistyped(at: &str, value: &str, wanted: &str) -> ConfigError {
    ConfigError::new(at, format_args!("{} must be {wanted}", quoted(value)))
}

/// serde's message about a value, without Rust: it quotes a wrong choice and each right one in backticks, and names the type
/// of a number.
fn plain(message: &str) -> String {
    let value_after = |start| message.strip_prefix(start)?.split_once("`, expected ");
    if let Some((word, choices)) = value_after("unknown variant `") {
        let choices: Vec<_> = choices.split('`').skip(1).step_by(2).collect();
        return format!("{} must be one of: {}", quoted(word), choices.join(", "));
    }
    if let Some((number, _)) = value_after("invalid value: integer `") {
        return format!("{number} is too small or too large");
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    fn environment(name: &str, value: &str) -> Result<Config, String> {
        Config::load(None, [(name.into(), value.into())]).map_err(|e| e.to_string())
    }

    fn file(content: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), content).expect("written");
        let loaded = Config::load(Some(file.path()), []);
        loaded.map_err(|e| e.to_string().replace(&file.path().display().to_string(), "FILE"))
    }

    #[test]
    fn the_file_in_the_repository_holds_every_key_at_its_default() {
        let text = include_str!("../../config.toml");
        let written: Table = text.parse().expect("TOML");
        assert_eq!(written, Table::try_from(Config::default()).expect("a table"));
    }

    #[test]
    fn the_environment_is_above_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "[password]\nmin_length = 10\niterations = 3").expect("written");
        let variable = ("COFFEESHOP_PASSWORD__MIN_LENGTH".into(), "12".into());
        let config = Config::load(Some(file.path()), [variable]).expect("good");
        assert_eq!((config.password.min_length, config.password.iterations), (12, 3));
    }

    #[test]
    fn every_type_can_come_from_the_environment() {
        let config = environment("COFFEESHOP_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1").expect("good");
        assert_eq!(config.server.trusted_proxies.len(), 2);
        let config = environment("COFFEESHOP_AUTH__ACCESS_TTL", "5m").expect("good");
        assert_eq!(config.auth.access_ttl.get(), Duration::from_mins(5));
        let config = environment("COFFEESHOP_CLEANUP__ENABLED", "false").expect("good");
        assert!(!config.cleanup.enabled);
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_quoted() {
        let error = file("[smtp]\npassword = 1234567").expect_err("a number");
        assert_eq!(error, "FILE: smtp.password: it must be a text in quotes");
    }

    #[test]
    fn a_secret_can_come_from_a_file_and_is_never_shown() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "kept-to-itself\n").expect("written");
        let path = file.path().display().to_string();
        let config = environment("COFFEESHOP_AUTH__SECRET_FILE", &path).expect("good");
        assert_eq!(config.auth.secret.reveal(), Some("kept-to-itself"));
        assert!(!config.to_toml().contains("kept-to-itself"));
        assert!(!format!("{config:?}").contains("kept-to-itself"));
    }

    #[test]
    fn a_secret_from_a_file_is_its_one_line() {
        for (content, expected) in [
            ("smoky beans", Some("smoky beans")),
            (" smoky beans \r\n", Some(" smoky beans ")),
            ("\u{feff}smoky beans\n", Some("smoky beans")),
            ("smoky\nbeans\n", None),
            ("smoky beans\n\n", None),
        ] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), content).expect("written");
            let path = file.path().display().to_string();
            let variables = [
                ("COFFEESHOP_MESSAGES__TRANSPORT", "smtp"),
                ("COFFEESHOP_SMTP__HOST", "mail.example"),
                ("COFFEESHOP_SMTP__USERNAME", "shop"),
                ("COFFEESHOP_SMTP__PASSWORD_FILE", &path),
            ];
            let config = Config::load(None, variables.map(|(name, value)| (name.into(), value.into())));
            match config {
                Ok(config) => assert_eq!(config.smtp.password.reveal(), expected, "{content:?}"),
                Err(error) => {
                    assert_eq!((error.to_string().contains("more than one line"), expected), (true, None));
                }
            }
        }
    }

    #[test]
    fn spaces_around_a_setting_do_not_count() {
        let config = file("\u{feff}[server]\nlisten = \" 127.0.0.1:81\\n\"\ntrusted_proxies = [\" ::1 \"]")
            .expect("good");
        assert_eq!((config.server.listen.port(), config.server.trusted_proxies.len()), (81, 1));
        let config = environment("COFFEESHOP_PASSWORD__MIN_LENGTH", " 12\n").expect("good");
        assert_eq!(config.password.min_length, 12);
        let config =
            environment("COFFEESHOP_MESSAGES__SHOP_NAME", "\u{feff}کافه\u{200c}نادری ").expect("good");
        assert_eq!(config.messages.shop_name, "کافه\u{200c}نادری");
        let config = environment("COFFEESHOP_AUTH__SECRET", " smoky\u{200b} ").expect("good");
        assert_eq!(config.auth.secret.reveal(), Some(" smoky\u{200b} "), "a secret is as it is");
    }

    #[test]
    fn a_secret_outlives_the_settings_set_after_it() {
        let variables = [("COFFEESHOP_AUTH__SECRET", "kept"), ("COFFEESHOP_LOG__LEVEL", "warn")];
        let config = Config::load(None, variables.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(config.expect("good").auth.secret.reveal(), Some("kept"));
    }

    #[test]
    fn what_is_unknown_or_bad_is_named_in_one_line() {
        let wrong = vec![
            file("[server]\nport = 1"),
            file("[sever]\nlisten = \"127.0.0.1:1\""),
            file("listen = 1"),
            file("[server]\nlisten = \"nowhere\""),
            file("[server\n"),
            file("[password]\nmin_length = 7"),
            file("[password]\niterations = 1"),
            file("[password]\nmin_length = \"ten\""),
            file("[server]\npublic_url = \"shop.example\""),
            file("[auth]\naccess_ttl = \"15\""),
            file("[messages]\ntransport = \"pigeon\""),
            environment("COFFEESHOP_SERVER__PORT", "1"),
            environment("COFFEESHOP_PASSWORD__MIN_LENGTH", "ten"),
            environment("COFFEESHOP_CLEANUP__ENABLED", "perhaps"),
            environment("COFFEESHOP_AUTH__SECRET_FILE", "/nowhere/secret"),
            environment("COFFEESHOP_SERVER__LISTEN", "localhost:8080"),
            environment("COFFEESHOP_SERVER__LISTEN", ""),
            environment("COFFEESHOP_LOG__FORMAT", ""),
            environment("COFFEESHOP_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
            environment("COFFEESHOP_SERVER__CORS_ORIGINS", "https://a.example,https://*.example"),
            environment("COFFEESHOP_SERVER__CONNECTIONS", "0"),
            environment("COFFEESHOP_SERVER__CONNECTIONS", "-1"),
            environment("COFFEESHOP_SERVER__PUBLIC_URL", "https://shop.example/"),
            environment("COFFEESHOP_SERVER__PUBLIC_URL", "https://shop.example/#/"),
            environment("COFFEESHOP_SERVER__PUBLIC_URL", "http://0.0.0.0:8080"),
            environment("COFFEESHOP_SERVER__VERIFY_URL", "/verify"),
            environment("COFFEESHOP_AUTH__AUDIENCE", ""),
            environment("COFFEESHOP_AUTH__ACCESS_TTL", "2d"),
            environment("COFFEESHOP_DATABASE__FOLDER", ""),
            environment("COFFEESHOP_DATABASE__FOLDER", "postgres://shop@db/shop"),
            environment("COFFEESHOP_DATABASE__FILE", "shop.db"),
            environment("COFFEESHOP_DATABASE__PATH", ":memory:"),
            environment("COFFEESHOP_DATABASE__PATH", "sqlite://data/shop.db"),
            environment("COFFEESHOP_MESSAGES__SHOP_NAME", ""),
            environment("COFFEESHOP_RATE_LIMIT__LOGIN_BURST", "0"),
            environment("COFFEESHOP_RATE_LIMIT__LOGIN_BURST", "99999999999"),
        ];
        let lines: Vec<_> = wrong.into_iter().map(|result| result.expect_err("wrong")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        FILE: server.port: there is no such setting
        FILE: sever.listen: there is no such setting
        FILE: there is no setting listen outside of a section
        FILE: server.listen: nowhere is not an address and a port such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080
        FILE, line 1: unclosed table, expected `]`
        password.min_length: 7 must be from 8 to 256
        password.memory_kib: 19456 with password.iterations = 1 is weaker than OWASP's minimum for argon2id (19456 KiB with 2 iterations)
        FILE: password.min_length: "ten" must be a whole number
        server.public_url: shop.example must be a URL such as https://shop.example, without query or fragment
        FILE: auth.access_ttl: 15 must be a duration such as 30s, 15m, 12h or 2d
        FILE: messages.transport: pigeon must be one of: console, smtp, file
        COFFEESHOP_SERVER__PORT: there is no such setting
        COFFEESHOP_PASSWORD__MIN_LENGTH: ten must be a whole number
        COFFEESHOP_CLEANUP__ENABLED: perhaps must be true or false
        COFFEESHOP_AUTH__SECRET_FILE: /nowhere/secret: No such file or directory (os error 2)
        COFFEESHOP_SERVER__LISTEN: localhost:8080 is not an address and a port such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080
        COFFEESHOP_SERVER__LISTEN: "" is not an address and a port such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080
        COFFEESHOP_LOG__FORMAT: "" must be one of: text, json
        COFFEESHOP_SERVER__TRUSTED_PROXIES: proxy is no network such as 10.0.0.0/8
        COFFEESHOP_SERVER__CORS_ORIGINS: https://*.example is no origin such as https://shop.example or capacitor://localhost: *. stands before a domain such as shop.example
        server.connections: 0 must be at least 1
        COFFEESHOP_SERVER__CONNECTIONS: -1 is too small or too large
        server.public_url: https://shop.example/ must not end in a slash
        server.public_url: https://shop.example/#/ must be a URL such as https://shop.example, without query or fragment
        server.public_url: http://0.0.0.0:8080 is an address to listen on, not a public base URL
        server.verify_url: /verify must be a URL such as https://shop.example/#/verify
        auth.audience: "" must be a word such as coffeeshop
        auth.access_ttl: 2d must be from 1m to 1d
        database.folder: "" must be the path of a folder, such as data
        database.folder: must be the path of a folder, such as data; a URL of PostgreSQL belongs in database.url
        COFFEESHOP_DATABASE__FILE: there is no such setting
        database.path: :memory: must be the path of a file, such as data/coffeeshop.db
        database.path: must be the path of a file, such as data/coffeeshop.db; a URL of PostgreSQL belongs in database.url
        messages.shop_name: "" must be a line of text, of at most 100 characters
        rate_limit.login_burst: 0 must be from 1 to 1000000
        COFFEESHOP_RATE_LIMIT__LOGIN_BURST: 99999999999 is too small or too large
        "#);
    }
}
