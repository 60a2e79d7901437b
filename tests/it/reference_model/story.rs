//! One sequence: a shop and its model side by side, step after step, and what must be the same in both.

use std::{collections::BTreeSet, path::Path};

use coffeeshop::{
    api,
    config::Config,
    core::Admin,
    domain::{Limit, UserId, UserQuery, UserSort},
};
use poem::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Tally,
    chance::Chance,
    look,
    shop::{Access, PASSWORDS, Query, Refusal, Shop, Tag},
};
use crate::app::{Answer, App, Mail, START};

/// After how many steps everything that can be seen of the shop is looked at.
const LOOK_EVERY: usize = 16;
/// How many tokens and mails are kept to be tried again.
const KEPT: usize = 30;

/// All is as it must be, or what is not.
pub type Same = Result<(), String>;

/// The tokens of one answer, and what the model has to know of them.
#[derive(Clone)]
pub struct Pair {
    pub access: String,
    pub good: Access,
    pub refresh: String,
    pub renews: Access,
    pub jti: String,
}

pub struct Story {
    pub app: App,
    pub shop: Shop,
    pub chance: Chance,
    /// Time passes slowly in this story, so that much happens within an hour.
    pub calm: bool,
    /// By number: every user and session that ever existed.
    pub ids: Vec<String>,
    pub sids: Vec<String>,
    pub pairs: Vec<Pair>,
    pub mails: Vec<Mail>,
    /// A list of users that goes on.
    pub list: Option<(Query, String)>,
    /// The steps so far, in words.
    pub said: Vec<String>,
    /// The requests so far, and the status and code of each answer.
    answers: Vec<String>,
    pub tally: Tally,
    /// In memory, where the system has such a folder.
    _folder: TempDir,
}

/// What must come of a request.
pub enum Expected {
    Refused(Refusal),
    Empty(u16),
    Body(u16, Value),
}

impl Story {
    pub async fn begin(seed: u64) -> Self {
        Self::begin_with(seed, |_| {}).await
    }

    /// With other settings.
    pub async fn begin_with(seed: u64, adapt: impl FnOnce(&mut Config)) -> Self {
        let memory = Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let mut chance = Chance::new(seed);
        let (may, hides, calm) = (!chance.percent(20), chance.percent(15), chance.percent(30));
        let app = App::with(|config| {
            config.database.path = folder.path().join("coffeeshop.db");
            config.auth.allow_unverified_login = may;
            config.auth.hide_taken_emails = hides;
            config.password.max_concurrent_hashes = 1;
            config.rate_limit.enabled = false; // a story has more wrong passwords and edits than a day
            adapt(config);
        });
        Self {
            app: app.await,
            shop: Shop::new(START.millis(), may, hides),
            chance,
            calm,
            ids: Vec::new(),
            sids: Vec::new(),
            pairs: Vec::new(),
            mails: Vec::new(),
            list: None,
            said: Vec::new(),
            answers: Vec::new(),
            tally: Tally::new(),
            _folder: folder,
        }
    }

    pub async fn go(&mut self, steps: u64) -> Same {
        for step in 1..=usize::try_from(steps).unwrap() {
            self.said.push(String::new());
            self.step(step).await?;
            self.the_mails_are_the_same().await?;
            if step % LOOK_EVERY == 0 || step as u64 == steps {
                self.all_is_the_same().await?;
            }
        }
        Ok(())
    }

    /// Adds to what is said about this step.
    pub fn say(&mut self, words: &str) {
        let said = self.said.last_mut().unwrap();
        said.push_str(if said.is_empty() { "" } else { " " });
        said.push_str(words);
    }

    /// Counts this step, by its name and what came of it.
    pub fn count(&mut self, kind: &str, came: impl std::fmt::Display) {
        *self.tally.entry(format!("{kind} {came}")).or_default() += 1;
    }

    /// The latest steps in words, with numbers in the place of ids.
    pub fn latest(&self, steps: usize) -> String {
        self.with_numbers(self.said[self.said.len().saturating_sub(steps)..].join("\n  "))
    }

    /// All requests and what came of them, with numbers in the place of ids, and without what is random.
    pub fn outline(&self) -> String {
        self.with_numbers(self.answers.join("\n"))
    }

    fn with_numbers(&self, mut words: String) -> String {
        for (name, ids) in [("person", &self.ids), ("session", &self.sids)] {
            for (number, id) in ids.iter().enumerate().filter(|(_, id)| !id.is_empty()) {
                words = words.replace(id, &format!("({name} {number})"));
            }
        }
        words
    }

    // Who and what.

    /// Whose tokens a request comes with: mostly of a logged-in user.
    pub fn caller(&mut self) -> Option<Pair> {
        let good = |pair: &&Pair| self.shop.who(Some(pair.good)).is_ok();
        let alive: Vec<_> = self.pairs.iter().filter(good).cloned().collect();
        self.among(&alive)
    }

    /// Whether an admin is logged in.
    pub fn has_admin(&self) -> bool {
        self.pairs.iter().any(|pair| self.shop.admin(Some(pair.good)).is_ok())
    }

    /// The same, mostly of an admin.
    pub fn admin(&mut self) -> Option<Pair> {
        let good = |pair: &&Pair| self.shop.admin(Some(pair.good)).is_ok();
        let admins: Vec<_> = self.pairs.iter().filter(good).cloned().collect();
        if self.chance.percent(80) { self.among(&admins) } else { self.caller() }
    }

    fn among(&mut self, good: &[Pair]) -> Option<Pair> {
        match self.chance.below(100) {
            0..3 => None,
            3..80 if !good.is_empty() => Some(self.chance.pick(good)),
            _ if !self.pairs.is_empty() => Some(self.chance.pick(&self.pairs)),
            _ => None,
        }
    }

    /// A user's number: mostly of a user who exists, or existed until expiry.
    pub fn any_user(&mut self) -> Tag {
        let there: Vec<_> = self.shop.people.keys().copied().collect();
        let gone = self.chance.perhaps(10, &self.shop.gone());
        let there = gone.or_else(|| self.chance.perhaps(88, &there));
        there.unwrap_or_else(|| self.chance.below(self.ids.len() + 1))
    }

    /// Their id, or an unknown one.
    pub fn id(&self, tag: Tag) -> String {
        self.ids.get(tag).map_or("01a20484-5510-7459-83e3-5aa42d102753", |id| id).to_owned()
    }

    /// A password in one of its spellings.
    pub fn typed(&mut self, password: usize) -> &'static str {
        self.chance.pick(PASSWORDS[password])
    }

    // Requests.

    pub async fn send(
        &mut self,
        by: Option<&Pair>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let who = by.map_or("anonymous".to_owned(), |pair| format!("session {}", pair.good.session));
        let shown = body.as_ref().map(|body| shortened(&body.to_string())).unwrap_or_default();
        self.say(&format!("{method} {path} {shown} by {who}"));
        let caller = match by {
            Some(pair) => self.app.with_token(&pair.access),
            None => self.app.anyone(),
        };
        let answer = caller.send(method.clone(), path, body).await;
        let came = format!("{} {}", answer.status, answer.body["code"].as_str().unwrap_or_default());
        self.say(&format!("→ {came}"));
        let path = path.split('?').next().unwrap_or_default(); // not the cursor of a list
        self.answers.push(format!("{method} {path} by {who}: {came}"));
        answer
    }

    /// Whether an answer is what it must be.
    pub fn same(&mut self, kind: &str, answer: &Answer, expected: Expected) -> Same {
        let code = answer.body["code"].as_str().unwrap_or_default();
        self.count(kind, format!("{} {code}", answer.status).trim_end());
        let is_same = match &expected {
            Expected::Refused((status, expected)) => answer.status == *status && code == *expected,
            Expected::Empty(status) => answer.status == *status && answer.bytes.is_empty(),
            Expected::Body(status, body) => answer.status == *status && answer.body == *body,
        };
        let expected = match expected {
            _ if is_same => return Ok(()),
            Expected::Refused((status, code)) => format!("{status} {code}"),
            Expected::Empty(status) => format!("{status} without a body"),
            Expected::Body(status, body) => format!("{status} {body}"),
        };
        Err(format!("the model has\n  {expected}\nthe shop\n  {} {}", answer.status, answer.text()))
    }

    /// Keeps the tokens of an answer; they must be those of this session.
    pub fn keep_tokens(&mut self, number: usize, answer: &Answer) -> Same {
        let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        if answer.status != 200 {
            return Err(format!("the model has tokens, the shop {} {}", answer.status, answer.text()));
        }
        let (claims, renews) = (look::claims(&access), look::claims(&refresh));
        let session = &self.shop.sessions[&number];
        let sid = renews["sid"].as_str().unwrap().to_owned();
        if number == self.sids.len() {
            self.sids.push(sid);
        }
        // A token is good until the end of the second in which it expires.
        let now = self.shop.now;
        let good_until = (now + 15 * 60 * 1000).min(session.expires_at);
        let second = |millis: i64| (millis + 999) / 1000;
        let person = &self.shop.people[&session.whose];
        let expected = json!([
            &self.ids[session.whose],
            &self.sids[number],
            look::role(person.admin),
            look::status(person.verified()),
            second(good_until),
            (good_until - now) / 1000,
            &self.ids[session.whose],
            &self.sids[number],
            second(session.expires_at),
            (session.expires_at - now) / 1000,
            "Bearer",
        ]);
        let came = json!([
            claims["sub"],
            claims["sid"],
            claims["role"],
            claims["status"],
            claims["exp"],
            answer.body["expires_in"],
            renews["sub"],
            renews["sid"],
            renews["exp"],
            answer.body["refresh_expires_in"],
            answer.body["token_type"],
        ]);
        the_same("tokens", &expected, &came)?;
        let until = |second: i64| Access { session: number, until: second * 1000 };
        self.pairs.push(Pair {
            access,
            good: until(second(good_until)),
            refresh,
            renews: until(second(session.expires_at)),
            jti: renews["jti"].as_str().unwrap().to_owned(),
        });
        if self.pairs.len() > KEPT {
            self.pairs.remove(0);
        }
        Ok(())
    }

    // Looks.

    /// The mails that the model has came, no others, and the model learns what is in them.
    async fn the_mails_are_the_same(&mut self) -> Same {
        let mut came = self.app.new_mails().await;
        let mut messages = std::mem::take(&mut self.shop.messages);
        // Messages to one address keep their order.
        came.sort_by(|a, b| a.to.cmp(&b.to));
        messages.sort_by_key(|message| message.to.text());
        let expected: Vec<_> = messages
            .iter()
            .map(|message| json!([message.to.text(), message.subject, message.has_code, message.has_link]))
            .collect();
        let seen: Vec<_> = came
            .iter()
            .map(|mail| json!([mail.to, mail.subject, !mail.code.is_empty(), !mail.link.is_empty()]))
            .collect();
        the_same("mails", &json!(expected), &json!(seen))?;
        for (message, mail) in messages.iter().zip(came) {
            if let Some(carried) = message.carries {
                let mut codes = self.shop.codes.iter_mut();
                let code = codes.find(|code| (code.whose, code.purpose) == carried).unwrap();
                code.digits = message.has_code.then(|| mail.code.clone());
                mail.token().clone_into(&mut code.link);
                self.mails.push(mail);
            }
        }
        let old = self.mails.len().saturating_sub(KEPT);
        self.mails.drain(..old);
        Ok(())
    }

    /// All users, in order, and their sessions are those of the model.
    async fn all_is_the_same(&mut self) -> Same {
        let all = Query { limit: 200, sort: 1, ..Query::default() };
        let (people, _, count) = self.shop.list(&all);
        let query = UserQuery {
            sort: UserSort::OldestFirst,
            limit: Limit::new(200).unwrap(),
            count: true,
            ..UserQuery::default()
        };
        let console = Admin::from_cli();
        let page = self.app.users.list(&console, query).await.unwrap();
        let came: Vec<_> = page.items.iter().map(api::user_json).collect();
        the_same("number of users", &json!(count), &json!(page.total))?;
        the_same("users", &self.users(&people), &json!(came))?;
        for tag in people {
            let id = UserId::from_uuid(self.ids[tag].parse().unwrap());
            let came = self.app.sessions.list_of(&console, id).await.unwrap();
            let came: Vec<_> = came.into_iter().map(api::session_json).collect();
            the_same("sessions", &self.sessions(tag, None), &json!(came))?;
        }
        let ids: BTreeSet<_> = self.ids.iter().collect();
        if ids.len() == self.ids.len() { Ok(()) } else { Err("an id was used again".to_owned()) }
    }

    pub fn user(&self, tag: Tag) -> Value {
        look::user(&self.shop.people[&tag], &self.ids[tag])
    }

    pub fn users(&self, people: &[Tag]) -> Value {
        people.iter().map(|tag| self.user(*tag)).collect()
    }

    /// A user's sessions, as listed from this one.
    pub fn sessions(&self, tag: Tag, own: Option<usize>) -> Value {
        let numbers = self.shop.sessions_of(tag).into_iter();
        let shown = |number: usize| {
            look::session(&self.shop.sessions[&number], &self.sids[number], own == Some(number))
        };
        numbers.map(shown).collect()
    }
}

pub fn the_same(what: &str, expected: &Value, came: &Value) -> Same {
    if expected == came {
        return Ok(());
    }
    Err(format!("{what} differ: the model has\n  {expected}\nthe shop\n  {came}"))
}

/// A text in which every long word is cut off.
fn shortened(text: &str) -> String {
    let words = text.split('"').map(|word| match word.char_indices().rev().nth(9) {
        Some((end, _)) if word.len() > 40 => format!("…{}", &word[end..]),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join("\"")
}
