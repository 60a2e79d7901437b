//! Layers the settings: defaults, file, environment; a wrong one is named with where it stands.

use std::{
    ffi::OsString,
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;

/// The file that is read if none is named, in the working directory.
const FILE: &str = "config.toml";
/// What the name of every setting in the environment starts with.
const PREFIX: &str = "COFFEESHOP_";
/// The settings that may be read from a file of their own, named by `…_FILE`.
const SECRETS: [(&str, &str); 3] = [("auth", "secret"), ("smtp", "username"), ("smtp", "password")];

/// A setting that cannot be used: one line, which names where it stands.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {why}")]
pub struct ConfigError {
    at: String,
    why: String,
}

impl ConfigError {
    fn new(at: impl Into<String>, why: impl Display) -> Self {
        // The first line says it; the rest of TOML's errors draws pictures.
        Self { at: at.into(), why: why.to_string().lines().next().unwrap_or_default().to_owned() }
    }
}

impl Config {
    /// The settings of `file` (`config.toml` if it is there and none is named) under those of `environment`.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a bad value.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::defaults()?;
        settings.layer_file(file)?;
        // Without the two underscores it is somebody else's: COFFEESHOP_PORT is what Kubernetes tells about a service.
        let ours = |name: &OsString| {
            name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) && name.to_string_lossy().contains("__")
        };
        let mut variables: Vec<_> = environment.into_iter().filter(|(name, _)| ours(name)).collect();
        variables.sort();
        for (name, text) in variables {
            let name = name.to_string_lossy();
            let text = text.into_string().map_err(|_| ConfigError::new(&*name, "must be text in UTF-8"))?;
            settings.layer_variable(&name, text)?;
        }
        settings.config.check().map_err(|(name, why)| ConfigError::new(name, why))?;
        Ok(Self { file: settings.file, ..settings.config })
    }

    /// The settings as TOML, secrets hidden.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

/// The settings so far: as a table, to change one, and read, to know at once whether it can be read.
struct Settings {
    table: Table,
    config: Config,
    file: Option<PathBuf>,
}

impl Settings {
    fn defaults() -> Result<Self, ConfigError> {
        let config = Config::default();
        let table = Table::try_from(&config).map_err(|e| ConfigError::new("defaults", e))?;
        Ok(Self { table, config, file: None })
    }

    fn layer_file(&mut self, file: Option<&Path>) -> Result<(), ConfigError> {
        let path = file.unwrap_or(Path::new(FILE));
        let at = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.is_none() => return Ok(()),
            Err(error) => return Err(ConfigError::new(at, error)),
        };
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
                self.set(&format!("{at}: {section}.{key}"), &section, &key, value)?;
            }
        }
        Ok(())
    }

    fn layer_variable(&mut self, name: &str, text: String) -> Result<(), ConfigError> {
        let unknown = || ConfigError::new(name, "there is no such setting");
        let path = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
        let (section, key) = path.split_once("__").ok_or_else(unknown)?;
        if let Some(secret) = key.strip_suffix("_file").filter(|secret| SECRETS.contains(&(section, secret)))
        {
            let content =
                fs::read_to_string(&text).map_err(|e| ConfigError::new(name, format!("{text}: {e}")))?;
            if content.trim().is_empty() {
                return Err(ConfigError::new(name, format_args!("{text}: the file is empty")));
            }
            return self.set(name, section, secret, Value::String(content.trim().to_owned()));
        }
        let value = match self.default(section, key).ok_or_else(unknown)? {
            Value::Integer(_) => {
                Value::Integer(text.parse().map_err(|_| ConfigError::new(name, "must be a whole number"))?)
            }
            Value::Boolean(_) => {
                Value::Boolean(text.parse().map_err(|_| ConfigError::new(name, "must be true or false"))?)
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

    /// Sets one setting, which stands `at` some place.
    fn set(&mut self, at: &str, section: &str, key: &str, value: Value) -> Result<(), ConfigError> {
        match self.default(section, key) {
            None => return Err(ConfigError::new(at, "there is no such setting")),
            Some(default) if !default.same_type(&value) => {
                return Err(ConfigError::new(at, format_args!("must be of type {}", default.type_str())));
            }
            Some(_) => {}
        }
        if let Some(Value::Table(keys)) = self.table.get_mut(section) {
            keys.insert(key.to_owned(), value);
        }
        self.config =
            Config::deserialize(self.table.clone()).map_err(|e| ConfigError::new(at, e.message()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn what_kubernetes_tells_about_a_service_is_no_setting() {
        assert!(environment("COFFEESHOP_PORT", "tcp://10.0.0.1:8080").is_ok());
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
    fn a_secret_outlives_the_settings_set_after_it() {
        let variables = [("COFFEESHOP_AUTH__SECRET", "kept"), ("COFFEESHOP_LOG__LEVEL", "warn")];
        let config = Config::load(None, variables.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(config.expect("good").auth.secret.reveal(), Some("kept"));
    }

    #[test]
    fn what_is_unknown_or_bad_is_named_in_one_line() {
        let wrong = [
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
        ];
        let lines: Vec<_> = wrong.into_iter().map(|result| result.expect_err("wrong")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        FILE: server.port: there is no such setting
        FILE: sever.listen: there is no such setting
        FILE: there is no setting listen outside of a section
        FILE: server.listen: invalid socket address syntax
        FILE, line 1: unclosed table, expected `]`
        password.min_length: must be from 8 to 256
        password.memory_kib: with these iterations is weaker than OWASP's minimum for argon2id (19456 KiB with 2 iterations)
        FILE: password.min_length: must be of type integer
        server.public_url: must be a URL such as https://shop.example, without query or fragment
        FILE: auth.access_ttl: 15 is no length of time such as 30s, 15m, 12h or 2d
        FILE: messages.transport: unknown variant `pigeon`, expected one of `console`, `smtp`, `file`
        COFFEESHOP_SERVER__PORT: there is no such setting
        COFFEESHOP_PASSWORD__MIN_LENGTH: must be a whole number
        COFFEESHOP_CLEANUP__ENABLED: must be true or false
        COFFEESHOP_AUTH__SECRET_FILE: /nowhere/secret: No such file or directory (os error 2)
        "#);
    }
}
