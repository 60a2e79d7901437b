//! What anybody can do: sign up, prove an address, ask again, choose a new password.

use poem::http::Method;
use serde_json::json;

use super::super::story::{Expected, Same, Story};

impl Story {
    pub(super) async fn sign_up(&mut self, kind: &str) -> Same {
        let (email, password, names) = (self.address(), self.new_password(), self.names());
        let mut body = json!({ "email": self.typed_address(email), "password": self.typed(password) });
        for (field, name) in ["first_name", "last_name"].into_iter().zip(names) {
            if name.is_some() || self.chance.percent(20) {
                body[field] = json!(name);
            }
        }
        let made = self.shop.sign_up(email, password, names);
        let answer = self.send(None, Method::POST, "/auth/signup", Some(body)).await;
        if made.is_ok() {
            self.ids.push(answer.body["id"].as_str().unwrap_or_default().to_owned());
        }
        let expected = made.map_or_else(Expected::Refused, |tag| Expected::Body(201, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    pub(super) async fn verify(&mut self, kind: &str) -> Same {
        let (proof, body) = self.proof("/verify?");
        let verified = self.shop.verify(&proof);
        let answer = self.send(None, Method::POST, "/auth/verify", Some(body)).await;
        let expected = verified.map_or_else(Expected::Refused, |tag| Expected::Body(200, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    pub(super) async fn ask(&mut self, kind: &str) -> Same {
        let email = self.known_address();
        let path = if kind == "forgot" {
            self.shop.forgot(email);
            "/auth/password/forgot"
        } else {
            self.shop.resend(email);
            "/auth/verify/resend"
        };
        let body = json!({ "email": self.typed_address(email) });
        let answer = self.send(None, Method::POST, path, Some(body)).await;
        self.same(kind, &answer, Expected::Empty(202))
    }

    pub(super) async fn reset(&mut self, kind: &str) -> Same {
        let (proof, mut body) = self.proof("/reset?");
        let password = self.new_password();
        body["new_password"] = json!(self.typed(password));
        let reset = self.shop.reset(&proof, password);
        let answer = self.send(None, Method::POST, "/auth/password/reset", Some(body)).await;
        self.same(kind, &answer, reset.map_or_else(Expected::Refused, |()| Expected::Empty(204)))
    }
}
