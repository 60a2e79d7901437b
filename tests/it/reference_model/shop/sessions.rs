//! The model's sessions, and the user of a token.

use super::{Shop, values::*};

impl Shop {
    pub fn log_in(&mut self, email: Address, password: usize) -> Result<usize, Refusal> {
        let found = self.with_address(email).filter(|tag| self.people[tag].password == Some(password));
        let tag = found.ok_or(WRONG_PASSWORD)?;
        let (now, person) = (self.now, self.people.get_mut(&tag).unwrap());
        if person.disabled {
            return Err((403, "account_disabled"));
        }
        if !person.verified() && !self.unverified_may_log_in {
            return Err((403, "email_not_verified"));
        }
        person.last_login_at = Some(now);
        let session = Session {
            whose: tag,
            created_at: now,
            last_used_at: now,
            expires_at: now + 30 * DAY,
            current: String::new(),
            previous: None,
        };
        let number = self.logins;
        self.logins += 1;
        self.sessions.insert(number, session);
        self.tell(tag, "session.started");
        let mut own: Vec<_> = self.sessions.iter().filter(|(_, session)| session.whose == tag).collect();
        if own.len() > 120 {
            own.sort_by_key(|(other, session)| (**other == number, session.last_used_at, **other));
            let ended: Vec<_> = own.iter().rev().skip(100).map(|(other, _)| **other).collect();
            for other in ended {
                self.sessions.remove(&other);
            }
            self.tell(tag, "sessions.ended");
        }
        Ok(number)
    }

    /// The session goes on, or the reply was lost and it went on already.
    pub fn refresh(&mut self, token: Access, jti: &str) -> Result<(), Refusal> {
        let now = self.now;
        let session = self.sessions.get_mut(&token.session).filter(|_| token.until > now);
        let session = session.ok_or(NO_REFRESH)?;
        let person = &self.people[&session.whose];
        if !person.verified() && !self.unverified_may_log_in {
            return Err(NO_REFRESH);
        }
        if session.current == jti {
            session.last_used_at = now;
            session.expires_at = (now + 30 * DAY).min(session.created_at + 90 * DAY);
            session.previous = Some(std::mem::take(&mut session.current));
            return Ok(());
        }
        if session.previous.as_deref() == Some(jti) && now <= session.last_used_at + 10 * SECOND {
            return Ok(());
        }
        let whose = session.whose;
        self.sessions.remove(&token.session);
        self.tell(whose, "session.refresh_reuse_detected");
        Err(NO_REFRESH)
    }

    pub fn logout(&mut self, token: Access) {
        if token.until > self.now {
            let _ = self.end_session(token.session);
        }
    }

    pub(super) fn end_session(&mut self, number: usize) -> Result<(), Refusal> {
        let session = self.sessions.remove(&number).ok_or(NOT_FOUND)?;
        self.tell(session.whose, "session.ended");
        Ok(())
    }

    pub(super) fn end_sessions(&mut self, tag: Tag) -> bool {
        self.end_sessions_but(tag, None)
    }

    pub(super) fn end_sessions_but(&mut self, tag: Tag, kept: Option<usize>) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|number, session| session.whose != tag || kept == Some(*number));
        self.sessions.len() < before
    }

    pub fn end_all_sessions(&mut self, tag: Tag) {
        if self.end_sessions(tag) {
            self.tell(tag, "sessions.ended");
        }
    }

    pub fn end_own_session(&mut self, tag: Tag, number: usize) -> Result<(), Refusal> {
        self.sessions.get(&number).filter(|session| session.whose == tag).ok_or(NOT_FOUND)?;
        self.end_session(number)
    }

    /// A user's sessions, latest used first.
    pub fn sessions_of(&self, tag: Tag) -> Vec<usize> {
        let own = self.sessions.iter().filter(|(_, session)| session.whose == tag);
        let mut own: Vec<_> = own.map(|(number, session)| (session.last_used_at, *number)).collect();
        own.sort_unstable();
        own.into_iter().rev().map(|(_, number)| number).collect()
    }

    /// Who is behind an access token.
    pub fn who(&self, token: Option<Access>) -> Result<Tag, Refusal> {
        let session = token.filter(|token| token.until > self.now).map(|token| token.session);
        session
            .and_then(|number| self.sessions.get(&number))
            .map(|session| session.whose)
            .ok_or(NOT_SIGNED_IN)
    }

    pub fn admin(&self, token: Option<Access>) -> Result<Tag, Refusal> {
        self.who(token).and_then(|tag| if self.people[&tag].acts() { Ok(tag) } else { Err(FORBIDDEN) })
    }
}
