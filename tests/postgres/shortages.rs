//! Servers without a free connection or without room on the disk: nothing refused is done, and writes are taken again as soon as
//! there is some.

use std::os::unix::fs::{PermissionsExt, chown};

use rustix::process::geteuid;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use crate::{
    Visitor,
    cluster::{Cluster, Database, OWNER, user},
    disk::Disk,
    is_calm, is_put_off, is_sound,
    outages::{is_refused, readiness_becomes},
    say, settled,
    shop::wait_for,
    shop_at,
};

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_database_without_a_free_connection_is_used_once_one_is_free() {
    let cluster = Cluster::start("max_connections = 14");
    let database = cluster.database();
    let server = shop_at(&database.url()).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    let others = occupy(database);
    is_refused(&user.rename(&server, "Ann"));
    is_refused(&server.sign_up("late@example.com"));
    readiness_becomes(503, &server);
    drop(others);
    readiness_becomes(200, &server);
    settled(|| user.rename(&server, "Ann")).is(200);
    settled(|| server.sign_up("late@example.com")).is(201);
    is_calm(&server.logged());
}

/// Takes every connection that the server has, until this is dropped.
fn occupy(database: Database<'_>) -> (Vec<Client>, Runtime) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let connect = |url: &str| {
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls)).ok()?;
        runtime.spawn(connection);
        Some(client)
    };
    // One that is kept: it neither takes nor leaves a place meanwhile.
    let admin = connect(&database.url_at(&format!("postgres@127.0.0.1:{}", database.cluster.port))).unwrap();
    let terminate =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'coffeeshop'";
    let mut clients = Vec::new();
    wait_for("all connections", || {
        let terminated = runtime.block_on(admin.query(terminate, &[])).unwrap().len();
        while let Some(client) = connect(&database.url()) {
            clients.push(client);
        }
        (terminated == 0).then_some(())
    });
    assert!(clients.len() > 8, "{} connections", clients.len());
    clients.push(admin);
    (clients, runtime)
}

#[test]
#[ignore = "needs PostgreSQL: .ci/run has one"]
fn a_full_disk_refuses_writes_with_507_and_takes_them_once_there_is_room() {
    if !geteuid().is_root() {
        return say("skipped: not root");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let Some(disk) = Disk::in_memory(&folder.path().join("disk"), 64) else { return };
    let space = folder.path().join("disk/space");
    std::fs::create_dir(&space).unwrap();
    let (owner, group) = user().unwrap();
    chown(&space, Some(owner), Some(group)).unwrap();
    // What is on another disk than the tables: the log, without which PostgreSQL stops.
    let cluster = Cluster::start("");
    cluster.sql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", space.display()));
    cluster.sql("postgres", &format!("GRANT CREATE ON TABLESPACE small TO {OWNER}"));
    let database = cluster.database_with("TABLESPACE small");
    let server = shop_at(&database.url()).serve();
    let user = Visitor::arrive(&server, "ann@example.com");
    let filler = disk.fill();
    let (mut done, mut full) = (0, 0);
    for number in 0..400 {
        let reply = settled(|| server.sign_up(&format!("u{number}@example.com")));
        if reply.status == 201 {
            done += 1;
        } else {
            is_put_off(&reply, 507, "storage_full");
            full += 1;
        }
        if full == 5 {
            break;
        }
    }
    assert_eq!(full, 5, "the disk was not full: {done} sign-ups");
    let users = "SELECT count(*) FROM users";
    assert_eq!(database.number(users), 1 + done);
    settled(|| server.get_as(&user.access, "/me")).is(200);
    std::fs::remove_file(filler).unwrap();
    settled(|| server.sign_up("late@example.com")).is(201);
    settled(|| user.rename(&server, "Ann")).is(200);
    assert_eq!(database.number(users), 2 + done);
    is_calm(&server.logged());
    is_sound(database);
    drop(server);
    drop(cluster);
    drop(disk);
    say(format_args!("{done} sign-ups until the disk was full"));
}
