//! Logging in, staying logged in, logging out.

use poem::http::Method;
use serde_json::json;

use super::super::{
    shop::{Access, Address, Session},
    story::{Expected, Pair, Same, Story, the_same},
};

impl Story {
    pub(super) async fn log_in(&mut self, kind: &str) -> Same {
        let mut email = self.known_address();
        let admins: Vec<_> = self.shop.people.values().filter(|person| person.acts()).collect();
        if self.chance.percent(if self.has_admin() { 20 } else { 70 })
            && let Some(admin) = self.chance.any(&admins)
        {
            email.number = admin.email.number;
        }
        let password = self.password_of(email);
        self.log_in_with(kind, email, password).await
    }

    pub(super) async fn log_in_with(&mut self, kind: &str, email: Address, password: usize) -> Same {
        let body = json!({ "email": self.typed_address(email), "password": self.typed(password) });
        let begun = self.shop.log_in(email, password);
        let answer = self.send(None, Method::POST, "/auth/login", Some(body)).await;
        match begun {
            Err(refusal) => self.same(kind, &answer, Expected::Refused(refusal)),
            Ok(number) => {
                self.count(kind, answer.status);
                self.keep_tokens(number, &answer)?;
                let jti = self.pairs.last().unwrap().jti.clone();
                self.shop.sessions.get_mut(&number).unwrap().current = jti;
                Ok(())
            }
        }
    }

    /// A refresh token, mostly one that counts, or did before.
    pub(super) fn refresh_token(&mut self) -> (String, Option<(Access, String)>) {
        let of = |pair: &&Pair, is_it: fn(&Session, &str) -> bool| {
            self.shop.sessions.get(&pair.renews.session).is_some_and(|session| is_it(session, &pair.jti))
        };
        let current = |pair: &&Pair| of(pair, |session, jti| session.current == jti);
        let previous = |pair: &&Pair| of(pair, |session, jti| session.previous.as_deref() == Some(jti));
        let pair = match self.chance.below(100) {
            0..60 => self.chance.any(&self.pairs.iter().filter(current).cloned().collect::<Vec<_>>()),
            60..75 => self.chance.any(&self.pairs.iter().filter(previous).cloned().collect::<Vec<_>>()),
            75..97 => self.chance.any(&self.pairs),
            _ => None,
        };
        match pair {
            // An access token renews nothing.
            Some(pair) if self.chance.percent(2) => (pair.access, None),
            Some(pair) => (pair.refresh, Some((pair.renews, pair.jti))),
            None => ("no token".to_owned(), None),
        }
    }

    pub(super) async fn refresh(&mut self, kind: &str) -> Same {
        let (token, known) = self.refresh_token();
        self.refresh_with(kind, token, known).await
    }

    pub(super) async fn refresh_with(
        &mut self,
        kind: &str,
        token: String,
        known: Option<(Access, String)>,
    ) -> Same {
        let refused = Err((401, "invalid_refresh_token"));
        let renewed = known.as_ref().map_or(refused, |(token, jti)| self.shop.refresh(*token, jti));
        let body = json!({ "refresh_token": token });
        let answer = self.send(None, Method::POST, "/auth/refresh", Some(body)).await;
        if let Err(refusal) = renewed {
            return self.same(kind, &answer, Expected::Refused(refusal));
        }
        let number = known.unwrap().0.session;
        self.say(&format!("session {number}"));
        self.keep_tokens(number, &answer)?;
        let jti = self.pairs.last().unwrap().jti.clone();
        let session = self.shop.sessions.get_mut(&number).unwrap();
        if session.current.is_empty() {
            session.current.clone_from(&jti);
            self.count(kind, answer.status);
        } else {
            self.count(kind, "200 again");
        }
        the_same("refresh tokens", &json!(self.shop.sessions[&number].current), &json!(jti))
    }

    pub(super) async fn log_out(&mut self, kind: &str) -> Same {
        let (token, known) = self.refresh_token();
        if let Some((token, _)) = known {
            self.say(&format!("session {}", token.session));
            self.shop.logout(token);
        }
        let body = json!({ "refresh_token": token });
        let answer = self.send(None, Method::POST, "/auth/logout", Some(body)).await;
        self.same(kind, &answer, Expected::Empty(204))
    }

    pub(super) async fn log_out_everywhere(&mut self, kind: &str) -> Same {
        let by = self.caller();
        let who = self.shop.who(by.as_ref().map(|pair| pair.good));
        if let Ok(tag) = who {
            self.shop.end_all_sessions(tag);
        }
        let answer = self.send(by.as_ref(), Method::POST, "/auth/logout-all", None).await;
        self.same(kind, &answer, who.map_or_else(Expected::Refused, |_| Expected::Empty(204)))
    }

    pub(super) async fn own_sessions(&mut self, kind: &str) -> Same {
        let by = self.caller();
        let good = by.as_ref().map(|pair| pair.good);
        let answer = self.send(by.as_ref(), Method::GET, "/me/sessions", None).await;
        let expected = self.shop.who(good).map_or_else(Expected::Refused, |tag| {
            let own = good.map(|token| token.session);
            Expected::Body(200, json!({ "items": self.sessions(tag, own) }))
        });
        self.same(kind, &answer, expected)
    }

    pub(super) async fn end_own_session(&mut self, kind: &str) -> Same {
        let by = self.caller();
        let who = self.shop.who(by.as_ref().map(|pair| pair.good));
        let own = who.map(|tag| self.shop.sessions_of(tag)).unwrap_or_default();
        let number = self.chance.perhaps(70, &own).unwrap_or_else(|| self.chance.below(self.sids.len() + 1));
        let unknown = "01a20484-5510-7459-83e3-5aa42d102753".to_owned();
        let path = format!("/me/sessions/{}", self.sids.get(number).unwrap_or(&unknown));
        let ended = who.and_then(|tag| self.shop.end_own_session(tag, number));
        let answer = self.send(by.as_ref(), Method::DELETE, &path, None).await;
        self.say(&format!("session {number}"));
        self.same(kind, &answer, ended.map_or_else(Expected::Refused, |()| Expected::Empty(204)))
    }
}
