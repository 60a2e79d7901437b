//! Why a database on a PostgreSQL server cannot be used, in words for the operator: no text has a user or a password.

use std::fmt;

/// Why a database on a PostgreSQL server cannot be used. A text ends a sentence that names the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerFault {
    /// The error of the last attempt at a connection.
    #[error("no server answers there: {0}")]
    Absent(String),
    #[error("the server refuses the user or the password")]
    Login,
    #[error("the server asks for a password, and none is set")]
    NoPassword,
    #[error("the server does not offer TLS")]
    NoTls,
    #[error("the server's certificate is from an authority that is not trusted here")]
    UnknownAuthority,
    #[error("the server's certificate is for another name than {0}")]
    OtherName(String),
    /// Another fault of the certificate, as a clause.
    #[error("the server's certificate cannot be accepted: {0}")]
    Certificate(String),
    /// A fault of the file, as a clause.
    #[error("database.ca: {0}")]
    Authorities(String),
    #[error("the server has no database of that name")]
    NoDatabase,
    /// This command does not create the tables.
    #[error("it is empty")]
    Empty,
    #[error("it has tables of another program")]
    Foreign,
    #[error("its user may not create tables in it")]
    NotOwner,
    /// What a pooler answers to the timeouts that are sent when a connection begins.
    #[error("the pooler in front of the server refuses the timeouts: {0}")]
    Options(String),
    /// A prepared statement of one connection is seen by another.
    #[error("the pooler in front of the server mixes up the prepared statements of its clients")]
    MixedStatements,
    /// What the server must be and is not; at least one.
    #[error("the server does not meet the requirements: {}", joined(.0))]
    Unfit(Vec<Unmet>),
    #[error("the clocks of the server and of this machine differ by {seconds} seconds")]
    Clock { seconds: u64 },
    #[error("another process has been migrating it for {minutes} minutes")]
    Migrating { minutes: u64 },
    /// Any other error.
    #[error("{0}")]
    Failed(String),
}

/// A setting of a PostgreSQL server that coffeeshop relies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    pub setting: &'static str,
    pub value: String,
    pub wanted: &'static str,
}

impl ServerFault {
    /// What the operator can do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Absent(_) => {
                "check the host in database.url, and that PostgreSQL runs there and accepts connections from here"
            }
            Self::Login => "check the user in database.url, database.password, and the server's pg_hba.conf",
            Self::NoPassword => "set COFFEESHOP_DATABASE__PASSWORD_FILE",
            Self::NoTls => {
                "set ssl = on and a certificate in postgresql.conf; for a server on this machine, set database.tls to off"
            }
            Self::UnknownAuthority => {
                "set database.ca to the PEM file with the certificate of the authority that signed it"
            }
            Self::OtherName(_) => "set the host in database.url to a name that the certificate is for",
            Self::Certificate(_) => "renew the server's certificate, and check the clock of this machine",
            Self::Authorities(_) => {
                "set database.ca to a PEM file that the user who runs coffeeshop can read"
            }
            Self::NoDatabase | Self::Foreign => {
                "CREATE DATABASE coffeeshop OWNER coffeeshop TEMPLATE template0 ENCODING 'UTF8', and set its name in database.url"
            }
            Self::Empty => "start the server once, or make the first admin with coffeeshop create-admin",
            Self::NotOwner => "make it the owner: ALTER DATABASE … OWNER TO …",
            Self::Options(_) => {
                "in pgbouncer.ini, set ignore_startup_parameters = options, and the timeouts by ALTER ROLE as in docs/operations.md"
            }
            Self::MixedStatements => {
                "set pool_mode = session in pgbouncer.ini; pool_mode = transaction needs PgBouncer 1.21 with max_prepared_statements = 200"
            }
            Self::Unfit(_) => {
                "change the settings of the server or of the database; docs/operations.md says why"
            }
            Self::Clock { .. } => "run NTP on both machines",
            Self::Migrating { .. } => {
                "look at the log of that process; start this one again once it has ended"
            }
            Self::Failed(_) => return None,
        })
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, value, wanted } = self;
        write!(f, "{setting} is {value}, and must be {wanted}")
    }
}

fn joined(unmet: &[Unmet]) -> String {
    unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::OpenError;
    use super::*;

    #[test]
    fn each_fault_is_one_line_with_a_hint() {
        let faults = [
            ServerFault::Absent("Connection refused (os error 111)".to_owned()),
            ServerFault::Login,
            ServerFault::NoPassword,
            ServerFault::NoTls,
            ServerFault::UnknownAuthority,
            ServerFault::OtherName("db.example".to_owned()),
            ServerFault::Certificate("it has expired".to_owned()),
            ServerFault::Authorities("ca.pem: No such file or directory (os error 2)".to_owned()),
            ServerFault::NoDatabase,
            ServerFault::Empty,
            ServerFault::Foreign,
            ServerFault::NotOwner,
            ServerFault::Options("unsupported startup parameter: options (08P01)".to_owned()),
            ServerFault::MixedStatements,
            ServerFault::Unfit(vec![
                Unmet { setting: "fsync", value: "off".to_owned(), wanted: "on" },
                Unmet { setting: "server_encoding", value: "SQL_ASCII".to_owned(), wanted: "UTF8" },
            ]),
            ServerFault::Clock { seconds: 120 },
            ServerFault::Migrating { minutes: 5 },
        ];
        let at = "db.example:5432/shop";
        let mut errors: Vec<_> =
            faults.into_iter().map(|fault| OpenError::Server { at: at.to_owned(), fault }).collect();
        let (to, from) = ("/data/coffeeshop.db".to_owned(), "/data/coffeeshop.db".to_owned());
        errors.extend([
            OpenError::Older(at.to_owned()),
            OpenError::Newer { at: at.to_owned(), found: 3, known: 2 },
            OpenError::Moved { at: at.to_owned(), to },
            OpenError::Incoming { at: at.to_owned(), from },
        ]);
        let lines = errors.iter().map(|error| format!("{error}\n  {}", error.hint().expect("a hint")));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
        cannot use the database at db.example:5432/shop: no server answers there: Connection refused (os error 111)
          check the host in database.url, and that PostgreSQL runs there and accepts connections from here
        cannot use the database at db.example:5432/shop: the server refuses the user or the password
          check the user in database.url, database.password, and the server's pg_hba.conf
        cannot use the database at db.example:5432/shop: the server asks for a password, and none is set
          set COFFEESHOP_DATABASE__PASSWORD_FILE
        cannot use the database at db.example:5432/shop: the server does not offer TLS
          set ssl = on and a certificate in postgresql.conf; for a server on this machine, set database.tls to off
        cannot use the database at db.example:5432/shop: the server's certificate is from an authority that is not trusted here
          set database.ca to the PEM file with the certificate of the authority that signed it
        cannot use the database at db.example:5432/shop: the server's certificate is for another name than db.example
          set the host in database.url to a name that the certificate is for
        cannot use the database at db.example:5432/shop: the server's certificate cannot be accepted: it has expired
          renew the server's certificate, and check the clock of this machine
        cannot use the database at db.example:5432/shop: database.ca: ca.pem: No such file or directory (os error 2)
          set database.ca to a PEM file that the user who runs coffeeshop can read
        cannot use the database at db.example:5432/shop: the server has no database of that name
          CREATE DATABASE coffeeshop OWNER coffeeshop TEMPLATE template0 ENCODING 'UTF8', and set its name in database.url
        cannot use the database at db.example:5432/shop: it is empty
          start the server once, or make the first admin with coffeeshop create-admin
        cannot use the database at db.example:5432/shop: it has tables of another program
          CREATE DATABASE coffeeshop OWNER coffeeshop TEMPLATE template0 ENCODING 'UTF8', and set its name in database.url
        cannot use the database at db.example:5432/shop: its user may not create tables in it
          make it the owner: ALTER DATABASE … OWNER TO …
        cannot use the database at db.example:5432/shop: the pooler in front of the server refuses the timeouts: unsupported startup parameter: options (08P01)
          in pgbouncer.ini, set ignore_startup_parameters = options, and the timeouts by ALTER ROLE as in docs/operations.md
        cannot use the database at db.example:5432/shop: the pooler in front of the server mixes up the prepared statements of its clients
          set pool_mode = session in pgbouncer.ini; pool_mode = transaction needs PgBouncer 1.21 with max_prepared_statements = 200
        cannot use the database at db.example:5432/shop: the server does not meet the requirements: fsync is off, and must be on; server_encoding is SQL_ASCII, and must be UTF8
          change the settings of the server or of the database; docs/operations.md says why
        cannot use the database at db.example:5432/shop: the clocks of the server and of this machine differ by 120 seconds
          run NTP on both machines
        cannot use the database at db.example:5432/shop: another process has been migrating it for 5 minutes
          look at the log of that process; start this one again once it has ended
        the database at db.example:5432/shop was made by an older coffeeshop
          apply pending migrations with coffeeshop migrate, or by starting the server
        the database at db.example:5432/shop has schema 3, made by a newer coffeeshop; this one knows schemas up to 2
          use the newer coffeeshop, or restore the backup made before the upgrade
        the database at db.example:5432/shop was moved to /data/coffeeshop.db
          set database.url, or database.path, to that one
        the move from /data/coffeeshop.db to the database at db.example:5432/shop was interrupted
          run the same coffeeshop move again
        ");
    }
}
