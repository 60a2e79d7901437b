//! What users do with their own account.

use poem::http::Method;
use serde_json::{Value, json};

use super::{
    super::{
        look,
        shop::{Address, Change},
        story::{Expected, Pair, Same, Story, the_same},
    },
    admins::written,
};

impl Story {
    pub(super) async fn me(&mut self, kind: &str) -> Same {
        let by = self.caller();
        self.me_as(kind, by.as_ref()).await
    }

    pub(super) async fn me_as(&mut self, kind: &str, by: Option<&Pair>) -> Same {
        let who = self.shop.who(by.map(|pair| pair.good));
        let answer = self.send(by, Method::GET, "/me", None).await;
        let expected = who.map_or_else(Expected::Refused, |tag| Expected::Body(200, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    pub(super) async fn edit_me(&mut self, kind: &str) -> Same {
        let (by, names) = (self.caller(), self.name_changes());
        let who = self.shop.who(by.as_ref().map(|pair| pair.good));
        let change = Change { names, ..Change::default() };
        let edited = who.and_then(|tag| self.shop.change(tag, &change).map(|()| tag));
        let answer = self.send(by.as_ref(), Method::PATCH, "/me", Some(written(&change))).await;
        let expected = edited.map_or_else(Expected::Refused, |tag| Expected::Body(200, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    pub(super) async fn export(&mut self, kind: &str) -> Same {
        let by = self.caller();
        let who = self.shop.who(by.as_ref().map(|pair| pair.good));
        let answer = self.send(by.as_ref(), Method::GET, "/me/export", None).await;
        let tag = match who {
            Err(refusal) => return self.same(kind, &answer, Expected::Refused(refusal)),
            Ok(tag) => tag,
        };
        self.count(kind, answer.status);
        let own = by.map(|pair| pair.good.session);
        let by_purpose = |value: &Value| value["purpose"].to_string();
        let codes = self.shop.codes.iter().filter(|code| code.whose == tag);
        let mut codes: Vec<_> = codes.map(look::code).collect();
        codes.sort_by_key(by_purpose);
        // What is over may not have been swept away yet.
        let now = look::time(self.shop.now);
        let came = answer.body["codes"].as_array().into_iter().flatten();
        let mut alive: Vec<_> = came.filter(|code| code["link_until"].as_str() > now.as_str()).collect();
        alive.sort_by_key(|code| by_purpose(code));
        let whole = |key: &str| answer.body[key].clone();
        the_same(
            "exports",
            &json!([now, self.user(tag), true, self.sessions(tag, own), codes, []]),
            &json!([
                whole("exported_at"),
                whole("user"),
                whole("has_password"),
                whole("sessions"),
                alive,
                whole("messages")
            ]),
        )
    }

    pub(super) async fn leave(&mut self, kind: &str) -> Same {
        let by = self.caller();
        let password = self.own_password(by.as_ref());
        let who = self.shop.who(by.as_ref().map(|pair| pair.good));
        let left = who.and_then(|tag| self.shop.leave(tag, password));
        let body = json!({ "current_password": self.typed(password) });
        let answer = self.send(by.as_ref(), Method::DELETE, "/me", Some(body)).await;
        self.same(kind, &answer, left.map_or_else(Expected::Refused, |()| Expected::Empty(204)))
    }

    pub(super) async fn change_password(&mut self, kind: &str) -> Same {
        let by = self.caller();
        let (current, new) = (self.own_password(by.as_ref()), self.new_password());
        let good = by.as_ref().map(|pair| pair.good);
        let who = self.shop.who(good);
        let changed = who.and_then(|_| self.shop.change_password(good.unwrap(), current, new));
        let body = json!({ "current_password": self.typed(current), "new_password": self.typed(new) });
        let answer = self.send(by.as_ref(), Method::POST, "/me/password", Some(body)).await;
        self.same(kind, &answer, changed.map_or_else(Expected::Refused, |()| Expected::Empty(204)))
    }

    pub(super) async fn change_email(&mut self, kind: &str) -> Same {
        let (by, new) = (self.caller(), self.address());
        self.ask_to_move(kind, by.as_ref(), new).await
    }

    pub(super) async fn ask_to_move(&mut self, kind: &str, by: Option<&Pair>, new: Address) -> Same {
        let password = self.own_password(by);
        let who = self.shop.who(by.map(|pair| pair.good));
        let asked = who.and_then(|tag| self.shop.change_email(tag, new, password));
        let body = json!({ "new_email": self.typed_address(new), "current_password": self.typed(password) });
        let answer = self.send(by, Method::POST, "/me/email", Some(body)).await;
        self.same(kind, &answer, asked.map_or_else(Expected::Refused, |()| Expected::Empty(202)))
    }
}
