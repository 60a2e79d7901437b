//! Response timing, measured on the real binary with real hashing: neither the bytes of an answer nor its time reveal
//! whether an account exists.

use std::{cmp::Ordering, time::Instant};

use serde_json::{Value, json};

use crate::shop::{Reply, Server, Shop};

/// Samples of each kind for each operation.
const SAMPLES: usize = 400;
/// Known accounts: each has its five tries at a code, and its few messages.
const ACCOUNTS: usize = SAMPLES / 5;

fn known(n: usize) -> String {
    format!("known{}@example.com", n % ACCOUNTS)
}

fn unknown(n: usize) -> String {
    format!("other{}@example.com", n % ACCOUNTS)
}

/// What is the same whenever it is asked: everything but the id of the request.
fn look(reply: &Reply) -> (u16, String, Value) {
    let mut head: Vec<_> =
        reply.head.lines().filter(|l| !l.starts_with("x-request-id:") && !l.starts_with("date:")).collect();
    head.sort_unstable();
    let mut body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    if let Some(problem) = body.as_object_mut() {
        problem.remove("request_id");
    }
    (reply.status, head.join("\n"), body)
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// How often a sample of one kind is longer than one of the other: a half, if nothing can be told.
fn auc(ones: &[f64], others: &[f64]) -> f64 {
    let pairs = ones.iter().flat_map(|one| others.iter().map(move |other| one.total_cmp(other)));
    let wins: f64 = pairs
        .map(|order| match order {
            Ordering::Greater => 1.0,
            Ordering::Equal => 0.5,
            Ordering::Less => 0.0,
        })
        .sum();
    wins / f64::from(u32::try_from(ones.len() * others.len()).unwrap())
}

/// Asks for a known account and for none in turn.
#[expect(clippy::print_stderr, reason = "figures are for people")]
fn measure(server: &Server, name: &str, path: &str, body: impl Fn(&str) -> Value, free: &str) {
    let mut times = [Vec::new(), Vec::new()];
    let mut looks = Vec::new();
    for n in 0..SAMPLES {
        // Which of them is first must not matter.
        let mut pair =
            [(0, known(n)), (1, if free.is_empty() { unknown(n) } else { format!("{free}{n}@example.com") })];
        if n % 2 == 1 {
            pair.reverse();
        }
        for (kind, email) in pair {
            let start = Instant::now();
            let reply = server.post(path, &body(&email));
            times[kind].push(start.elapsed().as_secs_f64() * 1e3);
            looks.push(look(&reply));
        }
    }
    let [known, unknown] = &times;
    let (ratio, auc) = (median(known) / median(unknown), auc(known, unknown));
    let figures = format!(
        "{name}: {} known {:.2} ms, unknown {:.2} ms, ratio {ratio:.3}, AUC {auc:.3}",
        looks[0].0,
        median(known),
        median(unknown)
    );
    assert!(looks.iter().all(|look| *look == looks[0]), "{name} answers differ");
    // Loosely: machines that do other things, too, are noisy.
    assert!((0.8..1.25).contains(&ratio) && (0.3..0.7).contains(&auc), "{figures}");
    eprintln!("{figures}");
}

#[test]
#[ignore = "measures; run alone"]
fn answers_and_their_times_do_not_reveal_accounts() {
    let mut shop = Shop::new().with("AUTH__HIDE_TAKEN_EMAILS", "true");
    for budget in ["LOGIN", "ACCOUNT", "CLIENT", "MAIL"] {
        shop.set(&format!("RATE_LIMIT__{budget}_BURST"), "1000000");
    }
    let server = shop.serve();
    let email = |email: &str| json!({ "email": email });
    for n in 0..ACCOUNTS {
        server.sign_up(&known(n)).is(202);
    }
    measure(
        &server,
        "login",
        "/auth/login",
        |e| json!({ "email": e, "password": "espresso rains upward" }),
        "",
    );
    measure(&server, "verify", "/auth/verify", |e| json!({ "email": e, "code": "000000" }), "");
    measure(&server, "resend", "/auth/verify/resend", email, "");
    measure(&server, "forgot", "/auth/password/forgot", email, "");
    let reset = |e: &str| json!({ "email": e, "code": "000000", "new_password": "lungo hums at dawn" });
    measure(&server, "reset", "/auth/password/reset", reset, "");
    let signup = |e: &str| json!({ "email": e, "password": "mocha stirs slowly" });
    measure(&server, "signup", "/auth/signup", signup, "fresh");
}
