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
