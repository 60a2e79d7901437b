//! Validates the section `database`; no message quotes a URL, which may have a password.

use std::path::Path;

use super::{
    ConfigError, Database, Host, PostgresUrl, Tls,
    check::{Wrong, refuse, shown},
};

impl Database {
    /// Checks settings that the program has put together, such as those of the target of a move.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check().map_err(|(name, why)| ConfigError::new(name, why))
    }

    pub(super) fn check(&self) -> Result<(), Wrong> {
        if !(4..=200).contains(&self.connections) {
            return refuse("database.connections", self.connections, "must be from 4 to 200");
        }
        match &self.url {
            Some(url) => self.check_postgres(url),
            None => self.check_sqlite(),
        }
    }

    /// `password`, `tls` and `ca` may be set: a store can be moved to PostgreSQL with them.
    fn check_sqlite(&self) -> Result<(), Wrong> {
        if self.folder.as_os_str().is_empty() || is_special(&self.folder) {
            return refuse_path(
                "database.folder",
                &self.folder,
                "must be the path of a folder, such as data",
            );
        }
        if is_special(&self.path) {
            let why = "must be the path of a file, such as data/coffeeshop.db";
            return refuse_path("database.path", &self.path, why);
        }
        if self.connections != Self::default().connections {
            let why = "has no effect without database.url: it is about PostgreSQL";
            return refuse("database.connections", self.connections, why);
        }
        Ok(())
    }

    fn check_postgres(&self, url: &PostgresUrl) -> Result<(), Wrong> {
        if self.password.reveal().is_some() && url.password().reveal().is_some() {
            return Err((
                "database.password",
                "is set, and database.url has a password: keep one".to_owned(),
            ));
        }
        match self.tls {
            Tls::Verify => check_verify(url),
            Tls::Off => self.check_off(url),
        }
    }

    fn check_off(&self, url: &PostgresUrl) -> Result<(), Wrong> {
        if let Some(host) = url.hosts().iter().find(|host| !host.is_local()) {
            let why = format!("is for a server on this machine only, not {host}: use verify");
            return refuse("database.tls", "off", &why);
        }
        if url.requires_tls() {
            return refuse("database.tls", "off", "contradicts the sslmode in database.url: leave out one");
        }
        if !self.ca.as_os_str().is_empty() {
            return refuse("database.ca", shown(&self.ca), "has no effect while database.tls is off");
        }
        Ok(())
    }
}

/// PostgreSQL has no TLS on Unix sockets.
fn check_verify(url: &PostgresUrl) -> Result<(), Wrong> {
    if url.hosts().iter().any(|host| matches!(host, Host::Unix { .. })) {
        return refuse("database.tls", "verify", "is not possible on a Unix socket: set it to off");
    }
    Ok(())
}

fn refuse_path(name: &'static str, path: &Path, why: &str) -> Result<(), Wrong> {
    if path.to_string_lossy().contains("://") {
        return Err((name, format!("{why}; a URL of PostgreSQL belongs in database.url")));
    }
    refuse(name, shown(path), why)
}

/// Whether SQLite, or another program, takes a name for something else than a file or folder.
fn is_special(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.starts_with(':') || text.starts_with("file:") || text.contains("://")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::super::{Config, Engine};

    /// 32 bytes.
    const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const CANARY: &str = "smoky-beans";

    fn load(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().chain(&[("AUTH__SECRET", SECRET)]);
        let variables = variables.map(|(name, value)| (format!("COFFEESHOP_{name}").into(), value.into()));
        Config::load(None, variables).map_err(|error| error.to_string())
    }

    /// A line for each error, of which none has a part of the password.
    fn lines(wrong: Vec<(&str, Result<Config, String>)>) -> String {
        let malformed =
            "COFFEESHOP_DATABASE__URL: must be a URL such as postgres://coffeeshop@db.example/coffeeshop";
        let lines = wrong.into_iter().map(|(what, result)| format!("{what}: {}", result.expect_err(what)));
        let lines = lines.collect::<Vec<_>>().join("\n").replace(malformed, "…");
        assert!(!["smoky", "beans"].iter().any(|part| lines.contains(part)), "{lines}");
        lines
    }

    fn url(url: &str) -> Result<Config, String> {
        load(&[("DATABASE__URL", url)])
    }

    #[test]
    fn a_wrong_setting_is_named_in_one_line_without_the_password() {
        let at = |rest: &str| format!("postgres://ann:{CANARY}@db.example{rest}");
        let unencoded = |password: &str| url(&format!("postgres://ann:{password}@db.example/shop"));
        let without = "postgres://ann@db.example/shop";
        let wrong = vec![
            ("another scheme", url(&format!("mysql://ann:{CANARY}@db.example/shop"))),
            ("no scheme", url(&format!("ann:{CANARY}@db.example/shop"))),
            ("no user", url(&format!("postgres://:{CANARY}@db.example/shop"))),
            ("no credentials", url("postgres://db.example/shop")),
            ("no host", url(&format!("postgres://ann:{CANARY}@/shop"))),
            ("no database", url(&at(""))),
            ("no database, but a slash", url(&at("/"))),
            ("two databases", url(&at("/shop/two"))),
            ("a bad port", url(&at(":smoky/shop"))),
            ("port 0", url(&at(":0/shop"))),
            ("a host with a space", url(&format!("postgres://ann:{CANARY}@db example/shop"))),
            ("an IPv6 address without brackets", url(&format!("postgres://ann:{CANARY}@::1/shop"))),
            ("a bad IPv6 address", url(&format!("postgres://ann:{CANARY}@[::x]/shop"))),
            ("a line break", url(&at("/shop%0A"))),
            ("a bad percent sign", unencoded(&format!("{CANARY}%zz"))),
            ("bytes that are no text", unencoded(&format!("{CANARY}%ff"))),
            ("a slash in the password", unencoded(&format!("smoky/{CANARY}"))),
            ("a question mark in the password", unencoded(&format!("smoky?{CANARY}=smoky&{CANARY}"))),
            ("an at sign in the password", unencoded(&format!("smoky@{CANARY}"))),
            ("a host twice", url(&at("/shop?host=db2.example"))),
            ("three ports for two hosts", url("postgres://ann@/shop?host=a,b&port=1,2,3")),
            ("an unknown parameter", url(&at(&format!("/shop?{CANARY}=1")))),
            ("a password as parameter", url(&format!("{without}?password={CANARY}"))),
            ("a user as parameter", url("postgres://db.example/shop?user=ann")),
            ("sslrootcert", url(&at("/shop?sslrootcert=/ca.pem"))),
            ("sslmode=prefer", url(&at("/shop?sslmode=prefer"))),
            ("sslmode=disable", url(&at("/shop?sslmode=disable"))),
            ("an unknown sslmode", url(&at(&format!("/shop?sslmode={CANARY}")))),
            ("channel_binding=require", url(&at("/shop?sslmode=require&channel_binding=require"))),
            ("a standby", url(&at("/shop?target_session_attrs=standby"))),
        ];
        let lines = lines(wrong);
        insta::assert_snapshot!(lines, @r#"
        another scheme: …: it must begin with postgres://
        no scheme: …: it must begin with postgres://
        no user: …: it names no user
        no credentials: …: it names no user
        no host: …: it names no host
        no database: …: after the host it must name one database
        no database, but a slash: …: after the host it must name one database
        two databases: …: after the host it must name one database
        a bad port: …: its port is no number from 1 to 65535
        port 0: …: its port is no number from 1 to 65535
        a host with a space: …: its host is no name or address
        an IPv6 address without brackets: …: an IPv6 address is written in brackets
        a bad IPv6 address: …: its host is no IPv6 address
        a line break: …: it has a control character
        a bad percent sign: …: % must be followed by two hexadecimal digits; itself it is %25
        bytes that are no text: …: what it encodes with % is no text
        a slash in the password: …: in its user and password, @ is written %40, / is %2F and ? is %3F; or set database.password instead
        a question mark in the password: …: in its user and password, @ is written %40, / is %2F and ? is %3F; or set database.password instead
        an at sign in the password: …: in its user and password, @ is written %40, / is %2F and ? is %3F; or set database.password instead
        a host twice: …: its parameters host and port are for a URL without a host
        three ports for two hosts: …: its parameter port must have one number, or one for each host
        an unknown parameter: COFFEESHOP_DATABASE__URL: has an unknown parameter: host, port, options, sslmode and target_session_attrs can be used
        a password as parameter: COFFEESHOP_DATABASE__URL: must not have the parameter password: set database.password
        a user as parameter: …: it names no user
        sslrootcert: COFFEESHOP_DATABASE__URL: must not have the parameter sslrootcert: set database.ca
        sslmode=prefer: COFFEESHOP_DATABASE__URL: must not have sslmode=allow or prefer: leave it out, and set database.tls to verify or off
        sslmode=disable: COFFEESHOP_DATABASE__URL: must not have sslmode=disable: leave it out, and set database.tls to off
        an unknown sslmode: COFFEESHOP_DATABASE__URL: must have no sslmode, or require, verify-ca or verify-full; see database.tls
        channel_binding=require: COFFEESHOP_DATABASE__URL: must not have channel_binding=require, which is not supported: leave it out; database.tls = "verify" checks the server
        a standby: COFFEESHOP_DATABASE__URL: must not have another target_session_attrs than read-write, which is always asked for
        "#);
    }

    #[test]
    fn a_setting_that_contradicts_the_url_is_named_in_one_line() {
        let at = |rest: &str| format!("postgres://ann:{CANARY}@db.example{rest}");
        let without = "postgres://ann@db.example/shop";
        let local = "postgres://ann@127.0.0.1/shop";
        let wrong = vec![
            ("two passwords", load(&[("DATABASE__URL", &at("/shop")), ("DATABASE__PASSWORD", CANARY)])),
            ("no TLS to another host", load(&[("DATABASE__URL", &at("/shop")), ("DATABASE__TLS", "off")])),
            (
                "no TLS to another host of two",
                load(&[
                    ("DATABASE__URL", "postgres://ann@localhost,db.example/shop"),
                    ("DATABASE__TLS", "off"),
                ]),
            ),
            ("TLS on a socket", url("postgres://ann@/shop?host=/run/postgresql")),
            (
                "sslmode and no TLS",
                load(&[("DATABASE__URL", &format!("{local}?sslmode=verify-full")), ("DATABASE__TLS", "off")]),
            ),
            (
                "authorities and no TLS",
                load(&[("DATABASE__URL", local), ("DATABASE__TLS", "off"), ("DATABASE__CA", "ca.pem")]),
            ),
            ("another TLS", load(&[("DATABASE__URL", without), ("DATABASE__TLS", "prefer")])),
            ("three connections", load(&[("DATABASE__URL", without), ("DATABASE__CONNECTIONS", "3")])),
            ("201 connections", load(&[("DATABASE__URL", without), ("DATABASE__CONNECTIONS", "201")])),
            ("connections of SQLite", load(&[("DATABASE__CONNECTIONS", "32")])),
            ("a URL as path", load(&[("DATABASE__PATH", &at("/shop"))])),
            ("a URL as folder", load(&[("DATABASE__FOLDER", &at("/shop"))])),
        ];
        let lines = lines(wrong);
        insta::assert_snapshot!(lines, @r#"
        two passwords: database.password: is set, and database.url has a password: keep one
        no TLS to another host: database.tls: off is for a server on this machine only, not db.example:5432: use verify
        no TLS to another host of two: database.tls: off is for a server on this machine only, not db.example:5432: use verify
        TLS on a socket: database.tls: verify is not possible on a Unix socket: set it to off
        sslmode and no TLS: database.tls: off contradicts the sslmode in database.url: leave out one
        authorities and no TLS: database.ca: ca.pem has no effect while database.tls is off
        another TLS: COFFEESHOP_DATABASE__TLS: prefer must be one of: verify, off
        three connections: database.connections: 3 must be from 4 to 200
        201 connections: database.connections: 201 must be from 4 to 200
        connections of SQLite: database.connections: 32 has no effect without database.url: it is about PostgreSQL
        a URL as path: database.path: must be the path of a file, such as data/coffeeshop.db; a URL of PostgreSQL belongs in database.url
        a URL as folder: database.folder: must be the path of a folder, such as data; a URL of PostgreSQL belongs in database.url
        "#);
    }

    #[test]
    fn the_usual_urls_are_taken() {
        for (text, shown) in [
            ("postgres://ann@db.example/shop", "db.example:5432/shop"),
            (" postgresql://ann@db.example:5433/shop\n", "db.example:5433/shop"),
            ("postgres://ann:smoky%40%2F%3F%25beans@192.0.2.7/shop", "192.0.2.7:5432/shop"),
            ("postgres://ann@[2001:db8::7]:5433/shop", "[2001:db8::7]:5433/shop"),
            ("postgres://ann@a.example:1,b.example/shop", "a.example:1,b.example:5432/shop"),
            ("postgres://ann@db/shop?sslmode=verify-ca&channel_binding=prefer", "db:5432/shop"),
            ("postgres://ann@db/shop?sslmode=require&target_session_attrs=primary", "db:5432/shop"),
            ("postgres://ann@/shop?host=a_1,::1&port=7", "a_1:7,[::1]:7/shop"),
            ("postgres://a%6en@db/sh%20op?options=-c%20search_path%3Dx", "db:5432/sh op"),
        ] {
            let config = url(text).expect(text);
            let Engine::Postgres(postgres) = config.database.engine() else { panic!("{text}: SQLite") };
            assert_eq!(postgres.url.user(), "ann", "{text}");
            for told in [postgres.url.to_string(), config.database.to_string(), format!("{:?}", postgres.url)]
            {
                assert_eq!(told, shown, "{text}");
            }
        }
    }

    #[test]
    fn a_socket_is_for_a_server_on_this_machine() {
        for text in [
            "postgres://ann@/shop?host=/run/postgresql&port=5433",
            "postgres://ann@%2Frun%2Fpostgresql:5433/shop",
        ] {
            let config = load(&[("DATABASE__URL", text), ("DATABASE__TLS", "off")]).expect(text);
            assert_eq!(config.database.to_string(), "/run/postgresql:5433/shop");
        }
        for host in ["localhost", "127.0.0.2", "[::1]"] {
            load(&[("DATABASE__URL", &format!("postgres://ann@{host}/shop")), ("DATABASE__TLS", "off")])
                .expect(host);
        }
    }

    #[test]
    fn neither_user_nor_password_is_ever_shown() {
        let password = format!("p%3A{CANARY}%21");
        let in_url = url(&format!("postgres://zoe:{password}@db.example/shop")).expect("good");
        let apart =
            [("DATABASE__URL", "postgres://zoe@db.example/shop"), ("DATABASE__PASSWORD", "p:smoky-beans!")];
        for config in [in_url, load(&apart).expect("good")] {
            let Engine::Postgres(postgres) = config.database.engine() else { panic!("SQLite") };
            assert_eq!(postgres.password.reveal(), Some("p:smoky-beans!"));
            let json = serde_json::to_string(&config).expect("JSON");
            for told in
                [config.to_toml(), json, format!("{config:?} {postgres:?}"), config.database.to_string()]
            {
                assert!(told.contains("db.example:5432/shop"), "{told}");
                assert!(!told.contains("zoe") && !told.contains(CANARY), "{told}");
            }
        }
    }

    #[test]
    fn a_file_with_a_password_that_others_can_read_is_reported() {
        for (setting, warnings) in [
            ("url = \"postgres://ann:smoky-beans@db/shop\"", 1),
            ("url = \"postgres://ann@db/shop\"", 0),
            ("password = \"smoky-beans\"", 1),
        ] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), format!("[database]\n{setting}")).expect("written");
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).expect("set");
            let secret = ("COFFEESHOP_AUTH__SECRET".into(), SECRET.into());
            let config = Config::load(Some(file.path()), [secret]).expect("good");
            assert_eq!(config.exposed.len(), warnings, "{setting}");
            assert!(!config.exposed.concat().contains("smoky"), "{setting}");
        }
    }

    #[test]
    fn a_url_takes_precedence_over_the_data_folder_and_an_empty_one_is_none() {
        let url = ("DATABASE__URL", "postgres://ann@db/shop");
        let config =
            load(&[url, ("DATABASE__FOLDER", "/data"), ("DATABASE__PATH", "/data/x.db")]).expect("good");
        assert!(matches!(config.database.engine(), Engine::Postgres(_)));
        let config = load(&[("DATABASE__URL", " "), ("DATABASE__PASSWORD", CANARY)]).expect("good");
        assert_eq!(config.database.engine(), Engine::Sqlite("data/coffeeshop.db".into()));
    }

    #[test]
    fn an_installation_secret_must_be_set_beside_a_url() {
        let url = "postgres://ann@db/shop";
        let error =
            Config::load(None, [("COFFEESHOP_DATABASE__URL".into(), url.into())]).expect_err("no secret");
        assert!(error.to_string().starts_with("auth.secret: must be set beside database.url"), "{error}");
        let hint = "set COFFEESHOP_AUTH__SECRET_FILE; after a move, to the old coffeeshop.secret";
        assert_eq!(error.hint(), Some(hint));
    }
}
