//! The outbox: messages are sent in order, retried, given up visibly, and never lost.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use coffeeshop::{
    core::Admin,
    domain::{MessageId, MessageState, OutboxEntry, Timestamp},
    messaging::{Capacity, LEASE, OutboxMessage, Retried},
    messaging::{DeliveryError, Transport, Worker},
};
use serde_json::{Value, json};

use crate::app::{App, Caller, MOMENT, PASSWORD, START};
use crate::{sql::bytes, sqlite_only::sqlite_only};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
/// As many as there are in these tests.
pub const CAPACITY: Capacity = Capacity { messages: 100, retries: 100 };
const TWO_DAYS: Duration = Duration::from_hours(48);

/// A message as it was handed over.
#[derive(Clone, Debug, PartialEq)]
struct Handed {
    id: MessageId,
    to: String,
    about: &'static str,
    token: String,
}

type Judge = Box<dyn FnMut(&Handed) -> Result<(), DeliveryError> + Send>;

/// A transport that notes what it is handed, and takes it or not.
#[derive(Clone)]
struct Fake {
    handed: Arc<Mutex<Vec<Handed>>>,
    judge: Arc<Mutex<Judge>>,
    rests: Arc<Mutex<usize>>,
}

impl Transport for Fake {
    async fn send(&self, outgoing: &OutboxMessage) -> Result<(), DeliveryError> {
        let message = &outgoing.message;
        let link = message.link.as_deref().unwrap_or_default();
        let handed = Handed {
            id: outgoing.id,
            to: message.to.clone(),
            about: message.kind.into_str(),
            token: link.split_once("token=").map(|(_, token)| token.to_owned()).unwrap_or_default(),
        };
        self.handed.lock().unwrap().push(handed.clone());
        self.judge.lock().unwrap()(&handed)
    }

    async fn flush_idle(&self) {
        *self.rests.lock().unwrap() += 1;
    }
}

/// A worker with a fake transport.
struct Post {
    fake: Fake,
    worker: Worker<Fake>,
}

impl Post {
    fn taking(app: &App) -> Self {
        Self::judging(app, |_| Ok(()))
    }

    fn silent(app: &App) -> Self {
        Self::judging(app, |_| Err(timed_out()))
    }

    fn judging(app: &App, judge: impl FnMut(&Handed) -> Result<(), DeliveryError> + Send + 'static) -> Self {
        let fake = Fake {
            handed: Arc::default(),
            judge: Arc::new(Mutex::new(Box::new(judge))),
            rests: Arc::default(),
        };
        Self { worker: Worker::new(app.outbox.clone(), fake.clone()), fake }
    }

    /// All that is due; answers what was handed over since the last look.
    async fn all(&self) -> Vec<Handed> {
        self.worker.send_due().await.unwrap();
        self.handed()
    }

    fn handed(&self) -> Vec<Handed> {
        std::mem::take(&mut *self.fake.handed.lock().unwrap())
    }
}

fn timed_out() -> DeliveryError {
    DeliveryError::unreachable("nothing answers at mail.example:465".to_owned())
}

/// This message is not taken for now.
fn deferral() -> DeliveryError {
    DeliveryError::deferred(
        "mail.example:465 refused the recipient (450)".to_owned(),
        Some("come back later".to_owned()),
    )
}

/// This message is never taken.
fn refusal() -> DeliveryError {
    DeliveryError::rejected(
        "mail.example:465 refused the recipient (550)".to_owned(),
        Some("no such user".to_owned()),
    )
}

fn about(handed: &[Handed]) -> Vec<&'static str> {
    handed.iter().map(|handed| handed.about).collect()
}

fn to(handed: &[Handed]) -> Vec<&str> {
    handed.iter().map(|handed| handed.to.as_str()).collect()
}

async fn posted(app: &App) -> Vec<OutboxEntry> {
    app.outbox.list(&Admin::from_cli(), None).await.unwrap().items
}

async fn only(app: &App) -> OutboxEntry {
    let mut all = posted(app).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

async fn retry(app: &App, id: Option<MessageId>) -> usize {
    let Retried(number) = app.outbox.retry(&Admin::from_cli(), id).await.unwrap();
    number
}

async fn forgot(app: &App, email: &str) {
    app.anyone().post("/auth/password/forgot", json!({ "email": email })).await.is(202);
}

/// A shop in which one message waits that is worth reading for a week: a notice to Ann.
async fn with_a_notice() -> App {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "lungo hums at dawn" });
    ann.post("/me/password", body).await.is(204);
    assert_eq!(only(&app).await.about(), "password_changed");
    app
}

#[tokio::test]
async fn what_was_taken_is_forgotten() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let waiting = only(&app).await;
    assert_eq!((waiting.to.as_str(), waiting.about(), waiting.attempts), (ANN, "verify_email", 0));
    let post = Post::taking(&app);
    let handed = post.all().await;
    assert_eq!((handed[0].id, handed.len()), (waiting.id, 1));
    assert_eq!(app.stored::<i64>("SELECT count(*) FROM outbox"), 0);
    assert_eq!(post.all().await, []);
    app.anyone().post("/auth/verify", json!({ "token": handed[0].token })).await.is(200);
}

#[tokio::test]
async fn messages_to_one_address_are_sent_in_order() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.sign_up(BOB).await;
    for _ in 0..3 {
        forgot(&app, ANN).await;
    }
    let taken = app.outbox.take(CAPACITY).await.unwrap();
    let first: Vec<_> = taken.iter().map(|outgoing| outgoing.message.to.as_str()).collect();
    assert_eq!(first, [ANN, BOB], "one for each mailbox at a time");
    app.wait(LEASE);
    let handed = Post::taking(&app).all().await;
    assert_eq!(
        to(&handed),
        [ANN, ANN, ANN, ANN, BOB],
        "first attempts come first, but for those that have to wait"
    );
    let latest = json!({ "token": handed[3].token, "new_password": "lungo hums at dawn" });
    app.anyone().post("/auth/password/reset", latest).await.is(204);
}

#[tokio::test]
async fn messages_to_one_mailbox_keep_their_order_through_an_outage() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    forgot(&app, "ann@EXAMPLE.com").await;
    assert_eq!(Post::silent(&app).all().await.len(), 1);
    app.wait(Duration::from_secs(5));
    assert_eq!(about(&Post::taking(&app).all().await), ["verify_email", "reset_password"]);
}

#[tokio::test]
async fn nothing_waits_behind_a_message_that_was_refused() {
    for delivery_error in [deferral(), refusal(), DeliveryError::unconfirmed("it broke off".to_owned())] {
        let app = App::start().await;
        app.sign_up(ANN).await;
        Post::judging(&app, move |_| Err(delivery_error.clone())).all().await;
        forgot(&app, ANN).await;
        assert_eq!(about(&Post::taking(&app).all().await), ["reset_password"]);
    }
}

#[tokio::test]
async fn another_spelling_of_an_address_holds_back_nothing() {
    let app = App::start().await;
    let mallory = app.signed_in("mallory@example.com").await;
    let body = json!({ "new_email": "Victim@example.com", "current_password": PASSWORD });
    mallory.post("/me/email", body).await.is(202);
    app.sign_up("victim@example.com").await;
    let taken = app.outbox.take(CAPACITY).await.unwrap();
    let to: HashSet<_> = taken.iter().map(|outgoing| outgoing.message.to.as_str()).collect();
    assert_eq!(to, HashSet::from(["Victim@example.com", "mallory@example.com", "victim@example.com"]));
}

#[tokio::test]
async fn a_security_notice_waits_for_nothing_and_comes_first() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    app.sign_up(BOB).await;
    forgot(&app, ANN).await;
    forgot(&app, ANN).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "lungo hums at dawn" });
    ann.post("/me/password", body).await.is(204);
    let taken = app.outbox.take(CAPACITY).await.unwrap();
    let about: Vec<_> = taken.iter().map(|outgoing| outgoing.message.kind.into_str()).collect();
    assert_eq!(about, ["password_changed", "verify_email", "reset_password"]);
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_is_not_tried_again() {
    let app = with_a_notice().await;
    assert_eq!(Post::judging(&app, |_| Err(refusal())).all().await.len(), 1);
    let dead = only(&app).await;
    assert_eq!((dead.state, dead.attempts), (MessageState::Dead, 1));
    assert_eq!(
        dead.last_error.as_deref(),
        Some("mail.example:465 refused the recipient (550); it said: no such user")
    );
    app.wait(Duration::from_hours(1));
    assert_eq!(Post::taking(&app).all().await, []);
}

#[tokio::test]
async fn a_message_that_may_have_arrived_waits_for_long() {
    let app = with_a_notice().await;
    let unanswered = || DeliveryError::unconfirmed("mail.example:465 broke off".to_owned());
    assert_eq!(Post::judging(&app, move |_| Err(unanswered())).all().await.len(), 1);
    let waiting = only(&app).await;
    let pause = waiting.due_at.since(app.clock.now());
    assert!(waiting.state == MessageState::Waiting && pause >= Duration::from_mins(7), "{waiting:?}");
}

#[tokio::test]
async fn several_recipients_in_a_row_put_off_what_was_tried() {
    let app = App::start().await;
    let guest = |number: usize| format!("guest{number}@example.com");
    for number in 0..4 {
        app.sign_up(&guest(number)).await;
    }
    let post = Post::judging(&app, |_| Err(deferral()));
    for _ in 0..8 {
        app.wait(Duration::from_mins(20));
        post.all().await;
    }
    let longest = async || {
        let pauses = posted(&app).await.into_iter().map(|message| message.due_at.since(app.clock.now()));
        pauses.max().unwrap()
    };
    assert!(longest().await > Duration::from_mins(4), "four are not enough");
    app.sign_up(&guest(4)).await;
    app.wait(Duration::from_mins(20));
    post.all().await;
    assert!(longest().await <= Duration::from_secs(40), "{:?}", longest().await);
    app.sign_up(&guest(5)).await;
    assert_eq!(to(&post.all().await), [guest(5)], "what was not tried is tried");
}

#[tokio::test]
async fn a_timeout_stops_the_batch_and_postpones_all() {
    let app = App::start().await;
    for number in 0..5 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    let post = Post::silent(&app);
    assert_eq!(to(&post.all().await), ["guest0@example.com"], "one is enough to know");
    let messages = posted(&app).await;
    let due = messages[1].due_at;
    assert!(messages[0].due_at >= due, "who was silent is not tried before the others");
    assert!(due > START && due <= START + Duration::from_secs(5), "{due}");
    for (index, message) in messages.iter().enumerate() {
        assert!(index == 0 || message.due_at == due, "{index}");
        assert_eq!(message.attempts, u32::from(index == 0), "what was put back was not tried");
        assert_eq!(message.last_error.is_some(), index == 0);
        assert_eq!(message.state, MessageState::Waiting);
    }
    assert_eq!(post.all().await, []);
    app.wait(Duration::from_secs(5));
    let post = Post::taking(&app);
    assert_eq!(post.all().await.len(), 5);
}

#[tokio::test]
async fn a_lock_stops_the_batch_and_backs_off_longer_each_time() {
    let app = App::start().await;
    for email in [ANN, BOB] {
        app.sign_up(email).await;
    }
    let locked = || DeliveryError::auth_rejected("mail.example:465 refused the login (535)".to_owned(), None);
    let post = Post::judging(&app, move |_| Err(locked()));
    let mut longest = Duration::ZERO;
    for _ in 0..12 {
        assert_eq!(post.all().await.len(), 1);
        let messages = posted(&app).await;
        let pause = messages.iter().map(|message| message.due_at.since(app.clock.now())).min().unwrap();
        longest = longest.max(pause);
        assert!(pause <= Duration::from_mins(10), "{pause:?}");
        app.wait(pause);
    }
    assert!(longest >= Duration::from_mins(5), "{longest:?}");
}

#[tokio::test]
async fn as_soon_as_something_is_sent_the_pauses_are_short_again() {
    let app = with_a_notice().await;
    let locked = |app| {
        Post::judging(app, |_| {
            Err(DeliveryError::auth_rejected("mail.example:465 refused the login (535)".to_owned(), None))
        })
    };
    let pause = async || only(&app).await.due_at.since(app.clock.now());
    let post = locked(&app);
    for _ in 0..10 {
        assert_eq!(post.all().await.len(), 1);
        app.wait(pause().await);
    }
    assert_eq!(Post::taking(&app).all().await.len(), 1);
    app.sign_up(BOB).await;
    assert_eq!(locked(&app).all().await.len(), 1);
    assert!(pause().await <= Duration::from_secs(10), "{:?}", pause().await);
}

#[tokio::test]
async fn while_nothing_answers_the_pause_stays_short() {
    let app = with_a_notice().await;
    let post = Post::silent(&app);
    for _ in 0..20 {
        assert_eq!(post.all().await.len(), 1);
        let pause = only(&app).await.due_at.since(app.clock.now());
        assert!(pause <= Duration::from_secs(40), "{pause:?}");
        app.wait(pause);
    }
}

#[tokio::test]
async fn the_first_back_off_after_a_long_pause_is_short() {
    let app = with_a_notice().await;
    let pause = async || only(&app).await.due_at.since(app.clock.now());
    let post = Post::silent(&app);
    for _ in 0..10 {
        assert_eq!(post.all().await.len(), 1);
        app.wait(pause().await);
    }
    let locked = || DeliveryError::auth_rejected("mail.example:465 refused the login (535)".to_owned(), None);
    assert_eq!(Post::judging(&app, move |_| Err(locked())).all().await.len(), 1);
    assert!(pause().await <= Duration::from_secs(5), "{:?}", pause().await);
}

/// Five guests whose messages were deferred many times: the cause is the mail server.
async fn many_deferred(app: &App) {
    for number in 0..5 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    let post = Post::judging(app, |_| Err(deferral()));
    for _ in 0..8 {
        app.wait(Duration::from_mins(20));
        post.all().await;
    }
}

async fn changed_password(ann: &Caller<'_>) {
    let body = json!({ "current_password": PASSWORD, "new_password": "lungo hums at dawn" });
    ann.post("/me/password", body).await.is(204);
}

#[tokio::test]
async fn a_first_attempt_that_is_deferred_puts_off_no_other() {
    let app = App::start().await;
    many_deferred(&app).await;
    app.wait(Duration::from_secs(19));
    let due = async || posted(&app).await.iter().take(5).map(|message| message.due_at).collect::<Vec<_>>();
    let before = due().await;
    app.sign_up("guest5@example.com").await;
    let taken = app.outbox.take(Capacity { messages: 1, retries: 0 }).await.unwrap();
    app.outbox.mark_failed(&taken[0], &deferral()).await.unwrap();
    assert_eq!(due().await, before);
}

#[tokio::test]
async fn a_security_notice_is_not_put_off_with_the_others() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    Post::taking(&app).all().await;
    many_deferred(&app).await;
    app.wait(Duration::from_mins(20));
    let guests = app.outbox.take(CAPACITY).await.unwrap();
    changed_password(&app.log_in(ANN).await).await;
    let notice = app.outbox.take(CAPACITY).await.unwrap();
    assert_eq!((guests.len(), notice.len()), (5, 1));
    for outgoing in notice.iter().chain(&guests) {
        app.outbox.mark_failed(outgoing, &deferral()).await.unwrap();
    }
    let messages = posted(&app).await;
    let notice = messages.iter().find(|message| message.to == ANN).unwrap();
    let pause = notice.due_at.since(app.clock.now());
    assert!(pause <= Duration::from_secs(5), "{pause:?}");
}

#[tokio::test]
async fn a_security_notice_comes_first_at_further_attempts_too() {
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    Post::taking(&app).all().await;
    let defer = async || {
        for outgoing in app.outbox.take(CAPACITY).await.unwrap() {
            app.outbox.mark_failed(&outgoing, &deferral()).await.unwrap();
        }
    };
    changed_password(&ann).await;
    defer().await;
    app.wait(Duration::from_mins(20));
    defer().await;
    app.sign_up(BOB).await;
    defer().await;
    app.wait(Duration::from_mins(20));
    let taken = app.outbox.take(Capacity { messages: 1, retries: 1 }).await.unwrap();
    assert_eq!((taken[0].message.to.as_str(), taken[0].attempts()), (ANN, 3));
}

#[tokio::test]
async fn a_report_after_the_lease_changes_nothing() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let late = app.outbox.take(CAPACITY).await.unwrap();
    app.wait(LEASE);
    assert_eq!(app.outbox.take(CAPACITY).await.unwrap().len(), 1);
    let due = only(&app).await.due_at;
    for delivery_error in [refusal(), deferral(), DeliveryError::not_attempted("no room".to_owned())] {
        app.outbox.mark_failed(&late[0], &delivery_error).await.unwrap();
        let message = only(&app).await;
        assert_eq!((message.state, message.attempts, message.due_at), (MessageState::Waiting, 2, due));
        assert_eq!(message.last_error, None);
    }
}

#[tokio::test]
async fn a_deferral_concerns_one_message_and_no_other() {
    let app = App::start().await;
    for email in [ANN, BOB, "cid@example.com"] {
        app.sign_up(email).await;
    }
    let post = Post::judging(&app, |handed| if handed.to == BOB { Err(deferral()) } else { Ok(()) });
    assert_eq!(to(&post.all().await), [ANN, BOB, "cid@example.com"]);
    let left = only(&app).await;
    assert_eq!((left.to.as_str(), left.attempts), (BOB, 1));
    let why = left.last_error.unwrap();
    assert_eq!(why, "mail.example:465 refused the recipient (450); it said: come back later");
}

#[tokio::test]
async fn pauses_grow_after_each_deferral_up_to_a_quarter_of_an_hour() {
    let app = with_a_notice().await;
    let post = Post::judging(&app, |_| Err(deferral()));
    for attempt in 1..=15_u32 {
        assert_eq!(post.all().await.len(), 1, "{attempt}");
        let message = only(&app).await;
        assert_eq!(message.attempts, attempt);
        let most = Duration::from_secs(5 << (attempt - 1)).min(Duration::from_mins(15));
        let pause = message.due_at.since(app.clock.now());
        assert!(most / 2 <= pause && pause <= most, "{attempt}: {pause:?}");
        app.wait(pause.checked_sub(MOMENT).unwrap());
        assert_eq!(post.all().await, [], "{attempt}: not a moment earlier");
        app.wait(MOMENT);
    }
}

#[tokio::test]
async fn a_message_has_the_same_id_and_the_same_content_at_each_attempt() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let mut tries = 0;
    let post = Post::judging(&app, move |_| {
        tries += 1;
        match tries {
            1 => Err(deferral()),
            2 => Err(timed_out()),
            _ => Ok(()),
        }
    });
    let mut handed = Vec::new();
    for _ in 0..3 {
        handed.extend(post.all().await);
        app.wait(Duration::from_mins(1));
    }
    assert_eq!(handed.len(), 3);
    assert_eq!(handed[0], handed[1]);
    assert_eq!(handed[0], handed[2]);
}

/// Defers the only message until it is given up.
async fn defer_until_dead(app: &App) -> OutboxEntry {
    let post = Post::judging(app, |_| Err(deferral()));
    loop {
        post.all().await;
        let message = only(app).await;
        if message.state == MessageState::Dead {
            return message;
        }
        app.wait(message.due_at.since(app.clock.now()));
    }
}

#[tokio::test]
async fn after_two_days_a_message_is_given_up_and_can_be_seen_to_be() {
    let app = with_a_notice().await;
    let dead = defer_until_dead(&app).await;
    let tried_for = app.clock.now().since(START);
    assert!(tried_for >= TWO_DAYS && tried_for < TWO_DAYS + Duration::from_hours(1), "{tried_for:?}");
    assert!(dead.last_error.unwrap().contains("refused"));
    let post = Post::taking(&app);
    for _ in 0..3 {
        app.wait(Duration::from_hours(12));
        assert_eq!(post.all().await, [], "it is not tried any more");
    }
    assert_eq!(only(&app).await.state, MessageState::Dead);
}

#[tokio::test]
async fn what_was_given_up_holds_back_nothing() {
    let app = with_a_notice().await;
    defer_until_dead(&app).await;
    forgot(&app, ANN).await;
    let handed = Post::taking(&app).all().await;
    assert_eq!(handed.iter().map(|handed| handed.about).collect::<Vec<_>>(), ["reset_password"]);
}

#[tokio::test]
async fn a_dead_message_is_retried_on_request() {
    let app = with_a_notice().await;
    let dead = defer_until_dead(&app).await;
    assert_eq!(retry(&app, Some(dead.id)).await, 1);
    assert_eq!(only(&app).await.state, MessageState::Waiting);
    let handed = Post::taking(&app).all().await;
    assert_eq!(handed[0].id, dead.id);
    assert_eq!(posted(&app).await.len(), 0);
    assert_eq!(retry(&app, Some(dead.id)).await, 0, "it was sent");
}

#[tokio::test]
async fn another_deferral_gives_it_up_again() {
    let app = with_a_notice().await;
    let dead = defer_until_dead(&app).await;
    assert_eq!(retry(&app, None).await, 1);
    Post::judging(&app, |_| Err(deferral())).all().await;
    let again = only(&app).await;
    assert_eq!((again.state, again.attempts), (MessageState::Dead, dead.attempts + 1));
}

#[tokio::test]
async fn a_retry_does_not_wait_for_the_pause_to_end() {
    let app = App::start().await;
    for email in [ANN, BOB] {
        app.sign_up(email).await;
    }
    Post::silent(&app).all().await;
    assert_eq!(Post::taking(&app).all().await, []);
    assert_eq!(retry(&app, None).await, 2);
    assert_eq!(to(&Post::taking(&app).all().await), [BOB, ANN], "who was tried less comes first");
}

#[tokio::test]
async fn a_dead_message_that_has_expired_stays_dead() {
    let app = App::start().await;
    app.signed_in(ANN).await;
    forgot(&app, ANN).await;
    app.wait_nearly(Duration::from_hours(1));
    assert_eq!(only(&app).await.state, MessageState::Waiting);
    app.wait(MOMENT);
    let expired = only(&app).await;
    assert_eq!((expired.state, expired.attempts), (MessageState::Dead, 0));
    assert_eq!(retry(&app, Some(expired.id)).await + retry(&app, None).await, 0);
    assert_eq!(Post::taking(&app).all().await, []);
    forgot(&app, ANN).await;
    assert_eq!(Post::taking(&app).all().await.len(), 1, "it holds back nothing");
}

#[tokio::test]
async fn there_is_nothing_to_retry_where_there_is_no_such_message() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    assert_eq!(retry(&app, Some(MessageId(uuid::Uuid::now_v7()))).await, 0);
    assert_eq!(only(&app).await.attempts, 0);
}

#[tokio::test]
async fn nothing_is_lost_if_the_worker_stops() {
    let app = App::start().await;
    for email in [ANN, BOB] {
        app.sign_up(email).await;
    }
    let taken = app.outbox.take(CAPACITY).await.unwrap();
    let ids: Vec<_> = taken.iter().map(|outgoing| outgoing.id).collect();
    assert_eq!(ids.len(), 2);
    drop(taken);
    app.wait_nearly(LEASE);
    let post = Post::taking(&app);
    assert_eq!(post.all().await, [], "no other worker takes them meanwhile");
    app.wait(MOMENT);
    let handed = post.all().await;
    assert_eq!(handed.iter().map(|handed| handed.id).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn a_message_without_a_connection_is_due_at_once_and_was_not_tried() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    for _ in 0..3 {
        let taken = app.outbox.take(CAPACITY).await.unwrap();
        assert_eq!(taken.len(), 1);
        app.outbox.mark_failed(&taken[0], &DeliveryError::not_attempted("no room".to_owned())).await.unwrap();
        assert_eq!(only(&app).await.attempts, 0);
    }
}

#[tokio::test]
async fn there_is_room_for_what_was_not_tried_before() {
    let app = App::start().await;
    for number in 0..4 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    let taken = app.outbox.take(CAPACITY).await.unwrap();
    for outgoing in &taken {
        app.outbox.mark_failed(outgoing, &deferral()).await.unwrap();
    }
    app.wait(Duration::from_secs(5));
    app.sign_up(ANN).await;
    let taken = app.outbox.take(Capacity { messages: 4, retries: 2 }).await.unwrap();
    let to: Vec<_> = taken.iter().map(|outgoing| outgoing.message.to.as_str()).collect();
    assert_eq!(to, [ANN, "guest0@example.com", "guest1@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_at_once_send_each_message_once() {
    let app = App::start().await;
    for number in 0..40 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    let (one, other) = (Post::taking(&app), Post::taking(&app));
    let (one, other) = tokio::join!(one.all(), other.all());
    let handed = [one, other].concat();
    let ids: HashSet<_> = handed.iter().map(|handed| handed.id).collect();
    assert_eq!((handed.len(), ids.len()), (40, 40));
}

#[tokio::test]
async fn a_message_that_was_sent_twice_is_forgotten_all_the_same() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let taken = app.outbox.take(CAPACITY).await.unwrap();
    app.wait(LEASE);
    assert_eq!(Post::taking(&app).all().await.len(), 1);
    app.outbox.mark_sent(taken[0].id).await.unwrap();
    app.outbox.mark_failed(&taken[0], &refusal()).await.unwrap();
    assert_eq!(posted(&app).await.len(), 0);
}

#[tokio::test]
async fn messages_go_with_the_account() {
    let app = App::start().await;
    let boss = app.admin().await;
    let id = app.sign_up(ANN).await["id"].as_str().unwrap().to_owned();
    let taken = app.outbox.take(CAPACITY).await.unwrap();
    boss.delete(&format!("/users/{id}")).await.is(204);
    app.outbox.mark_failed(&taken[0], &timed_out()).await.unwrap();
    app.wait(Duration::from_mins(5));
    assert_eq!(Post::taking(&app).all().await, []);
    assert_eq!(posted(&app).await.len(), 0);
}

#[tokio::test]
async fn what_is_written_while_nothing_answers_is_tried_on_its_own() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let post = Post::silent(&app);
    post.all().await;
    app.sign_up(BOB).await;
    assert_eq!(to(&post.all().await), [BOB]);
    app.wait(Duration::from_secs(10));
    let handed: HashSet<_> = Post::taking(&app).all().await.into_iter().map(|handed| handed.to).collect();
    assert_eq!(handed.len(), 2);
}

#[tokio::test]
async fn a_sign_up_does_not_wait_for_its_message() {
    let app = App::start().await;
    let post = Post::silent(&app);
    post.all().await;
    app.sign_up(ANN).await;
    app.log_in(ANN).await.get("/me").await.is(200);
    post.all().await;
    app.wait(Duration::from_mins(1));
    Post::taking(&app).all().await;
    assert_eq!(posted(&app).await.len(), 0);
}

#[tokio::test]
async fn a_worker_that_is_stopped_sends_what_was_enqueued_before() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let post = Post::taking(&app);
    let (stop, stopped) = tokio::sync::watch::channel(true);
    post.worker.run(stopped).await;
    drop(stop);
    assert_eq!(post.fake.handed.lock().unwrap().len(), 1);
    assert!(*post.fake.rests.lock().unwrap() > 0, "it lets go of the connection");
}

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_takes_nothing_more() {
    let app = App::start().await;
    for number in 0..5 {
        app.sign_up(&format!("guest{number}@example.com")).await;
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let post = Post::judging(&app, move |_| {
        stop.send_replace(true);
        Ok(())
    });
    let fake = post.fake.clone();
    post.worker.run(stopped).await;
    assert_eq!(fake.handed.lock().unwrap().len(), 1);
    assert!(*fake.rests.lock().unwrap() > 0, "it lets go of the connection");
    let left = posted(&app).await;
    assert_eq!(left.len(), 4, "what was on its way is reported as sent");
    assert!(left.iter().all(|message| message.attempts == 0), "{left:?}");
}

#[tokio::test]
async fn a_stored_message_is_encrypted_and_listed_without_its_content() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    let sealed = bytes(&app.stored::<String>("SELECT sealed FROM outbox"));
    let listed = format!("{:?}", posted(&app).await);
    let mail = app.mail(ANN).await;
    for secret in [mail.token(), &mail.code, "verify?token"] {
        let holds = sealed.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!holds && !listed.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_was_sealed_as_one_message_is_not_read_as_another() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.sign_up(BOB).await;
    assert!(posted(&app).await.iter().all(|message| message.kind.is_some()));
    let mix_up = "UPDATE outbox SET sealed = (SELECT sealed FROM outbox ORDER BY seq DESC LIMIT 1)";
    app.execute(mix_up);
    let read: Vec<_> = posted(&app).await.into_iter().map(|message| message.kind.is_some()).collect();
    assert_eq!(read, [false, true]);
}

#[tokio::test]
async fn many_messages_are_listed_in_pages_oldest_first() {
    let app = App::start().await;
    let boss = app.admin().await;
    for number in 0..5 {
        app.sign_up(&format!("guest{number}@example.com")).await;
        app.wait(MOMENT);
    }
    let listed = posted(&app).await;
    let times: Vec<Timestamp> = listed.iter().map(|message| message.created_at).collect();
    assert!(times.is_sorted() && times.len() == 5, "{times:?}");
    assert_eq!(app.outbox.list(&Admin::from_cli(), None).await.unwrap().next, None);
    let users: Value = boss.get("/users").await.is(200).body;
    assert!(!users.to_string().contains("outbox"));
}

#[tokio::test]
async fn one_message_that_breaks_connections_delays_no_other_for_long() {
    let app = App::start().await;
    app.sign_up(ANN).await;
    app.sign_up(BOB).await;
    let post = Post::judging(&app, |handed| if handed.to == ANN { Err(timed_out()) } else { Ok(()) });
    let mut reached = Vec::new();
    for _ in 0..60 {
        reached.extend(post.all().await.into_iter().map(|handed| handed.to));
        app.wait(Duration::from_mins(1));
    }
    assert!(reached.iter().any(|to| to == BOB), "{} tries in an hour, all of them to {ANN}", reached.len());
}

#[tokio::test]
async fn no_login_is_tried_while_the_circuit_breaker_is_open() {
    let app = with_a_notice().await;
    let locked = || DeliveryError::auth_rejected("mail.example:465 refused the login (535)".to_owned(), None);
    let post = Post::judging(&app, move |_| Err(locked()));
    for _ in 0..10 {
        post.all().await;
        app.wait(only(&app).await.due_at.since(app.clock.now()));
    }
    assert_eq!(post.all().await.len(), 1);
    let pause = only(&app).await.due_at.since(app.clock.now());
    assert!(pause >= Duration::from_mins(5), "{pause:?}");
    for number in 0..5 {
        app.sign_up(&format!("guest{number}@example.com")).await;
        assert_eq!(to(&post.all().await), [""; 0], "{number}");
    }
}

#[tokio::test]
async fn what_an_older_version_wrote_waits_for_nothing() {
    if sqlite_only() {
        return;
    }
    let app = App::start().await;
    let ann = app.signed_in(ANN).await;
    forgot(&app, ANN).await;
    forgot(&app, ANN).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "lungo hums at dawn" });
    ann.post("/me/password", body).await.is(204);
    // As the table was before.
    app.execute(
        "DROP INDEX outbox_mailbox;
         DROP INDEX outbox_turn;
         ALTER TABLE outbox DROP COLUMN mailbox;
         ALTER TABLE outbox DROP COLUMN urgent;
         ALTER TABLE outbox DROP COLUMN deferred;
         CREATE INDEX outbox_turn ON outbox (attempts, seq) WHERE state = 'waiting';",
    );
    app.execute(include_str!("../../migrations/sqlite/V13__outbox_by_mailbox.sql"));
    let taken = app.outbox.take(CAPACITY).await.unwrap();
    let about: Vec<_> = taken.iter().map(|outgoing| outgoing.message.kind.into_str()).collect();
    assert_eq!(about, ["password_changed", "reset_password", "reset_password"]);
}
