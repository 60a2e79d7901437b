//! Random sequences of all operations, compared with a small model of the shop: each answer, mail and list must be the one
//! that the contract has. `MODEL_STEPS` is how many steps are made in all; `MODEL_SEED` runs the one sequence of this seed,
//! with as many steps.

mod chance;
mod look;
mod shop;
mod steps;
mod story;

use std::{collections::BTreeMap, panic::AssertUnwindSafe};

use coffeeshop::config::Config;
use futures_util::FutureExt;
use tokio::task::JoinSet;

use self::{chance::Chance, story::Story};
use crate::sql::SERVER;

/// How many steps are made in all, unless the environment says otherwise.
const STEPS: u64 = 6_000;
/// How many steps a story has at most, and at least if there are so many.
const STORY: (u64, u64) = (1_000, 250);
/// How many stories are told at a time: some answers take their time on purpose.
const AT_ONCE: usize = 24;

/// How often each kind of step ended in each status.
type Tally = BTreeMap<String, u64>;

fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the two settings of this test")]
    let asked = std::env::var(name);
    asked.ok().map(|number| number.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_in_whatever_order_comes_out_as_the_model_says() {
    let steps = setting("MODEL_STEPS").unwrap_or(STEPS);
    let each = (steps / AT_ONCE as u64).clamp(STORY.1, STORY.0);
    let mut stories = match setting("MODEL_SEED") {
        Some(seed) => vec![(seed, steps)],
        None => (0..steps)
            .step_by(usize::try_from(each).unwrap())
            .map(|begun| (Chance::fresh_seed(), each.min(steps - begun)))
            .collect(),
    };
    let mut telling = JoinSet::new();
    let mut tally = Tally::new();
    loop {
        while telling.len() < AT_ONCE
            && let Some((seed, steps)) = stories.pop()
        {
            telling.spawn(told(seed, steps));
        }
        let Some(told) = telling.join_next().await else { break };
        match told.unwrap() {
            Ok(more) => more.into_iter().for_each(|(kind, times)| *tally.entry(kind).or_default() += times),
            Err(report) => panic!("{report}"),
        }
    }
    report(steps, &tally);
    // Not every step was refused at once.
    for status in [200, 201, 202, 204, 400, 401, 403, 404, 409, 422, 429] {
        let came = tally.keys().any(|kind| kind.contains(&format!(" {status}")));
        assert!(came || steps < 20_000, "never {status}");
    }
}

/// What the model leaves open must be the same, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_answers_on_both_engines() {
    if SERVER.is_none() {
        return; // there is only one
    }
    for seed in [1, 2, 3] {
        let outline = async |change: fn(&mut Config)| {
            let mut story = Story::begin_with(seed, change).await;
            story.go(STORY.1).await.unwrap();
            story.outline()
        };
        let postgres = outline(|_| {}).await;
        let sqlite = outline(|config| config.database.url = None).await;
        for (number, (postgres, sqlite)) in postgres.lines().zip(sqlite.lines()).enumerate() {
            assert_eq!(postgres, sqlite, "request {number} of seed {seed}");
        }
        assert_eq!(postgres.len(), sqlite.len(), "seed {seed}");
        assert!(sqlite.lines().count() > 100, "seed {seed}");
    }
}

/// Tells a story to its end, or up to where the shop and the model differ.
async fn told(seed: u64, steps: u64) -> Result<Tally, String> {
    let mut story = Story::begin(seed).await;
    // A broken promise of the document or of the program itself is a difference, too.
    let end = AssertUnwindSafe(story.go(steps)).catch_unwind().await;
    let differs = match end {
        Ok(Ok(())) => return Ok(story.tally),
        Ok(Err(differs)) => differs,
        Err(panic) => panic.downcast::<String>().map_or_else(
            |panic| panic.downcast_ref().map_or("", |text: &&str| text).to_owned(),
            |text| *text,
        ),
    };
    let step = story.said.len();
    let last = story.latest(20);
    Err(format!(
        "\nafter {step} steps the shop and the model differ; the last of them were\n  {last}\n{differs}\n\
         to see it again: MODEL_SEED={seed} MODEL_STEPS={step} cargo test --test it model\n"
    ))
}

#[expect(clippy::print_stderr, reason = "figures, shown with --nocapture")]
fn report(steps: u64, tally: &Tally) {
    let lines: Vec<_> = tally.iter().map(|(kind, times)| format!("{kind}: {times}")).collect();
    eprintln!("{steps} steps, no difference\n  {}", lines.join("\n  "));
}
