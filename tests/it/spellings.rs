//! Addresses in other characters: none is equal to, or blocks, the address of another mailbox.

use std::{fs, path::Path};

use coffeeshop::{
    config::Database,
    store::{OpenMode, Store},
};
use refinery::Target;
use rusqlite::Connection;
use serde_json::json;

use crate::sqlite_only::sqlite_only;
use crate::{
    app::{App, PASSWORD},
    shop::Shop,
};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Each with the address that folding makes of it.
const LOOKALIKES: [(&str, &str); 8] = [
    ("ｖictim@example.com", "victim@example.com"),
    ("vıctim2@example.com", "victim2@example.com"),
    ("ſam@example.com", "sam@example.com"),
    ("ﬁona@example.com", "fiona@example.com"),
    ("\u{212a}im@example.com", "kim@example.com"),
    ("ªnn@example.com", "ann@example.com"),
    ("µ@example.com", "μ@example.com"),
    ("\u{f900}@example.com", "\u{8c48}@example.com"),
];

/// A store as the migrations up to this one made it.
pub fn older_store(path: &Path, version: i32) -> Connection {
    let mut old = Connection::open(path).unwrap();
    embedded::migrations::runner().set_target(Target::Version(version)).run(&mut old).unwrap();
    old
}

fn invalid(field: &str) -> [(String, String); 1] {
    [(field.to_owned(), "invalid_email".to_owned())]
}

#[tokio::test]
async fn an_address_in_compatibility_letters_is_refused() {
    let app = App::start().await;
    let (boss, ann) = (app.admin().await, app.signed_in("ann.smith@example.com").await);
    let anyone = app.anyone();
    for (lookalike, address) in LOOKALIKES {
        let sign_up = json!({ "email": lookalike, "password": PASSWORD });
        assert_eq!(
            anyone.post("/auth/signup", sign_up).await.invalid_fields(),
            invalid("email"),
            "{address}"
        );
        let invitation = boss.post("/users", json!({ "email": lookalike })).await;
        assert_eq!(invitation.invalid_fields(), invalid("email"), "{address}");
        let change =
            ann.post("/me/email", json!({ "new_email": lookalike, "current_password": PASSWORD })).await;
        assert_eq!(change.invalid_fields(), invalid("new_email"), "{address}");
        let path = format!("/users/{}", ann.me().await["id"].as_str().unwrap());
        assert_eq!(boss.patch(&path, json!({ "email": lookalike })).await.invalid_fields(), invalid("email"));
        app.sign_up(address).await;
    }
}

#[tokio::test]
async fn such_an_address_reaches_no_other_account() {
    let app = App::start().await;
    for (lookalike, address) in LOOKALIKES {
        app.sign_up(address).await;
        app.new_mails().await;
        for (path, body) in [
            ("/auth/login", json!({ "email": lookalike, "password": PASSWORD })),
            ("/auth/password/forgot", json!({ "email": lookalike })),
            ("/auth/verify/resend", json!({ "email": lookalike })),
            ("/auth/verify", json!({ "email": lookalike, "code": "123456" })),
        ] {
            assert_eq!(app.anyone().post(path, body).await.invalid_fields(), invalid("email"), "{path}");
        }
        assert_eq!(app.new_mails().await, [], "{address}");
    }
}

#[tokio::test]
async fn letters_of_their_own_are_addresses_of_their_own() {
    let app = App::start().await;
    for (one, other) in [
        ("straße@example.com", "strasse@example.com"),
        ("νίκος@example.com", "νίκοσ@example.com"),
        ("น้ำ@example.com", "น้\u{e4d}\u{e32}@example.com"),
        ("սևակ@example.com", "սեւակ@example.com"),
    ] {
        app.sign_up(one).await;
        app.sign_up(other).await;
    }
}

/// What was compared with all its letters folded is compared by the present rule after an upgrade; an address that would not
/// be taken today stays with its account, and as it was compared.
#[tokio::test]
async fn addresses_of_an_older_store_are_compared_anew() {
    if sqlite_only() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coffeeshop.db");
    let old = older_store(&path, 11);
    let rows = [
        ("Ann@example.com", "ann@example.com", "ann@example.com"),
        ("νίκος@example.com", "νίκοσ@example.com", "νίκος@example.com"),
        ("Straße@example.com", "strasse@example.com", "straße@example.com"),
        ("ﬁona@example.com", "fiona@example.com", "fiona@example.com"),
    ];
    for (number, (typed, key, _)) in rows.iter().enumerate() {
        let id = [u8::try_from(number).unwrap(); 16];
        let user = "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, \
                    verified_at) VALUES (?1, ?2, ?3, ?3, 'user', 'verified', 0, 1, 1, 1)";
        old.execute(user, (id, typed, key)).unwrap();
        let code = "INSERT INTO codes (user_id, purpose, email, email_key, code_expires_at, tries_left, token_hash, \
                    token_expires_at) VALUES (?1, 'reset_password', ?2, ?3, 1, 5, ?1, 1)";
        old.execute(code, (id, typed, key)).unwrap();
    }
    drop(old);
    let (store, _) = Store::open(&Database::at(&path), OpenMode::CreateOrMigrate).await.unwrap();
    store.close().await;
    let new = Connection::open(&path).unwrap();
    for table in ["users", "codes"] {
        let mut found = new.prepare(&format!("SELECT email, email_key FROM {table} ORDER BY email")).unwrap();
        let found: Vec<(String, String)> =
            found.query_map([], |row| row.try_into()).unwrap().collect::<Result<_, _>>().unwrap();
        let mut expected = rows.map(|(typed, _, key)| (typed.to_owned(), key.to_owned()));
        expected.sort();
        assert_eq!(found, expected, "{table}");
    }
}

#[test]
fn an_upgrade_names_addresses_that_are_no_longer_accepted() {
    if sqlite_only() {
        return;
    }
    let shop = Shop::new();
    fs::create_dir(shop.path("data")).unwrap();
    let old = older_store(&shop.path("data/coffeeshop.db"), 11);
    for (id, email) in [([7; 16], "josé@example.com"), ([8; 16], "ﬁona@example.com")] {
        let user = "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, \
                    verified_at) VALUES (?1, ?2, ?2, ?2, 'user', 'verified', 0, 1, 1, 1)";
        old.execute(user, (id, email)).unwrap();
    }
    drop(old);
    let told = shop.run(&["migrate"]).is(0).err;
    assert!(told.contains("08080808-0808-0808-0808-080808080808"), "{told}");
    assert!(!told.contains("07070707") && !told.contains("example.com"), "{told}");
    let id = "08080808-0808-0808-0808-080808080808";
    shop.run(&["users", "show", id]).is(0);
    shop.run(&["users", "delete", id, "--yes"]).is(0);
}
