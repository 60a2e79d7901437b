//! Each link serves one purpose, and a request for one, which may be anonymous, takes nothing from another.

use std::collections::{BTreeMap, BTreeSet};

use coffeeshop::{
    core::Admin,
    domain::{PlainToken, UserId},
};
use serde_json::json;

use crate::app::{App, Caller, PASSWORD};

const ANN: &str = "ann@example.com";
pub const NEW: &str = "ann.smith@example.org";
const OTHER: &str = "ann.jones@example.org";

/// The kinds of accounts, each with the links that it can have at the same time.
const ACCOUNTS: [(&str, &[&str]); 3] = [
    ("verified", &["change", "cancel_change", "admin_reset", "forgot"]),
    ("unverified", &["verification", "change", "cancel_change", "admin_reset", "forgot"]),
    ("invited", &["invitation", "admin_reset", "forgot"]),
];

/// What can happen, and the links whose place a new one takes then. Every other link of the account survives.
const EVENTS: [(&str, &[&str]); 6] = [
    ("forgot", &["forgot"]),
    ("resend", &["verification", "invitation"]),
    ("sign_up_again", &[]),
    ("change_email", &["change", "cancel_change"]),
    ("admin_reset", &["admin_reset"]),
    ("confirm_on_page", &["verification", "change", "cancel_change"]),
];

/// An account of this kind; signed in, unless it has no password yet.
pub async fn account<'a>(app: &'a App, boss: &Caller<'_>, kind: &str) -> Option<Caller<'a>> {
    match kind {
        "verified" => Some(app.signed_in(ANN).await),
        "unverified" => Some(app.unverified(ANN).await),
        _ => {
            boss.post("/users", json!({ "email": ANN })).await.is(201);
            None
        }
    }
}

async fn forgot(app: &App) -> String {
    app.anyone().post("/auth/password/forgot", json!({ "email": ANN })).await.is(202);
    app.mail(ANN).await.token().to_owned()
}

async fn admin_reset(app: &App) -> String {
    let id = UserId::from_uuid(app.stored(&format!("SELECT id FROM users WHERE email = '{ANN}'")));
    let made = app.passwords.create_reset_link(&Admin::from_cli(), id).await.unwrap();
    made.link.split_once("?token=").unwrap().1.to_owned()
}

async fn change(caller: &Caller<'_>, to: &str) {
    let body = json!({ "new_email": to, "current_password": PASSWORD });
    caller.post("/me/email", body).await.is(202);
}

/// Every link that the account can have, in an order in which none takes the place of another.
pub async fn links(app: &App, kind: &str, ann: Option<&Caller<'_>>) -> BTreeMap<&'static str, String> {
    let mut links = BTreeMap::new();
    match kind {
        "unverified" => links.insert("verification", app.mail(ANN).await.token().to_owned()),
        "invited" => links.insert("invitation", app.mail(ANN).await.token().to_owned()),
        _ => None,
    };
    if let Some(ann) = ann {
        change(ann, NEW).await;
        links.insert("change", app.mail(NEW).await.token().to_owned());
        links.insert("cancel_change", app.mail(ANN).await.token().to_owned());
    }
    links.insert("admin_reset", admin_reset(app).await);
    links.insert("forgot", forgot(app).await);
    links
}

/// Which of the links are good for something.
pub async fn alive(app: &App, links: &BTreeMap<&'static str, String>) -> BTreeSet<&'static str> {
    let mut alive = BTreeSet::new();
    for (name, token) in links {
        if app.verification.inspect_link(PlainToken::new(token.clone())).await.unwrap().is_some() {
            alive.insert(*name);
        }
    }
    alive
}

#[tokio::test]
async fn a_new_link_replaces_only_links_of_its_kind() {
    let mut cells = 0;
    for (kind, possible) in ACCOUNTS {
        for (event, replaced) in EVENTS {
            let app = App::start().await;
            let boss = app.admin().await;
            let ann = account(&app, &boss, kind).await;
            let links = links(&app, kind, ann.as_ref()).await;
            let every: BTreeSet<_> = possible.iter().copied().collect();
            assert_eq!(alive(&app, &links).await, every, "{kind}");
            match (event, &ann) {
                ("forgot", _) => drop(forgot(&app).await),
                ("resend", _) => {
                    app.anyone().post("/auth/verify/resend", json!({ "email": ANN })).await.is(202);
                }
                ("sign_up_again", _) => {
                    let body = json!({ "email": ANN, "password": PASSWORD });
                    app.anyone().post("/auth/signup", body).await.refused(409, "email_taken");
                }
                ("admin_reset", _) => drop(admin_reset(&app).await),
                ("change_email", Some(ann)) => change(ann, OTHER).await,
                (_, Some(_)) if kind == "unverified" => {
                    let form = [("do", "confirm"), ("token", links["verification"].as_str())];
                    let page = app.anyone().form("/verify", &form).await.is(200).text();
                    let token =
                        page.split_once("name=\"token\" value=\"").unwrap().1.split('"').next().unwrap();
                    let form = [("do", "choose"), ("token", token), ("new_password", "x")];
                    let page = app.anyone().form("/reset", &form).await.is(200).text();
                    assert!(page.contains("The two passwords do not match"), "{page}");
                }
                _ => continue,
            }
            let left: BTreeSet<_> = every.iter().copied().filter(|name| !replaced.contains(name)).collect();
            assert_eq!(alive(&app, &links).await, left, "{event} of an account that is {kind}");
            cells += 1;
        }
    }
    assert_eq!(cells, 15);
}
