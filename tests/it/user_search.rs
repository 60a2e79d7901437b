//! Searching and counting users, compared with doing the same by hand.

use std::{collections::BTreeSet, time::Duration};

use coffeeshop::domain::fold;
use serde_json::json;

use crate::app::{App, Caller, PASSWORD, START, encoded};
use crate::spellings::older_store;
use crate::{sql::Sql, sqlite_only::sqlite_only};

const PEOPLE: [(&str, &str, &str); 8] = [
    ("ann@example.com", "Ann", "Smith"),
    ("jose+till@cafe.example", "José", "Núñez"),
    ("straße@example.com", "Zoë", "Weiß"),
    ("li@example.com", "李", "王"),
    ("d.o@example.com", "Ο", "Παπαδόπουλος"),
    ("x9@example.com", "A", "B"),
    ("quote\"s@example.com", "O'Brien", "100% \\ _"),
    ("zz@example.com", "De Vries", "van der"),
];

fn has_words(text: &str, q: &str) -> bool {
    q.split(' ').all(|word| text.contains(word))
}

async fn total(boss: &Caller<'_>, query: &str) -> u64 {
    let page = boss.get(&format!("/users?limit=1&include_total=true&{query}")).await.is(200).body;
    page["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_text_of_any_length_is_found() {
    let app = App::start().await;
    let boss = app.admin().await;
    for (email, first_name, last_name) in PEOPLE {
        let body =
            json!({ "email": email, "password": PASSWORD, "first_name": first_name, "last_name": last_name });
        app.anyone().post("/auth/signup", body).await;
    }
    let texts = app.sql.rows("SELECT email, search_text FROM users");
    let texts: Vec<(String, String)> =
        texts.into_iter().map(|row| <[_; 2]>::try_from(row).unwrap().map(Option::unwrap).into()).collect();
    assert!(texts.len() >= 7, "{texts:?}");
    let mut asked = BTreeSet::from(["zq".to_owned(), "ж".to_owned(), "%".to_owned(), "_".to_owned()]);
    for (_, text) in &texts {
        for line in text.lines() {
            let chars: Vec<char> = line.chars().collect();
            for length in 1..=4.min(chars.len()) {
                asked.extend(chars.windows(length).map(|part| part.iter().collect::<String>()));
            }
        }
    }
    for q in asked.iter().filter(|q| q.trim() == *q) {
        let mut expected: Vec<_> =
            texts.iter().filter(|(_, text)| has_words(text, q)).map(|(email, _)| email.clone()).collect();
        let page = boss.get(&format!("/users?include_total=true&q={}", encoded(q))).await.is(200).body;
        let items = page["items"].as_array().unwrap();
        let mut found: Vec<_> = items.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{q:?}");
        assert_eq!(page["total"], json!(expected.len()), "{q:?}");
    }
}

#[tokio::test]
async fn a_short_text_is_found_by_walking_and_by_the_index_alike() {
    let app = App::start().await;
    let boss = app.admin().await;
    // Common among the newest thousand is walked for; rare there and common before is looked for by the index.
    let id = app.sql.random_id();
    app.execute(&format!(
        "INSERT INTO users (id, email, email_key, search_text, role, status, disabled, created_at, updated_at, verified_at) \
         WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 2600) \
         SELECT {id}, e, e, e, 'user', 'verified', FALSE, i, i, i FROM \
         (SELECT i, CASE WHEN i <= 1500 THEN 'old' ELSE 'new' END || i || '@example.com' AS e FROM n) AS people"
    ));
    for (q, count) in [("ne", 1100), ("ol", 1500), ("o", 2601), ("ew", 1100), ("bo", 1), ("zq", 0)] {
        let mut seen = BTreeSet::new();
        for sort in ["created_at", "-email"] {
            let mut cursor = String::new();
            loop {
                let path = format!("/users?limit=200&q={q}&sort={sort}{cursor}");
                let page = boss.get(&path).await.is(200).body;
                for user in page["items"].as_array().unwrap() {
                    assert!(seen.insert((sort, user["id"].to_string())), "{q} twice");
                }
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={}", encoded(next));
            }
        }
        assert_eq!(seen.len(), 2 * count, "{q}");
        assert_eq!(total(&boss, &format!("q={q}")).await, u64::try_from(count).unwrap(), "{q}");
    }
}

#[tokio::test]
async fn the_counts_that_are_kept_are_those_of_the_users() {
    let app = App::start().await;
    let boss = app.admin().await;
    for (number, email) in
        ["a@example.com", "b@example.com", "c@example.com", "d@example.com"].iter().enumerate()
    {
        let user = app.sign_up(email).await;
        let path = format!("/users/{}", user["id"].as_str().unwrap());
        match number {
            0 => drop(app.verify(email).await),
            1 => drop(boss.patch(&path, json!({ "role": "admin", "disabled": true })).await.is(200)),
            2 => drop(boss.patch(&path, json!({ "status": "verified" })).await.is(200)),
            _ => {}
        }
        for gone in ["e@example.com", "f@example.com"] {
            let user = app.sign_up(gone).await;
            boss.delete(&format!("/users/{}", user["id"].as_str().unwrap())).await.is(204);
        }
    }
    let kept = app.sql.either("SELECT sum(users) FROM user_counts", "SELECT count(*) FROM users");
    if let Sql::Sqlite(_) = app.sql {
        let wrong = "(SELECT role, status, disabled, users FROM user_counts WHERE users > 0 \
                     EXCEPT SELECT role, status, disabled, count(*) FROM users GROUP BY 1, 2, 3)";
        assert_eq!(app.sql.count(wrong), 0);
    }
    assert_eq!(app.stored::<i64>(kept), 5);
    for (query, count) in [("", 5), ("status=unverified", 2), ("role=admin", 2), ("disabled=true", 1)] {
        assert_eq!(total(&boss, query).await, count, "{query}");
    }
    // An expired user is not counted, deleted or not.
    app.wait(Duration::from_hours(48));
    assert_eq!(app.stored::<i64>(kept), 5);
    let boss = app.log_in("boss@example.com").await;
    assert_eq!(total(&boss, "").await, 3);
    assert_eq!(total(&boss, "status=unverified").await, 0);
}

/// Adds users by hand, `from` to `to`, whose times are a second apart give or take a few, and later by `shift` seconds.
fn crowd(app: &App, from: u32, to: u32, shift: i64) {
    let (id, chance) = (app.sql.random_id(), app.sql.either("abs(random() % 4)", "floor(random() * 4)"));
    app.execute(&format!(
        "INSERT INTO users (id, email, email_key, first_name, search_text, role, status, disabled, created_at, \
         updated_at, verified_at, expires_at) \
         WITH RECURSIVE n(i) AS (VALUES({from}) UNION ALL SELECT i + 1 FROM n WHERE i < {to}), \
         people AS (SELECT i, 'u' || i || '@example.com' AS e, \
         CASE i % 7 WHEN 0 THEN 'ann smith' WHEN 1 THEN 'smithers ann' ELSE 'bob' || i END AS name, \
         CASE i % 3 WHEN 0 THEN 'unverified' ELSE 'verified' END AS status, \
         CAST((i + {shift}) * CAST(1000 AS BIGINT) + {chance} * 1500 AS BIGINT) AS at FROM n) \
         SELECT {id}, e, e, name, e || '\n' || name || CASE WHEN i < 300 THEN ' the first' ELSE '' END, \
         CASE i % 100 WHEN 0 THEN 'admin' ELSE 'user' END, status, i % 11 = 0, at, at, \
         CASE status WHEN 'verified' THEN at END, CASE status WHEN 'unverified' THEN 4000000000000 END FROM people"
    ));
}

/// The addresses in the first pages of a list, up to about `most`.
async fn first(most: usize, boss: &Caller<'_>, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = boss.get(&format!("/users?limit=60&{query}{cursor}")).await.is(200).body;
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().map(|user| user["email"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str().filter(|_| found.len() < most) else { return found };
        cursor = format!("&cursor={}", encoded(next));
    }
}

#[tokio::test]
async fn pages_of_a_search_are_in_order_however_disorderly_people_came() {
    let app = App::start().await;
    let boss = app.admin().await;
    crowd(&app, 1, 7000, 0);
    // The clock was set back by a quarter of an hour; then it leapt.
    crowd(&app, 7001, 11_000, -900);
    crowd(&app, 11_001, 13_000, 1_000_000);
    app.execute("DELETE FROM users WHERE seq % 13 = 5 OR email LIKE 'u129__@%'");
    let filters = [
        ("", ""),
        ("&role=admin", "AND role = 'admin'"),
        ("&status=unverified", "AND status = 'unverified'"),
        ("&role=user&disabled=false", "AND role = 'user' AND NOT disabled"),
    ];
    let sorts = [
        ("-created_at", "created_at DESC, id DESC"),
        ("created_at", "created_at, id"),
        ("-email", "email_key DESC"),
    ];
    for q in [
        "ann smith",
        "smith ann",
        "smith",
        "the first",
        "b 9",
        "example smith",
        "example b",
        "example 777",
        "u77",
        "example",
        "u777@example.com",
        "9@exa",
        "b9",
    ] {
        for (filter, condition) in filters {
            for (sort, order) in sorts {
                let having: String = q
                    .split(' ')
                    .fold(String::new(), |all, word| all + " AND search_text LIKE '%" + word + "%'");
                let sql = format!(
                    "SELECT email FROM users WHERE TRUE{having} {condition} ORDER BY {order} LIMIT 500"
                );
                let by_hand = app.sql.texts(&sql);
                let query = format!("q={}{filter}&sort={sort}", encoded(q));
                let mut found = first(500, &boss, &query).await;
                found.truncate(500);
                assert!(found == by_hand, "{query}: {} and {}", found.len(), by_hand.len());
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_clock_is_forgotten_once_its_last_user_is_deleted() {
    if sqlite_only() {
        return;
    }
    let app = App::start().await;
    app.make_admin("boss@example.com").await;
    let disorder = "SELECT disorder FROM user_arrivals";
    let year = 365 * 24 * 60 * 60;
    crowd(&app, 1, 1, START.seconds() + year);
    crowd(&app, 2, 2, START.seconds() + 10);
    assert!(app.stored::<i64>(disorder) > 360 * 24 * 60 * 60 * 1000);
    drop(app.beside(|_| {}).await);
    assert!(app.stored::<i64>(disorder) > 360 * 24 * 60 * 60 * 1000, "that user is still there");
    app.execute("DELETE FROM users WHERE email = 'u1@example.com'");
    drop(app.beside(|_| {}).await);
    assert_eq!(app.stored::<i64>(disorder), 0);
}

/// Names in the spelling of the people, and what an admin types who looks for them.
const SPELLINGS: [(&str, &str, &[&str]); 12] = [
    ("İsmail", "Işık", &["ismail", "ISMAİL", "isik", "IŞIK", "ışık ismail"]),
    ("Zoë", "Weiß", &["zoe weiss", "WEISS", "weiß", "ZOË"]),
    ("Νίκος", "Οδυσσεύς", &["νικοσ", "ΝΙΚΟΣ", "οδυσσευς νίκος"]),
    ("Đức", "Nguyễn Thị", &["nguyen", "duc", "NGUYỄN đức", "thi duc"]),
    ("Андрей", "Соловьёв", &["андреи", "СОЛОВЬЕВ", "соловьёв андрей"]),
    ("أَحْمَد", "مـحـمـد", &["احمد", "محمد أحمد"]),
    ("نرگس\u{200c}خاتون", "ک", &["نرگسخاتون", "خاتون"]),
    ("ज़ाकिर", "हुसैन", &["जाकिर", "हुसैन ज़ाकिर"]),
    ("한나", "김", &["김 한나", "\u{1112}\u{1161}\u{11ab}나"]),
    ("น้ำ", "ฝน", &["น้ำ", "ฝน น้ำ"]),
    ("Łukasz", "O\u{2019}Neill\u{2010}Sørensen", &["lukasz o'neill-sorensen", "ŁUKASZ", "oneill"]),
    ("Anna\u{a0}Maria", "Tester", &["tester maria anna", "maria\u{200b} test", " a\u{3000}tester "]),
];

#[tokio::test]
async fn neither_case_nor_accents_nor_the_order_of_words_count() {
    let app = App::start().await;
    let boss = app.admin().await;
    for (number, (first_name, last_name, _)) in SPELLINGS.iter().enumerate() {
        let user = app.sign_up(&format!("u{number}@example.org")).await;
        let names = json!({ "first_name": first_name, "last_name": last_name });
        boss.patch(&format!("/users/{}", user["id"].as_str().unwrap()), names).await.is(200);
    }
    for (number, (_, _, typed)) in SPELLINGS.iter().enumerate() {
        for q in *typed {
            let expected = u64::from(*q != "oneill");
            let page = boss.get(&format!("/users?include_total=true&q={}", encoded(q))).await.is(200).body;
            assert_eq!(page["total"], json!(expected), "{q}: {page}");
            if expected > 0 {
                assert_eq!(page["items"][0]["email"], format!("u{number}@example.org"), "{q}");
            }
        }
    }
}

#[tokio::test]
async fn each_word_must_be_found_somewhere_in_address_or_names() {
    let app = App::start().await;
    let boss = app.admin().await;
    for (email, first_name, last_name) in [
        ("ann.smith@example.com", "Ann", "Smith"),
        ("ann@smithers.example", "Ann", "Jones"),
        ("j@example.com", "Jo", "Smith"),
    ] {
        let user = app.sign_up(email).await;
        let names = json!({ "first_name": first_name, "last_name": last_name });
        boss.patch(&format!("/users/{}", user["id"].as_str().unwrap()), names).await.is(200);
    }
    for (q, count) in [
        ("smith ann", 2),
        ("ann smith example.com", 1),
        ("smith", 3),
        ("jo smith j@", 1),
        ("jones ann@", 1),
        ("jones jo@", 0),
        ("s j", 2),
        ("x j", 2),
        ("ann ann ann", 2),
        ("ann zq", 0),
        ("zq ann", 0),
    ] {
        assert_eq!(total(&boss, &format!("q={}", encoded(q))).await, count, "{q}");
    }
    assert_eq!(total(&boss, "q=%E2%80%8B%20").await, 4, "nothing but what is not seen");
}

#[tokio::test]
async fn users_of_an_older_store_are_found_by_what_is_typed_today() {
    if sqlite_only() {
        return;
    }
    let app = App::start().await;
    let path = app.config.database.path.with_file_name("old.db");
    let old = older_store(&path, 11);
    for (number, (first_name, last_name, _)) in SPELLINGS.iter().enumerate() {
        let email = format!("u{number}@example.org");
        let text = format!("{email}\n{}", fold(&format!("{first_name} {last_name}")));
        let user = "INSERT INTO users (id, email, email_key, first_name, last_name, search_text, role, status, disabled, \
                    created_at, updated_at, verified_at) VALUES (?1, ?2, ?2, ?3, ?4, ?5, 'user', 'verified', 0, ?6, ?6, ?6)";
        let number = u8::try_from(number).unwrap();
        old.execute(user, ([number; 16], email, first_name, last_name, text, number)).unwrap();
    }
    drop(old);
    let app = app.beside(|config| config.database.path = path).await;
    let boss = app.admin().await;
    for (number, (_, _, typed)) in SPELLINGS.iter().enumerate() {
        for q in typed.iter().filter(|q| **q != "oneill") {
            let page = boss.get(&format!("/users?q={}", encoded(q))).await.is(200).body;
            assert_eq!(page["items"][0]["email"], format!("u{number}@example.org"), "{q}: {page}");
        }
    }
}

#[tokio::test]
async fn a_character_that_is_none_is_found_like_any_other() {
    let app = App::start().await;
    let boss = app.admin().await;
    let body = json!({ "email": "ann@example.com", "password": PASSWORD, "first_name": "\u{ffff}q" });
    app.anyone().post("/auth/signup", body).await.is(201);
    for q in ["\u{ffff}", "\u{ffff}q"] {
        assert_eq!(total(&boss, &format!("q={}", encoded(q))).await, 1, "{q:?}");
    }
    for q in ["\u{fffe}", "\u{fffe}q"] {
        assert_eq!(total(&boss, &format!("q={}", encoded(q))).await, 0, "{q:?}");
    }
}
