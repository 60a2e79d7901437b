//! The functions that every request goes through, one by one: `cargo bench --bench hot`.
//!
//! They are looked at from outside: a token is checked by `authenticate`, which asks the store, too; two are signed by
//! `refresh`, which writes. What a whole request costs without its socket is the last group.

#![expect(clippy::unwrap_used, reason = "a program that measures: what goes wrong ends it")]

#[path = "table/seed.rs"]
#[expect(clippy::print_stderr, reason = "it says how long it took")]
mod seed;

use std::hint::black_box;

use coffeeshop::{
    api,
    app::App,
    auth::TokenPair,
    config::Config,
    core::{Actor, Admin},
    domain::{
        Change, Clock, Email, Name, Origin, Password, ProfileChange, UserCursor, UserQuery, UserSort, fold,
        searchable,
    },
    server,
    store::{OpenMode, Store},
};
use criterion::Criterion;
use poem::{Endpoint, IntoResponse, Request};
use tempfile::TempDir;
use tokio::runtime::Runtime;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let shop = Shop::open();
    values(&mut criterion);
    store(&mut criterion, &shop);
    tokens(&mut criterion, &shop);
    json(&mut criterion, &shop);
    requests(&mut criterion, &shop);
    criterion.final_summary();
}

/// A shop of a thousand users, and two of them signed in.
struct Shop {
    runtime: Runtime,
    app: App,
    config: Config,
    customer: TokenPair,
    admin: TokenPair,
    actor: Actor,
    _folder: TempDir,
}

impl Shop {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.database.path = folder.path().join("coffeeshop.db");
        seed::make(&config.database.path, 1000);
        let runtime = Runtime::new().unwrap();
        let (app, customer, admin, actor) = runtime.block_on(async {
            let (store, _) = Store::open(&config.database, OpenMode::RequireCurrent).await.unwrap();
            let app = App::open(&config, store, Clock::system()).await.unwrap();
            app.sessions.enable_cache().await;
            let customer = log_in(&app, seed::customers().next().unwrap()).await;
            let admin = log_in(&app, seed::admin()).await;
            let actor = app.sessions.authenticate(&customer.access_token, Origin::default()).await.unwrap();
            (app, customer, admin, actor)
        });
        Self { runtime, app, config, customer, admin, actor, _folder: folder }
    }
}

async fn log_in(app: &App, person: seed::Person) -> TokenPair {
    let (email, password) =
        (Email::parse("", &person.email()).unwrap(), Password::parse("", seed::PASSWORD).unwrap());
    app.sessions.login(email, password, None, Origin::default()).await.unwrap()
}

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("values");
    group.bench_function("an address, parsed", |bencher| {
        bencher.iter(|| Email::parse("email", black_box(" Ann.Smith+till@Example.com ")).unwrap());
    });
    group.bench_function("a name, folded", |bencher| bencher.iter(|| fold(black_box("José Papadopoulos"))));
    group.bench_function("a name, to be searched", |bencher| {
        bencher.iter(|| searchable(black_box("José Papadopoulos")));
    });
    let cursor = seed::Person(777).cursor();
    group.bench_function("a cursor, read", |bencher| {
        bencher.iter(|| UserCursor::decode(black_box(&cursor), UserSort::NewestFirst).unwrap());
    });
    group.finish();
}

fn store(criterion: &mut Criterion, Shop { runtime, app, actor, .. }: &Shop) {
    let mut group = criterion.benchmark_group("store");
    let (by, email) = (Admin::from_cli(), actor.user().profile.email.clone());
    group.bench_function("a user, read", |bencher| {
        bencher.iter(|| runtime.block_on(app.users.get_by_email(&by, email.clone())).unwrap());
    });
    group.bench_function("a page of 50, read", |bencher| {
        bencher.iter(|| runtime.block_on(app.users.list(&by, UserQuery::default())).unwrap());
    });
    let mut names = ["Ann", "Anna"].map(|name| Name::parse("first_name", name).unwrap());
    group.bench_function("a name, changed and on the disk", |bencher| {
        bencher.iter(|| {
            names.swap(0, 1); // the same again would be no change
            let first_name = Change::Set(Some(names[0].clone()));
            let change = ProfileChange { first_name, last_name: Change::Keep };
            runtime.block_on(app.profile.update(actor, change)).unwrap()
        });
    });
    group.finish();
}

fn tokens(criterion: &mut Criterion, Shop { runtime, app, customer, .. }: &Shop) {
    let mut group = criterion.benchmark_group("tokens");
    group.bench_function("an access token, checked", |bencher| {
        bencher.iter(|| {
            runtime.block_on(app.sessions.authenticate(&customer.access_token, Origin::default())).unwrap()
        });
    });
    let mut token = customer.refresh_token.clone();
    group.bench_function("a refresh token, checked, and two signed and on the disk", |bencher| {
        bencher.iter(|| {
            let pair = runtime.block_on(app.sessions.refresh(&token, Origin::default())).unwrap();
            token = pair.refresh_token;
        });
    });
    group.sample_size(20);
    group.bench_function("a login", |bencher| {
        bencher.iter(|| runtime.block_on(log_in(app, seed::customers().nth(1).unwrap())));
    });
    group.finish();
}

fn json(criterion: &mut Criterion, Shop { runtime, app, actor, .. }: &Shop) {
    let mut group = criterion.benchmark_group("JSON");
    group.bench_function("a user", |bencher| bencher.iter(|| api::user_json(actor.user()).to_string()));
    let page = runtime.block_on(app.users.list(&Admin::from_cli(), UserQuery::default())).unwrap();
    group.bench_function("50 users", |bencher| {
        bencher.iter(|| page.items.iter().map(|user| api::user_json(user).to_string().len()).sum::<usize>());
    });
    group.finish();
}

fn requests(criterion: &mut Criterion, Shop { runtime, app, config, customer, admin, .. }: &Shop) {
    let mut group = criterion.benchmark_group("requests");
    let endpoint = server::endpoint(app, config);
    for (path, tokens) in [("/healthz", customer), ("/me", customer), ("/users", admin)] {
        group.bench_function(format!("GET {path}"), |bencher| {
            bencher.iter(|| {
                let token = format!("Bearer {}", tokens.access_token);
                let request = Request::builder().uri(path.parse().unwrap()).header("Authorization", token);
                runtime.block_on(async {
                    let answer = endpoint.call(request.finish()).await.unwrap().into_response();
                    assert!(answer.status().is_success(), "{}", answer.status());
                    answer.into_body().into_bytes().await.unwrap().len()
                })
            });
        });
    }
    group.finish();
}
