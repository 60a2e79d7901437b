//! Generated users, always the same: names of a few languages, one in five unverified.

use std::{path::Path, time::Instant};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version, password_hash::phc::Salt};
use coffeeshop::{
    config::Database,
    domain::{Timestamp, UserCursor, UserId, UserSort, searchable},
    store::{OpenMode, Store},
};
use indicatif::{ProgressBar, ProgressStyle};
use rusqlite::Connection;
use uuid::{Builder, Uuid};

/// The columns of a user that are filled.
pub const COLUMNS: &str = "id, email, email_key, first_name, last_name, search_text, password_hash, role, status, disabled, \
                           created_at, updated_at, verified_at, expires_at";

/// The password of all users.
pub const PASSWORD: &str = "mocha stirs slowly";

/// One in thirty has each, and one in nine hundred each pair.
pub const FIRST_NAMES: [(&str, &str); 30] = [
    ("Ann", "ann"),
    ("José", "jose"),
    ("Νίκος", "nikos"),
    ("Zoë", "zoe"),
    ("Łukasz", "lukasz"),
    ("Mary", "mary"),
    ("Oluwaseun", "seun"),
    ("Jürgen", "juergen"),
    ("Priya", "priya"),
    ("Søren", "soren"),
    ("Chloé", "chloe"),
    ("Ivan", "ivan"),
    ("Aoife", "aoife"),
    ("Mehmet", "mehmet"),
    ("Björk", "bjork"),
    ("Thomas", "thomas"),
    ("Fatima", "fatima"),
    ("Giulia", "giulia"),
    ("Hans", "hans"),
    ("Yuki", "yuki"),
    ("Maria", "maria"),
    ("Peter", "peter"),
    ("Sofia", "sofia"),
    ("Kwame", "kwame"),
    ("Dora", "dora"),
    ("Emil", "emil"),
    ("Noor", "noor"),
    ("Vladimír", "vladimir"),
    ("Robert", "robert"),
    ("李", "li"),
];
pub const LAST_NAMES: [&str; 30] = [
    "Smith",
    "Müller",
    "García",
    "Papadopoulos",
    "Nowak",
    "O'Brien",
    "Adeyemi",
    "Schmidt",
    "Sharma",
    "Jensen",
    "Dubois",
    "Petrov",
    "Murphy",
    "Yılmaz",
    "Jónsdóttir",
    "Johnson",
    "Hassan",
    "Rossi",
    "Fischer",
    "Tanaka",
    "Silva",
    "Novák",
    "Lindqvist",
    "Mensah",
    "Horváth",
    "Virtanen",
    "de Vries",
    "Dvořák",
    "Brown",
    "王",
];
const DOMAINS: [&str; 5] =
    ["example.com", "mail.example.com", "example.org", "post.example.net", "example.net"];
/// The first of the users have this name: in a list by age, newest first, it is far down.
pub const RARE_NAME: &str = "Featherstonehaugh";

/// When the first user signed up, and how long after that the next.
const START: i64 = 1_600_000_000_000;
const INTERVAL: i64 = 150_000;
/// No user expires: the clean-up of a server that is started on the store finds nothing to do.
pub const FAR_AWAY: i64 = 4_102_444_800_000;

/// The user with this number.
#[derive(Clone, Copy)]
pub struct Person(pub u32);

impl Person {
    /// Looks as if it were random, and is not.
    fn mixed(self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut mixed = u64::from(self.0).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick<T: Copy>(self, of: &[T], salt: u32) -> T {
        let index = (self.mixed() >> salt) % of.len() as u64;
        of[usize::try_from(index).unwrap()]
    }

    pub fn email(self) -> String {
        let (_, first) = self.pick(&FIRST_NAMES, 0);
        let domain = self.pick(&DOMAINS, 20);
        let n = self.0;
        match self.mixed() >> 40 & 3 {
            0 => format!("{first}{n}@{domain}"),
            1 => format!("{first}.{n}@{domain}"),
            2 => format!("{n}.{first}@{domain}"),
            _ => format!("{}{n}@{domain}", first.to_uppercase()),
        }
    }

    pub fn first_name(self) -> &'static str {
        self.pick(&FIRST_NAMES, 0).0
    }

    pub fn last_name(self, of: u32) -> &'static str {
        if self.0 < of / 50 { RARE_NAME } else { self.pick(&LAST_NAMES, 8) }
    }

    pub fn id(self) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.mixed().to_be_bytes());
        Builder::from_unix_timestamp_millis(self.created_at().cast_unsigned(), &random).into_uuid()
    }

    /// The place right after them in the list of users, newest first.
    pub fn cursor(self) -> String {
        let place =
            UserCursor::Created(Timestamp::from_millis(self.created_at()), UserId::from_uuid(self.id()));
        place.encode(UserSort::NewestFirst)
    }

    pub fn created_at(self) -> i64 {
        START + i64::from(self.0) * INTERVAL
    }

    /// The very first, and one in 50,000.
    pub const fn is_admin(self) -> bool {
        self.0.is_multiple_of(50_000)
    }

    pub const fn is_unverified(self) -> bool {
        self.0 % 5 == 3
    }

    pub const fn is_disabled(self) -> bool {
        matches!(self.0 % 100, 21 | 43 | 71)
    }

    pub const fn role(self) -> &'static str {
        if self.is_admin() { "admin" } else { "user" }
    }

    /// The status, and the times of verification and expiry.
    pub fn verification(self) -> (&'static str, Option<i64>, Option<i64>) {
        if self.is_unverified() {
            ("unverified", None, Some(FAR_AWAY))
        } else {
            ("verified", Some(self.created_at()), None)
        }
    }

    pub fn search_text(self, of: u32) -> String {
        let names = searchable(&format!("{} {}", self.first_name(), self.last_name(of)));
        format!("{}\n{names}", self.email().to_lowercase())
    }
}

/// The users who may log in and are no admins, in the order of their numbers.
pub fn customers() -> impl Iterator<Item = Person> {
    (1..).map(Person).filter(|person| !person.is_admin() && !person.is_unverified() && !person.is_disabled())
}

/// An admin who is in every store.
pub const fn admin() -> Person {
    Person(0)
}

/// Makes a store with so many users.
pub fn make(path: &Path, count: u32) {
    assert!(!path.exists(), "{} exists", path.display());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (store, _) = Store::open(&Database::at(path), OpenMode::CreateOrMigrate).await.unwrap();
        store.close().await;
    });
    let started = Instant::now();
    fill(path, count);
    if count >= 100_000 {
        eprintln!("made {count} users in {:.1?}", started.elapsed());
    }
}

/// Inserts the users in one transaction, through the triggers that keep the search up to date.
fn fill(path: &Path, count: u32) {
    let mut connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "cache_size", -400_000).unwrap();
    connection.pragma_update(None, "synchronous", "off").unwrap();
    // What undoes one insert if its trigger fails is written for each of them: not into a file.
    connection.pragma_update(None, "temp_store", "memory").unwrap();
    let bar = ProgressBar::new(count.into());
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} users, {eta} left").unwrap(),
    );
    let hash = hash();
    let tx = connection.transaction().unwrap();
    {
        let values = "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13";
        let mut insert = tx.prepare(&format!("INSERT INTO users ({COLUMNS}) VALUES ({values})")).unwrap();
        for person in (0..count).map(Person) {
            let email = person.email();
            let key = email.to_lowercase();
            let (status, verified_at, expires_at) = person.verification();
            insert
                .execute((
                    person.id().as_bytes(),
                    &email,
                    &key,
                    person.first_name(),
                    person.last_name(count),
                    person.search_text(count),
                    &hash,
                    person.role(),
                    status,
                    person.is_disabled(),
                    person.created_at(),
                    verified_at,
                    expires_at,
                ))
                .unwrap();
            if person.0 % 1000 == 0 {
                bar.set_position(person.0.into());
            }
        }
    }
    tx.commit().unwrap();
    bar.finish_and_clear();
    connection.pragma_update(None, "synchronous", "full").unwrap();
    connection.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
}

/// The hash of the password at the default parameters, and always with the same salt.
pub fn hash() -> String {
    let params = Params::new(Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, 1, Some(32)).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = Salt::new(&[7; 16]).unwrap();
    argon2.hash_password_with_salt(PASSWORD.as_bytes(), &salt).unwrap().to_string()
}
