//! What admins do with accounts.

use std::fmt::Write as _;

use poem::http::Method;
use serde_json::{Map, Value, json};

use super::{
    super::{
        look,
        shop::{Change, Query, SORTS},
        story::{Expected, Same, Story, the_same},
    },
    choices::TEXTS,
};
use crate::app::encoded;

impl Story {
    pub(super) async fn invite(&mut self, kind: &str) -> Same {
        let (by, email, names) = (self.admin(), self.address(), self.names());
        let role = self.chance.perhaps(60, &[false, true]);
        let mut body =
            json!({ "email": self.typed_address(email), "first_name": names[0], "last_name": names[1] });
        if let Some(admin) = role {
            body["role"] = json!(look::role(admin));
        }
        let admin = self.shop.admin(by.as_ref().map(|pair| pair.good));
        let made = admin.and_then(|_| self.shop.invite(email, names, role.unwrap_or(false)));
        let answer = self.send(by.as_ref(), Method::POST, "/users", Some(body)).await;
        if made.is_ok() {
            self.ids.push(answer.body["id"].as_str().unwrap_or_default().to_owned());
        }
        let expected = made.map_or_else(Expected::Refused, |tag| Expected::Body(201, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    /// A page: the first of a new list, or the next of one that began before, whatever happened since.
    pub(super) async fn list(&mut self, kind: &str) -> Same {
        let by = self.admin();
        let going = self.list.take().filter(|_| self.chance.percent(80));
        let (query, cursor) =
            going.map_or_else(|| (self.new_list(), None), |(query, cursor)| (query, Some(cursor)));
        let with_total = self.chance.percent(50);
        let mut path = format!("/users?sort={}&limit={}", SORTS[query.sort], query.limit);
        let filters = [
            ("q", query.text.map(encoded)),
            ("role", query.admin.map(|admin| look::role(admin).to_owned())),
            ("status", query.verified.map(|verified| look::status(verified).to_owned())),
            ("disabled", query.disabled.map(|disabled| disabled.to_string())),
            ("cursor", cursor),
            ("include_total", with_total.then(|| "true".to_owned())),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                let _ = write!(path, "&{name}={value}");
            }
        }
        let admin = self.shop.admin(by.as_ref().map(|pair| pair.good));
        let mut answer = self.send(by.as_ref(), Method::GET, &path, None).await;
        if let Err(refusal) = admin {
            return self.same(kind, &answer, Expected::Refused(refusal));
        }
        let (people, more, all) = self.shop.list(&query);
        // A cursor is the shop's own; that there is one is not.
        let cursor = answer.body["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_some() {
            answer.body["next_cursor"] = json!("more");
        }
        let mut expected = json!({ "items": self.users(&people), "next_cursor": more.then_some("more") });
        if with_total {
            expected["total"] = json!(all);
        }
        self.same(kind, &answer, Expected::Body(200, expected))?;
        if let Some((last, cursor)) = people.last().zip(cursor) {
            let person = &self.shop.people[last];
            let after = Some((person.created_at, *last, person.email.key()));
            self.list = Some((Query { after, ..query }, cursor));
        }
        Ok(())
    }

    pub(super) fn new_list(&mut self) -> Query {
        const EITHER: [bool; 2] = [false, true];
        Query {
            text: self.chance.perhaps(30, &TEXTS),
            admin: self.chance.perhaps(20, &EITHER),
            verified: self.chance.perhaps(30, &EITHER),
            disabled: self.chance.perhaps(20, &EITHER),
            sort: self.chance.below(SORTS.len()),
            after: None,
            limit: self.chance.pick(&[1, 2, 3, 50]),
        }
    }

    pub(super) async fn see_user(&mut self, kind: &str) -> Same {
        let (by, tag) = (self.admin(), self.any_user());
        let admin = self.shop.admin(by.as_ref().map(|pair| pair.good));
        let seen = admin.and_then(|_| self.shop.there(tag));
        let path = format!("/users/{}", self.id(tag));
        let answer = self.send(by.as_ref(), Method::GET, &path, None).await;
        let expected = seen.map_or_else(Expected::Refused, |tag| Expected::Body(200, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    pub(super) async fn edit_user(&mut self, kind: &str) -> Same {
        const EITHER: [bool; 2] = [false, true];
        let by = self.admin();
        let who = self.shop.who(by.as_ref().map(|pair| pair.good));
        let tag = match who {
            Ok(own) if self.chance.percent(20) => own,
            _ => self.any_user(),
        };
        let mut change = Change { names: self.name_changes(), ..Change::default() };
        if self.chance.percent(80) {
            change.email = self.chance.percent(20).then(|| self.address());
            change.admin = self.chance.perhaps(25, &EITHER);
            change.verified = self.chance.perhaps(30, &[false, true, true]);
            change.disabled = self.chance.perhaps(30, &[false, false, true]);
        }
        let edited = who.and_then(|by| self.shop.edit(by, tag, &change));
        let path = format!("/users/{}", self.id(tag));
        let answer = self.send(by.as_ref(), Method::PATCH, &path, Some(written(&change))).await;
        let expected = edited.map_or_else(Expected::Refused, |()| Expected::Body(200, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    pub(super) async fn delete_user(&mut self, kind: &str) -> Same {
        let (by, tag) = (self.admin(), self.any_user());
        let admin = self.shop.admin(by.as_ref().map(|pair| pair.good));
        let deleted = admin.and_then(|_| self.shop.remove(tag));
        let path = format!("/users/{}", self.id(tag));
        let answer = self.send(by.as_ref(), Method::DELETE, &path, None).await;
        self.same(kind, &answer, deleted.map_or_else(Expected::Refused, |()| Expected::Empty(204)))
    }

    pub(super) async fn sessions_of_user(&mut self, kind: &str) -> Same {
        let (by, tag) = (self.admin(), self.any_user());
        let good = by.as_ref().map(|pair| pair.good);
        let seen = self.shop.admin(good).and_then(|_| self.shop.there(tag));
        let path = format!("/users/{}/sessions", self.id(tag));
        let answer = self.send(by.as_ref(), Method::GET, &path, None).await;
        let expected = seen.map_or_else(Expected::Refused, |tag| {
            let own = good.map(|token| token.session);
            Expected::Body(200, json!({ "items": self.sessions(tag, own) }))
        });
        self.same(kind, &answer, expected)
    }

    pub(super) async fn end_sessions(&mut self, kind: &str) -> Same {
        let (by, tag) = (self.admin(), self.any_user());
        let admin = self.shop.admin(by.as_ref().map(|pair| pair.good));
        let ended = admin.and_then(|_| self.shop.there(tag));
        if ended.is_ok() {
            self.shop.end_all_sessions(tag);
        }
        let path = format!("/users/{}/sessions", self.id(tag));
        let answer = self.send(by.as_ref(), Method::DELETE, &path, None).await;
        self.same(kind, &answer, ended.map_or_else(Expected::Refused, |_| Expected::Empty(204)))
    }

    /// The events about a user, who may be deleted, newest first.
    pub(super) async fn audit(&mut self, kind: &str) -> Same {
        let (by, tag) = (self.admin(), self.chance.below(self.ids.len()));
        let admin = self.shop.admin(by.as_ref().map(|pair| pair.good));
        let path = format!("/audit?limit=200&user_id={}", self.id(tag));
        let answer = self.send(by.as_ref(), Method::GET, &path, None).await;
        if let Err(refusal) = admin {
            return self.same(kind, &answer, Expected::Refused(refusal));
        }
        self.count(kind, answer.status);
        let about = self.shop.events.iter().rev().filter(|(_, about, _)| *about == tag).take(200);
        let expected: Vec<_> = about.map(|(at, _, action)| json!([look::time(*at), action])).collect();
        let items = answer.body["items"].as_array().into_iter().flatten();
        let came: Vec<_> = items.map(|event| json!([event["at"], event["action"]])).collect();
        the_same("audits", &json!(expected), &json!(came))
    }
}

/// A change as it is written in a request.
pub(super) fn written(change: &Change) -> Value {
    let fields = [
        ("first_name", change.names[0].map(|name| json!(name))),
        ("last_name", change.names[1].map(|name| json!(name))),
        ("email", change.email.map(|email| json!(email.text()))),
        ("role", change.admin.map(|admin| json!(look::role(admin)))),
        ("status", change.verified.map(|verified| json!(look::status(verified)))),
        ("disabled", change.disabled.map(|disabled| json!(disabled))),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}
