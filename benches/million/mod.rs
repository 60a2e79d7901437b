//! Lists and the clean-up among a million users, beside the same among a thousand.

use std::{path::Path, time::Instant};

use coffeeshop::{
    accounts::{Admin, Which},
    model::{Limit, Origin, Role, Status, UserFilter, UserQuery, UserSort},
};
use rusqlite::Connection;
use uuid::Uuid;

use super::{Shop, median};

pub async fn run() {
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let few = Shop::open(small.path()).await;
    let many = Shop::open(large.path()).await;
    seed(&small.path().join("coffeeshop.db"), 1_000);
    let start = Instant::now();
    seed(&large.path().join("coffeeshop.db"), 1_000_000);
    println!("seeded a million users in {:.0?}", start.elapsed());
    println!("{:<44}{:>12}{:>12}", "ms for one page of 50 among", "1,000,000", "1,000");
    for (name, query) in queries() {
        println!("{name:<44}{:>12.2}{:>12.2}", page(&many, &query).await, page(&few, &query).await);
    }
    println!("{:<44}{:>12.2}", "the 4,000th page", deep_page(&many).await);
    let file = Connection::open(large.path().join("coffeeshop.db")).unwrap();
    file.busy_timeout(std::time::Duration::from_mins(1)).unwrap();
    file.execute("UPDATE users SET expires_at = 1 WHERE status = 'unverified'", []).unwrap();
    let plan = many.accounts.plan_purge(Which::Expired, Origin::timer());
    let start = Instant::now();
    let purged = many.accounts.purge(&plan, |_| {}).await.unwrap();
    println!("purged {} users in {:.1?}", purged.users, start.elapsed());
}

fn queries() -> Vec<(String, UserQuery)> {
    let filter = |text: Option<&str>, role, status, disabled| UserFilter {
        text: text.map(str::to_owned),
        role,
        status,
        disabled,
    };
    let none = (None, None, None);
    let filters = [
        ("all", None, none),
        ("admins", None, (Some(Role::Admin), None, None)),
        ("unverified", None, (None, Some(Status::Unverified), None)),
        ("disabled", None, (None, None, Some(true))),
        (
            "unverified disabled admins (nobody)",
            None,
            (Some(Role::Admin), Some(Status::Unverified), Some(true)),
        ),
        ("q: one user", Some("user-777@"), none),
        ("q: nobody", Some("zzqqxx"), none),
        ("q: everybody", Some("example"), none),
        ("q: one in 900", Some("user-77"), none),
        ("q: everybody, admins", Some("example"), (Some(Role::Admin), None, None)),
        ("q: two letters of nobody", Some("zq"), none),
    ];
    let mut queries = Vec::new();
    for (name, text, (role, status, disabled)) in filters {
        for sort in [UserSort::NewestFirst, UserSort::EmailUp] {
            let filter = filter(text, role, status, disabled);
            queries
                .push((format!("{name}, by {sort:?}"), UserQuery { filter, sort, ..UserQuery::default() }));
        }
    }
    queries.push(("all, counted".to_owned(), UserQuery { count: true, ..UserQuery::default() }));
    queries
}

async fn page(shop: &Shop, query: &UserQuery) -> f64 {
    let mut times = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        shop.accounts.users(&Admin::at_console(), query.clone()).await.unwrap();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    median(times)
}

async fn deep_page(shop: &Shop) -> f64 {
    let mut query = UserQuery { limit: Limit::new(200).unwrap(), ..UserQuery::default() };
    for _ in 0..1_000 {
        query.cursor = shop.accounts.users(&Admin::at_console(), query.clone()).await.unwrap().next;
    }
    page(shop, &UserQuery { limit: Limit::default(), ..query }).await
}

/// Users, one in five of them unverified, one in fifty disabled; all in one transaction.
fn seed(path: &Path, number: u32) {
    let mut connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "cache_size", -200_000).unwrap();
    let tx = connection.transaction().unwrap();
    {
        let mut insert = tx
            .prepare(
                "INSERT INTO users (id, email, email_key, first_name, search_text, password_hash, role, status, disabled, \
                 created_at, updated_at, verified_at, expires_at) \
                 VALUES (?1, ?2, ?2, ?3, ?4, '$argon2id$', 'user', ?5, ?6, ?7, ?7, ?8, ?9)",
            )
            .unwrap();
        for n in 0..number {
            let email = format!("user-{n}@example.com");
            let name = format!("Name{}", n % 1000);
            let text = format!("{email}\n\n{}\n", name.to_lowercase());
            let created_at = 1_700_000_000_000_i64 + i64::from(n) * 1000;
            let unverified = n % 5 == 0;
            let (status, verified_at, expires_at) = if unverified {
                ("unverified", None, Some(i64::MAX))
            } else {
                ("verified", Some(created_at), None)
            };
            let id = Uuid::now_v7();
            insert
                .execute((
                    id.as_bytes(),
                    &email,
                    &name,
                    &text,
                    status,
                    n % 50 == 1,
                    created_at,
                    verified_at,
                    expires_at,
                ))
                .unwrap();
        }
    }
    tx.commit().unwrap();
}
