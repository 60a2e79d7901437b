//! TLS to PostgreSQL: a server whose certificate is of an unknown authority, for another name or expired is refused.

use std::{path::Path, process::Command};

use rustix::process::Signal;

use crate::{
    Visitor,
    cluster::{Cluster, Database},
    is_calm,
    shop::Shop,
    shop_at,
    start::refuses,
};

/// A certificate authority, and certificates that it signs.
struct Authority<'f>(&'f Path);

impl<'f> Authority<'f> {
    fn new(folder: &'f Path) -> Self {
        let authority = Self(folder);
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 \
             -subj /CN=Roastery",
            "",
        );
        authority
    }

    /// A certificate for a name, made at that time, with its key.
    fn sign(&self, name: &str, at: &str) -> [String; 2] {
        self.openssl(
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr \
                 -subj /CN={name} -addext subjectAltName=DNS:{name}"
            ),
            "",
        );
        let sign = format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 20 -out {name}.pem"
        );
        self.openssl(&sign, at);
        [format!("{name}.pem"), format!("{name}.key")]
            .map(|file| std::fs::read_to_string(self.0.join(file)).unwrap())
    }

    fn ca(&self) -> String {
        self.0.join("ca.pem").display().to_string()
    }

    fn openssl(&self, args: &str, at: &str) {
        let mut command = if at.is_empty() { Command::new("openssl") } else { Command::new("faketime") };
        if !at.is_empty() {
            command.args([at, "openssl"]);
        }
        let ran = command.args(args.split_whitespace()).current_dir(self.0).output().unwrap();
        assert!(ran.status.success(), "{args}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// A shop that verifies the server, by that host name.
fn shop(database: Database<'_>, host: &str, ca: &str) -> Shop {
    let hosts = format!("{host}:{}", database.cluster.port);
    shop_at(&database.url_at(&hosts)).with("DATABASE__TLS", "verify").with("DATABASE__CA", ca)
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_server_that_does_not_prove_who_it_is_is_refused() {
    let cluster = Cluster::start("");
    let database = cluster.database();
    let (folder, another) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (authority, stranger) = (Authority::new(folder.path()), Authority::new(another.path()));
    refuses(&shop(database, "localhost", &authority.ca()), "does not offer TLS", "ssl = on");

    let present = |[certificate, key]: [String; 2]| {
        let (certificate, key) = (cluster.put("server.pem", &certificate), cluster.put("server.key", &key));
        cluster.configure(&format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'",
            certificate.display(),
            key.display()
        ));
        cluster.stop(Signal::INT);
        cluster.resume();
    };
    present(authority.sign("localhost", ""));
    let server = shop(database, "localhost", &authority.ca()).serve();
    Visitor::arrive(&server, "ann@example.com");
    let in_clear = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                    WHERE application_name = 'coffeeshop' AND NOT s.ssl";
    let encrypted = in_clear.replace("NOT s.ssl", "s.ssl");
    assert_eq!(database.number(in_clear), 0);
    assert!(database.number(&encrypted) > 0);
    is_calm(&server.stop(Signal::TERM).is(0).err);

    refuses(&shop(database, "127.0.0.1", &authority.ca()), "for another name than 127.0.0.1", "database.url");
    // It has the same name.
    refuses(&shop(database, "localhost", &stranger.ca()), "not trusted here", "database.ca");
    refuses(&shop(database, "localhost", ""), "not trusted here", "database.ca");
    refuses(&shop(database, "localhost", "nowhere.pem"), "database.ca", "PEM");
    present(authority.sign("localhost", "2021-01-01 12:00:00"));
    refuses(&shop(database, "localhost", &authority.ca()), "certificate", "renew");
}
