//! PgBouncer in front of a server: in each of its modes coffeeshop works, or does not start and says why.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::{
    Visitor,
    cluster::{Cluster, Database, OWNER, free_port, user},
    is_calm, is_sound,
    outages::readiness_becomes,
    say, settled,
    shop::{Shop, wait_for},
    shop_at,
    start::refuses,
};

/// Debian's, unless `TESTED_PGBOUNCER` names another.
fn program() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "a setting of these tests")]
    let named = std::env::var_os("TESTED_PGBOUNCER");
    named.map_or_else(|| PathBuf::from("/usr/sbin/pgbouncer"), PathBuf::from)
}

/// What it says without the timeouts.
const WARNING: &str = "set them with ALTER ROLE";

/// One in front of a database, which ends with this value.
struct PgBouncer<'c> {
    process: Child,
    port: u16,
    database: Database<'c>,
    _folder: tempfile::TempDir,
}

impl<'c> PgBouncer<'c> {
    /// One with these lines in its configuration; none if it is not installed here.
    fn start(database: Database<'c>, settings: &str) -> Option<Self> {
        if !program().exists() {
            say("there is no PgBouncer here: not checked");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("pgbouncer").tempdir().unwrap();
        let port = free_port();
        let users = folder.path().join("users.txt");
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&users, format!("\"{OWNER}\" \"\"\n")).unwrap();
        fs::write(
            &file,
            format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = trust\nauth_file = {}\n{settings}\n",
                database.cluster.port,
                users.display()
            ),
        )
        .unwrap();
        let mut command = Command::new(program());
        // It refuses to run as root.
        if let Some((user, group)) = user() {
            for path in [folder.path(), &users, &file] {
                chown(path, Some(user), Some(group)).unwrap();
            }
            command.uid(user).gid(group);
        }
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.current_dir("/").spawn().unwrap();
        let pooler = Self { process, port, database, _folder: folder };
        wait_for("PgBouncer", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        Some(pooler)
    }

    fn shop(&self) -> Shop {
        shop_at(&self.database.url_at(&format!("127.0.0.1:{}", self.port)))
    }
}

impl Drop for PgBouncer<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has PgBouncer, too"]
fn session_mode_works_and_warns_of_missing_timeouts() {
    let cluster = Cluster::start("");
    let settings = "pool_mode = session\nignore_startup_parameters = options\ndefault_pool_size = 40";
    let Some(pooler) = PgBouncer::start(cluster.database(), settings) else { return };
    works(&pooler.shop(), pooler.database, |log| assert!(log.contains(WARNING), "{log}"));
    cluster.sql("postgres", &format!("ALTER ROLE {OWNER} SET statement_timeout = '5s'"));
    // Its connections to the server are older than the setting.
    pooler.database.terminate();
    works(&pooler.shop(), pooler.database, |log| assert!(!log.contains(WARNING), "{log}"));
}

/// Whether two processes serve side by side, and log what they should.
#[track_caller]
fn works(shop: &Shop, database: Database<'_>, logs: impl Fn(&str)) {
    let servers = [shop.serve(), shop.serve()];
    let other = database.number("SELECT count(*) FROM users");
    std::thread::scope(|scope| {
        for (which, server) in servers.iter().enumerate() {
            for number in 0..3 {
                scope.spawn(move || {
                    let mut user = Visitor::arrive(server, &format!("u{other}-{which}-{number}@example.com"));
                    for _ in 0..5 {
                        settled(|| user.rename(server, "Ann")).is(200);
                    }
                    let renewed = settled(|| user.renew(server)).is(200).json();
                    user.refresh = crate::text(&renewed, "refresh_token");
                    settled(|| user.log_out(server)).is(204);
                });
            }
        }
    });
    for server in servers {
        readiness_becomes(200, &server);
        let log = server.stop(Signal::TERM).is(0).err;
        is_calm(&log);
        logs(&log);
    }
    is_sound(database);
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has PgBouncer, too"]
fn transaction_mode_works_where_statements_are_kept_apart() {
    if !keeps_statements_apart() {
        return say("PgBouncer here is older than 1.21: transaction mode is not checked");
    }
    let cluster = Cluster::start("");
    let settings =
        "pool_mode = transaction\nignore_startup_parameters = options\nmax_prepared_statements = 200";
    // Fewer connections than two processes have.
    let settings = format!("{settings}\ndefault_pool_size = 6");
    let Some(pooler) = PgBouncer::start(cluster.database(), &settings) else { return };
    works(&pooler.shop(), pooler.database, |log| assert!(log.contains(WARNING), "{log}"));
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has PgBouncer, too"]
fn refused_timeouts_stop_the_start() {
    for mode in ["session", "transaction"] {
        let database = Cluster::shared().database();
        let Some(pooler) = PgBouncer::start(database, &format!("pool_mode = {mode}")) else { return };
        refuses(&pooler.shop(), "refuses the timeouts", "ignore_startup_parameters = options");
    }
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has PgBouncer, too"]
fn transaction_mode_that_mixes_up_statements_stops_the_start() {
    let database = Cluster::shared().database();
    let settings = "pool_mode = transaction\nignore_startup_parameters = options";
    // Below 1.21 there is no such setting.
    let off = if keeps_statements_apart() { "max_prepared_statements = 0" } else { "" };
    let Some(pooler) = PgBouncer::start(database, &format!("{settings}\n{off}")) else { return };
    let ran = pooler.shop().run(&["users", "list"]).refused("mixes up the prepared statements");
    ran.hint("max_prepared_statements");
    let ran = pooler.shop().start(&["serve"]).ended().refused("mixes up the prepared statements");
    ran.hint("pool_mode = session");
    assert_eq!(database.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
}

/// Whether it can keep track of prepared statements in transaction mode.
fn keeps_statements_apart() -> bool {
    let Ok(ran) = Command::new(program()).arg("--version").output() else { return false };
    let printed = String::from_utf8(ran.stdout).unwrap();
    let minor = printed.trim_start_matches("PgBouncer 1.").split('.').next().unwrap();
    minor.parse::<u32>().unwrap() >= 21
}
