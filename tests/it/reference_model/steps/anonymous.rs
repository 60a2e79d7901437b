//! What an anonymous caller can do: sign up, prove an address, request a code again, choose a new password.

use coffeeshop::{core::Admin, domain::Email};
use poem::http::Method;
use serde_json::{Value, json};

use super::super::{
    shop::{Address, INVALID, Proof},
    story::{Expected, Same, Story},
};
use crate::{app::Mail, verification::wrong};

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
        let hides = self.shop.hides_taken_emails;
        if made.is_ok() && hides {
            let email = Email::parse("email", email.text()).unwrap();
            let made = self.app.users.get_by_email(&Admin::from_cli(), email).await;
            let made = made.map_err(|error| format!("the model has a new user, the shop {error}"))?;
            self.ids.push(made.id.to_string());
        } else if made.is_ok() {
            self.ids.push(answer.body["id"].as_str().unwrap_or_default().to_owned());
        }
        if hides && made != Err(INVALID) {
            return self.same(kind, &answer, Expected::Empty(202));
        }
        let expected = made.map_or_else(Expected::Refused, |tag| Expected::Body(201, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    pub(super) async fn verify(&mut self, kind: &str) -> Same {
        let (proof, body) = self.proof("/verify?");
        self.verify_with(kind, &proof, body).await
    }

    pub(super) async fn verify_with(&mut self, kind: &str, proof: &Proof, body: Value) -> Same {
        // An access token may come along, of any account, good or not.
        let along = if self.chance.percent(50) { self.caller() } else { None };
        let verified = self.shop.verify(proof, along.as_ref().map(|pair| pair.good));
        let answer = self.send(along.as_ref(), Method::POST, "/auth/verify", Some(body)).await;
        let expected = verified.map_or_else(Expected::Refused, |tag| Expected::Body(200, self.user(tag)));
        self.same(kind, &answer, expected)
    }

    /// Wrong codes in a row, and then the right one.
    pub(super) async fn guess(&mut self, kind: &str) -> Same {
        let counts = |mail: &&Mail| {
            self.shop
                .codes
                .iter()
                .any(|code| code.digits.as_ref() == Some(&mail.code) && code.digits_until > self.shop.now)
        };
        let good: Vec<_> = self.mails.iter().filter(counts).cloned().collect();
        let Some(mail) = self.chance.any(&good) else { return Ok(()) };
        let to = Address::of(&mail.to);
        let wrong_ones = 3 + self.chance.below(4);
        for number in 0..=wrong_ones {
            let digits = if number < wrong_ones { wrong(&mail.code) } else { mail.code.clone() };
            let body = json!({ "email": to.text(), "code": digits });
            let proof = Proof::Code(to, digits);
            if mail.link.contains("/verify?") {
                self.verify_with(kind, &proof, body).await?;
            } else {
                self.reset_with(kind, &proof, body).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn ask(&mut self, kind: &str) -> Same {
        let email = self.known_address();
        self.ask_for(kind, email).await
    }

    /// The same again and again: there is an end to what an address is sent.
    pub(super) async fn insist(&mut self) -> Same {
        let kind = self.chance.pick(&["resend", "forgot", "change email"]);
        let (by, new, mut email) = (self.caller(), self.address(), self.known_address());
        if self.chance.percent(50) {
            email.number = 1;
        }
        for _ in 0..=self.chance.below(12) {
            match kind {
                "change email" => self.ask_to_move(kind, by.as_ref(), new).await?,
                _ => self.ask_for(kind, email).await?,
            }
        }
        Ok(())
    }

    async fn ask_for(&mut self, kind: &str, email: Address) -> Same {
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
        let (proof, body) = self.proof("/reset?");
        self.reset_with(kind, &proof, body).await
    }

    pub(super) async fn reset_with(&mut self, kind: &str, proof: &Proof, mut body: Value) -> Same {
        let password = self.new_password();
        body["new_password"] = json!(self.typed(password));
        let reset = self.shop.reset(proof, password);
        let answer = self.send(None, Method::POST, "/auth/password/reset", Some(body)).await;
        self.same(kind, &answer, reset.map_or_else(Expected::Refused, |()| Expected::Empty(204)))
    }
}
