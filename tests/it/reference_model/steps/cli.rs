//! Steps of the command line, and of the clock.

use std::time::Duration;

use coffeeshop::{
    accounts::SignupDraft,
    auth::Rotation,
    core::{Admin, Error},
    domain::{Origin, UserId},
    operations::PurgeScope,
};
use poem::http::Method;
use serde_json::json;

use super::super::{
    shop::{COMMON, DAY, HOUR, MINUTE, SECOND},
    story::{Same, Story, the_same},
};
use crate::app::Mail;

impl Story {
    pub(super) fn pass(&mut self, kind: &str, millis: i64) {
        self.say(&format!("{millis} ms pass"));
        self.shop.wait(millis);
        self.app.wait(Duration::from_millis(millis.unsigned_abs()));
        self.count(kind, "");
    }

    /// Mostly a short while; or until the very moment, or the one before or after it, at which something ends.
    pub(super) fn wait(&mut self) {
        let now = self.shop.now;
        let mut ends = self.shop.ends();
        ends.extend(self.pairs.iter().flat_map(|pair| [pair.good.until, pair.renews.until]));
        let far = if self.chance.percent(10) { 40 * DAY } else { 3 * DAY };
        ends.retain(|at| *at > now + 1 && *at < now + if self.calm { HOUR } else { far });
        ends.sort_unstable();
        let millis = match self.chance.below(100) {
            0..20 if !ends.is_empty() => self.chance.pick(&ends) - now - 2 + self.chance.up_to(3),
            0..75 => self.chance.up_to(20 * SECOND),
            75..95 if !self.calm => self.chance.up_to(10 * MINUTE),
            _ if self.calm => self.chance.up_to(MINUTE),
            _ => self.chance.up_to(20 * HOUR),
        };
        self.pass("wait", millis);
    }

    pub(super) fn wait_for_days(&mut self) {
        let millis =
            if self.chance.percent(80) { self.chance.up_to(4 * DAY) } else { self.chance.up_to(40 * DAY) };
        self.pass("wait for days", millis);
    }

    pub(super) async fn purge(&mut self, kind: &str, older_than: i64) -> Same {
        self.say(&format!("the clean-up of {} hours", older_than / HOUR));
        let which = match older_than {
            age if age == 2 * DAY => PurgeScope::Expired,
            age => PurgeScope::OlderThan(Duration::from_millis(age.unsigned_abs())),
        };
        let plan = self.app.purge.plan(which, Origin::job());
        let purged = self.app.purge.run(&plan, |_| {}).await.unwrap();
        let expected = self.shop.purge(older_than);
        self.count(kind, if expected > 0 { "some" } else { "none" });
        the_same("users who were deleted", &json!(expected), &json!(purged.users))
    }

    pub(super) async fn remind(&mut self, kind: &str) -> Same {
        self.say("reminders");
        let expected = self.shop.remind();
        self.count(kind, if expected > 0 { "some" } else { "none" });
        the_same("reminders", &json!(expected), &json!(self.app.reminders.send().await.unwrap()))
    }

    pub(super) async fn create_admin(&mut self, kind: &str) -> Same {
        let (email, password) = (self.address(), self.chance.below(COMMON));
        self.say(&format!("the console makes {} an admin", email.text()));
        let typed = self.typed(password).to_owned();
        let draft =
            SignupDraft { email: self.typed_address(email), password: typed, ..SignupDraft::default() };
        let made = self.app.registration.create_admin(&Admin::from_cli(), draft).await;
        let expected = self.shop.create_admin(email, password);
        self.count(kind, if expected.is_ok() { "done" } else { "taken" });
        match (expected, made) {
            (Ok(_), Ok(user)) => {
                self.ids.push(user.id.to_string());
                Ok(())
            }
            (Err(_), Err(Error::EmailTaken)) => Ok(()),
            (expected, made) => Err(format!("the model has {expected:?}, the shop {made:?}")),
        }
    }

    pub(super) async fn reset_link(&mut self, kind: &str) -> Same {
        let tag = self.any_user();
        self.say(&format!("the console makes a link for {}", self.id(tag)));
        let id = UserId::from_uuid(self.id(tag).parse().unwrap());
        let made = self.app.passwords.create_reset_link(&Admin::from_cli(), id).await;
        let expected = self.shop.reset_link(tag);
        self.count(kind, if expected.is_ok() { "done" } else { "none" });
        match (expected, made) {
            (Ok(()), Ok(made)) => {
                let code = self.shop.codes.last_mut().unwrap();
                made.link.split_once("?token=").unwrap().1.clone_into(&mut code.link);
                let to = code.to.text().to_owned();
                self.mails.push(Mail { to, subject: String::new(), code: String::new(), link: made.link });
                Ok(())
            }
            (Err(_), Err(Error::NotFound)) => Ok(()),
            (expected, made) => Err(format!("the model has {expected:?}, the shop {made:?}")),
        }
    }

    pub(super) async fn rotate_keys(&mut self, kind: &str) -> Same {
        let is_emergency = self.chance.percent(15);
        if is_emergency {
            self.purge("purge", 2 * DAY).await?; // so that only what is alive has an end to be written down
        }
        let rotation = if is_emergency { Rotation::Emergency } else { Rotation::Gentle };
        self.say(&format!("the keys are rotated: {rotation:?}"));
        self.app.signing_keys.rotate(&Admin::from_cli(), rotation).await.unwrap();
        self.shop.rotate_keys(is_emergency);
        self.count(kind, if is_emergency { "emergency" } else { "gentle" });
        Ok(())
    }

    pub(super) async fn health(&mut self, kind: &str) -> Same {
        let path = self.chance.pick(&["/healthz", "/readyz", "/.well-known/jwks.json"]);
        let answer = self.send(None, Method::GET, path, None).await;
        self.count(kind, answer.status);
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    }
}
