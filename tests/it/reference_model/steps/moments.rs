//! The last moment before an expiry, the expiry itself, and the first moment after it; and a long session.

use serde_json::json;

use super::super::{
    shop::{DAY, HOUR, Proof, SECOND},
    story::{Pair, Same, Story},
};

impl Story {
    /// Whether there was a wait until about then. Where time passes slowly, waits are short.
    fn until(&mut self, end: i64) -> bool {
        let millis = end - self.shop.now - 2 + self.chance.up_to(3);
        let is_soon = millis > 0 && (millis < HOUR || !self.calm);
        if is_soon {
            self.pass("wait for the moment", millis);
        }
        is_soon
    }

    /// Waits for the end of something that still counts, and uses it.
    pub(super) async fn last_moment(&mut self, kind: &str) -> Same {
        match self.chance.below(5) {
            0 | 1 => self.last_moment_of_a_proof(kind).await,
            2 => self.last_moment_of_a_token(kind).await,
            3 => self.last_moment_of_a_session(kind).await,
            _ => self.last_moment_of_an_account(kind).await,
        }
    }

    async fn last_moment_of_a_proof(&mut self, kind: &str) -> Same {
        let Some(mail) = self.chance.any(&self.mails) else { return Ok(()) };
        let Some(code) = self.shop.codes.iter().find(|code| code.link == mail.token()) else { return Ok(()) };
        let (to, digits) = (code.to, code.digits.clone());
        let ends = [code.digits_until, code.link_until];
        let by_code = self.chance.percent(50);
        let (end, proof, body) = match digits.filter(|_| by_code) {
            Some(digits) => {
                let body = json!({ "email": to.text(), "code": digits });
                (ends[0], Proof::Code(to, digits), body)
            }
            None => (ends[1], Proof::Link(mail.token().to_owned()), json!({ "token": mail.token() })),
        };
        if !self.until(end) {
            return Ok(());
        }
        if mail.link.contains("/verify?") {
            self.verify_with(kind, &proof, body).await
        } else {
            self.reset_with(kind, &proof, body).await
        }
    }

    async fn last_moment_of_a_token(&mut self, kind: &str) -> Same {
        let good = |pair: &&Pair| self.shop.who(Some(pair.good)).is_ok();
        let good: Vec<_> = self.pairs.iter().filter(good).cloned().collect();
        match self.chance.any(&good) {
            Some(pair) if self.until(pair.good.until) => self.me_as(kind, Some(&pair)).await,
            _ => Ok(()),
        }
    }

    /// Its end, or that of the grace in which the token before counts.
    async fn last_moment_of_a_session(&mut self, kind: &str) -> Same {
        let Some(pair) = self.chance.any(&self.pairs) else { return Ok(()) };
        let Some(session) = self.shop.sessions.get(&pair.renews.session) else { return Ok(()) };
        let was_used = session.current != pair.jti;
        let end = if was_used { session.last_used_at + 10 * SECOND } else { session.expires_at };
        if self.until(end) {
            return self.refresh_with(kind, pair.refresh, Some((pair.renews, pair.jti))).await;
        }
        Ok(())
    }

    async fn last_moment_of_an_account(&mut self, kind: &str) -> Same {
        let waiting = self.shop.people.values().filter(|person| person.expires_at.is_some());
        let waiting: Vec<_> = waiting.cloned().collect();
        let Some(person) = self.chance.any(&waiting) else { return Ok(()) };
        let Some((end, password)) = person.expires_at.zip(person.password) else { return Ok(()) };
        if self.until(end) {
            return self.log_in_with(kind, person.email, password).await;
        }
        Ok(())
    }

    /// A session that is renewed in time again and again, until it ends all the same.
    pub(super) async fn live_long(&mut self, kind: &str) -> Same {
        let sessions = &self.shop.sessions;
        let counts = |pair: &&Pair| {
            sessions.get(&pair.renews.session).is_some_and(|session| session.current == pair.jti)
        };
        let current: Vec<_> = self.pairs.iter().filter(counts).cloned().collect();
        let Some(mut pair) = self.chance.any(&current) else { return Ok(()) };
        for _ in 0..6 {
            let millis = 10 * DAY + self.chance.up_to(20 * DAY);
            self.pass("wait for days", millis);
            self.refresh_with(kind, pair.refresh.clone(), Some((pair.renews, pair.jti.clone()))).await?;
            if !self.shop.sessions.contains_key(&pair.renews.session) {
                break;
            }
            pair = self.pairs.last().unwrap().clone();
        }
        Ok(())
    }
}
