//! The shop of the contract, in a few plain lists: what every operation answers and changes.

mod accounts;
mod codes;
mod sessions;
mod values;

use std::collections::BTreeMap;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

pub use self::values::*;

struct Sent {
    messages: usize,
    latest: i64,
    until: i64,
}

#[derive(Default)]
pub struct Shop {
    pub now: i64,
    unverified_may_log_in: bool,
    /// Whether a sign-up tells nothing but by mail.
    pub hides_taken_emails: bool,
    pub people: BTreeMap<Tag, Person>,
    pub sessions: BTreeMap<usize, Session>,
    pub codes: Vec<Code>,
    /// The mails that must come after this step.
    pub messages: Vec<MessageKind>,
    /// What the audit holds: when, about whom, what.
    pub events: Vec<(i64, Tag, &'static str)>,
    /// Who is gone since their time ran out, and was not swept away yet.
    unswept: Vec<(Tag, Address)>,
    sent: BTreeMap<(&'static str, usize), Sent>,
    came: Tag,
    logins: usize,
}

impl Shop {
    pub fn new(now: i64, unverified_may_log_in: bool, hides_taken_emails: bool) -> Self {
        Self { now, unverified_may_log_in, hides_taken_emails, ..Self::default() }
    }

    /// Time passes. What ends by it has ended, cleaned up or not.
    pub fn wait(&mut self, millis: i64) {
        self.now += millis;
        let now = self.now;
        let late = |person: &Person| person.expires_at.is_some_and(|at| at <= now);
        let late: Vec<_> =
            self.people.iter().filter(|(_, person)| late(person)).map(|(tag, _)| *tag).collect();
        for tag in late {
            self.unswept.push((tag, self.people[&tag].email));
            self.forget(tag);
        }
        self.sessions.retain(|_, session| session.expires_at > now);
        self.codes.retain(|code| code.link_until > now);
        self.sent.retain(|_, sent| sent.until > now);
    }

    /// Who is gone, but for the clean-up.
    pub fn gone(&self) -> Vec<Tag> {
        self.unswept.iter().map(|(tag, _)| *tag).collect()
    }

    /// Every instant at which something ends.
    pub fn ends(&self) -> Vec<i64> {
        let people = self.people.values().filter_map(|person| person.expires_at);
        let sessions = self.sessions.values().flat_map(|s| [s.expires_at, s.last_used_at + 10 * SECOND]);
        let codes = self.codes.iter().flat_map(|code| [code.digits_until, code.link_until]);
        let sent = self.sent.values().flat_map(|sent| [sent.latest + HOUR, sent.until]);
        people.chain(sessions).chain(codes).chain(sent).collect()
    }

    fn tell(&mut self, tag: Tag, action: &'static str) {
        self.events.push((self.now, tag, action));
    }

    fn forget(&mut self, tag: Tag) {
        self.people.remove(&tag);
        self.sessions.retain(|_, session| session.whose != tag);
        self.codes.retain(|code| code.whose != tag);
    }

    fn delete(&mut self, tag: Tag, action: &'static str) {
        self.forget(tag);
        self.tell(tag, action);
    }

    pub fn with_address(&self, address: Address) -> Option<Tag> {
        let mut people = self.people.iter();
        people.find(|(_, person)| person.email.number == address.number).map(|(tag, _)| *tag)
    }

    /// An expired user releases the address.
    fn free(&mut self, address: Address) {
        if let Some(at) = self.unswept.iter().position(|(_, old)| old.number == address.number) {
            let (tag, _) = self.unswept.remove(at);
            self.tell(tag, "user.expired");
        }
    }

    fn not_the_last_admin(&self) -> Result<(), Refusal> {
        let admins = self.people.values().filter(|person| person.acts()).count();
        if admins > 1 { Ok(()) } else { Err(LAST_ADMIN) }
    }

    fn come(
        &mut self,
        email: Address,
        names: [Name; 2],
        password: Option<usize>,
        action: &'static str,
    ) -> Tag {
        self.free(email);
        let (tag, now) = (self.came, self.now);
        self.came += 1;
        let person = Person {
            email,
            names,
            admin: false,
            disabled: false,
            verified_at: None,
            expires_at: Some(now + 2 * DAY),
            created_at: now,
            updated_at: now,
            last_login_at: None,
            password,
            reminded_for: None,
        };
        self.people.insert(tag, person);
        self.tell(tag, action);
        tag
    }

    /// A page, whether there is another one, and how many are on all of them.
    pub fn list(&self, query: &Query) -> (Vec<Tag>, bool, usize) {
        let is = |wanted: Option<bool>, is: bool| wanted.is_none_or(|wanted| wanted == is);
        let mut found: Vec<_> = self.people.iter().map(|(tag, person)| (*tag, person)).collect();
        found.retain(|(_, person)| {
            is(query.admin, person.admin)
                && is(query.verified, person.verified())
                && is(query.disabled, person.disabled)
                && query.text.is_none_or(|text| has_text(person, text))
        });
        let all = found.len();
        let by_age = |tag: Tag, person: &Person| (person.created_at, tag);
        match query.sort {
            0 | 1 => found.sort_by_key(|(tag, person)| by_age(*tag, person)),
            _ => found.sort_by_key(|(_, person)| person.email.key()),
        }
        if [0, 3].contains(&query.sort) {
            found.reverse();
        }
        if let Some((at, last, key)) = query.after {
            found.retain(|(tag, person)| match query.sort {
                0 => by_age(*tag, person) < (at, last),
                1 => by_age(*tag, person) > (at, last),
                2 => person.email.key() > key,
                _ => person.email.key() < key,
            });
        }
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        (found.into_iter().map(|(tag, _)| tag).collect(), more, all)
    }

    // The console and the clock.

    pub fn create_admin(&mut self, email: Address, password: usize) -> Result<Tag, Refusal> {
        if self.with_address(email).is_some() {
            return Err(TAKEN);
        }
        let tag = self.come(email, [None; 2], Some(password), "user.created");
        let person = self.people.get_mut(&tag).unwrap();
        (person.admin, person.verified_at, person.expires_at) = (true, Some(person.created_at), None);
        Ok(tag)
    }

    pub fn reset_link(&mut self, tag: Tag) -> Result<(), Refusal> {
        self.there(tag)?;
        self.tell(tag, "password.reset_link_created");
        self.keep(tag, Purpose::AdminReset, self.people[&tag].email);
        Ok(())
    }

    /// Deletes expired users, or those unverified for so long; returns how many.
    pub fn purge(&mut self, older_than: i64) -> usize {
        let by = self.now - older_than + 2 * DAY;
        let due = |person: &Person| person.expires_at.is_some_and(|at| at <= by);
        let due: Vec<_> = self.people.iter().filter(|(_, person)| due(person)).map(|(tag, _)| *tag).collect();
        let swept = std::mem::take(&mut self.unswept);
        let gone: Vec<_> = swept.into_iter().map(|(tag, _)| tag).chain(due).collect();
        for tag in &gone {
            self.delete(*tag, "user.expired");
        }
        self.events.retain(|(at, ..)| *at >= self.now - 365 * DAY);
        gone.len()
    }

    /// Reminds each user whose last day has begun, once; returns how many.
    pub fn remind(&mut self) -> usize {
        const REMINDERS: [&str; 2] = [
            "Confirm your e-mail, or your account will be deleted",
            "Your invitation to Coffee Shop is about to end",
        ];
        let now = self.now;
        let due = |person: &Person| {
            person.expires_at.is_some_and(|at| at <= now + DAY)
                && !person.disabled
                && person.reminded_for != person.expires_at
        };
        let due: Vec<_> = self.people.iter().filter(|(_, person)| due(person)).map(|(tag, _)| *tag).collect();
        for tag in &due {
            let person = self.people.get_mut(tag).unwrap();
            person.reminded_for = person.expires_at;
            self.ask_to_verify(*tag, REMINDERS);
        }
        due.len()
    }

    /// Other keys; in an emergency every session ends.
    pub fn rotate_keys(&mut self, is_emergency: bool) {
        let people: Vec<_> = self.people.keys().copied().filter(|_| is_emergency).collect();
        for tag in people {
            self.end_all_sessions(tag);
        }
    }
}

fn has_text(person: &Person, text: &str) -> bool {
    let names: Vec<_> = person.names.iter().flatten().copied().collect();
    let texts = [person.email.text(), person.email.key(), &names.join(" ")].map(plain);
    plain(text).split_whitespace().all(|word| texts.iter().any(|found| found.contains(word)))
}

/// Without case and accents.
fn plain(text: &str) -> String {
    text.to_lowercase().nfd().filter(|c| !is_combining_mark(*c)).collect()
}
