//! Ownership of files: what root creates for a server that runs as another user, and the errors for files it cannot open.
//!
//! Only root can do this, so these tests do nothing where another user runs them.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

use rustix::process::{Signal, getuid};

use crate::sqlite_only::sqlite_only;
use crate::{
    app::PASSWORD,
    shop::{Ran, Shop, set_mode},
};

/// The user of the container.
const SERVER: u32 = 10_001;

/// A folder in which any user can run the binary; nothing where root does not run the tests.
fn open_shop() -> Option<Shop> {
    if !getuid().is_root() {
        return None;
    }
    let shop = Shop::new();
    set_mode(&shop.path("."), 0o755);
    shop.copy_binary();
    Some(shop)
}

/// A line of shell that runs the binary of this folder as the server's user.
fn as_server(command: &str) -> String {
    format!("exec setpriv --reuid {SERVER} --regid {SERVER} --clear-groups ./coffeeshop {command}")
}

fn owners(shop: &Shop) -> Vec<(String, u32, u32)> {
    let of = |name: String| {
        let found = fs::metadata(shop.path("data").join(&name)).unwrap();
        (name, found.uid(), found.gid())
    };
    shop.names_in("data").into_iter().map(of).collect()
}

fn refused(ran: Ran, why: &str) {
    let ran = ran.refused(why).hint("chown");
    assert!(ran.err.contains(&format!("and coffeeshop runs as uid {SERVER}")), "{ran:?}");
}

#[test]
fn what_root_makes_before_the_first_start_is_the_servers() {
    if sqlite_only() {
        return;
    }
    let Some(shop) = open_shop() else { return };
    chown(shop.path("."), Some(SERVER), Some(SERVER)).unwrap();
    let made = shop.create_admin("boss@example.com").is(0);
    assert!(!made.err.contains("warning"), "{made:?}");
    let server = shop.start_in_shell(&as_server("serve")).wait_until_it_listens();
    server.sign_up("ann@example.com").is(201);
    // Beside the running server, too.
    shop.run(&["users", "disable", "ann@example.com"]).is(0);
    shop.run(&["keys", "rotate"]).is(0);
    let files = owners(&shop);
    assert!(files.len() >= 4, "{files:?}");
    for (name, uid, gid) in files {
        assert_eq!((uid, gid), (SERVER, SERVER), "{name}");
    }
    server.token("boss@example.com");
    server.stop(Signal::TERM).is(0);
}

#[test]
fn mails_that_root_writes_are_the_servers() {
    let Some(shop) = open_shop() else { return };
    let shop = shop.with("MESSAGES__TRANSPORT", "file").with("MESSAGES__FROM", "shop@beans.example");
    chown(shop.path("."), Some(SERVER), Some(SERVER)).unwrap();
    shop.run(&["messages", "test", "--to", "ann@example.com"]).is(0);
    let test = as_server("messages test --to ann@example.com");
    shop.run_in_shell(&test).is(0);
    assert_eq!(shop.names_in("data/mail").len(), 2);
    chown(shop.path("data/mail"), Some(0), Some(0)).unwrap();
    let ran = shop.run_in_shell(&test).is(1);
    assert!(ran.err.contains("data/mail belongs to uid 0 (mode 0700)"), "{ran:?}");
    let log = shop.start_in_shell(&as_server("serve")).wait_until_it_listens().stop(Signal::TERM).is(0).err;
    assert_eq!(log.matches("messages.folder: data/mail belongs to uid 0").count(), 1, "{log}");
}

#[test]
fn a_file_of_another_user_is_named_with_its_owner() {
    if sqlite_only() {
        return;
    }
    let Some(shop) = open_shop() else { return };
    let made = shop.create_admin("boss@example.com").is(0);
    assert!(made.err.contains("warning: ") && made.err.contains("/data belongs to root"), "{made:?}");
    let serve = as_server("serve");
    refused(shop.run_in_shell(&serve), "/data belongs to uid 0 (mode 0700)");
    refused(shop.run_in_shell(&as_server("users list")), "/data belongs to uid 0 (mode 0700)");
    refused(shop.run_in_shell(&as_server("migrate --check")), "/data belongs to uid 0 (mode 0700)");
    chown(shop.path("data"), Some(SERVER), None).unwrap();
    refused(shop.run_in_shell(&serve), "/data/coffeeshop.db belongs to uid 0 (mode 0600)");
    chown(shop.database(), Some(SERVER), None).unwrap();
    refused(shop.run_in_shell(&serve), "/data/coffeeshop.secret belongs to uid 0 (mode 0600)");
    chown(shop.secret(), Some(SERVER), None).unwrap();
    set_mode(&shop.database(), 0o400);
    refused(shop.run_in_shell(&serve), &format!("/data/coffeeshop.db belongs to uid {SERVER} (mode 0400)"));
    set_mode(&shop.database(), 0o600);
    shop.start_in_shell(&serve).wait_until_it_listens().stop(Signal::TERM).is(0);
}

#[test]
fn a_folder_without_room_for_a_store_is_named_with_its_owner() {
    if sqlite_only() {
        return;
    }
    let Some(shop) = open_shop() else { return };
    refused(shop.run_in_shell(&as_server("serve")), " belongs to uid 0 (mode 0755)");
    let admin =
        format!("echo {PASSWORD} | {}", as_server("create-admin --email a@example.com --password-stdin"));
    refused(shop.run_in_shell(&admin.replace("exec ", "")), " belongs to uid 0 (mode 0755)");
    shop.run_in_shell(&as_server("users list")).refused("there is no database at ");
}
