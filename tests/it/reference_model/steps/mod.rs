//! The steps, and how often each is made. They are every operation of the API document, the pages, the command line and the
//! clock.

mod admins;
mod anonymous;
mod choices;
mod cli;
mod moments;
mod owner;
mod pages;
mod sessions;

use super::{
    shop::{DAY, HOUR},
    story::{Same, Story},
};

/// What may be done, and how often in comparison.
const KINDS: [(usize, &str); 39] = [
    (11, "wait"),
    (1, "wait for days"),
    (4, "last moment"),
    (7, "sign up"),
    (10, "verify"),
    (1, "guess"),
    (2, "resend"),
    (14, "log in"),
    (9, "refresh"),
    (3, "log out"),
    (1, "log out everywhere"),
    (2, "own sessions"),
    (2, "end own session"),
    (3, "me"),
    (3, "edit me"),
    (1, "export"),
    (1, "leave"),
    (3, "change password"),
    (4, "change email"),
    (3, "forgot"),
    (5, "reset"),
    (1, "confirm on the page"),
    (1, "reject on the page"),
    (1, "open a page"),
    (3, "invite"),
    (5, "list"),
    (2, "see user"),
    (8, "edit user"),
    (2, "delete user"),
    (2, "sessions"),
    (1, "end sessions"),
    (2, "audit"),
    (2, "purge"),
    (1, "purge the young"),
    (1, "remind"),
    (1, "create admin"),
    (1, "reset link"),
    (1, "rotate keys"),
    (1, "health"),
];

impl Story {
    /// One step.
    pub async fn step(&mut self, number: usize) -> Same {
        let mut at = self.chance.below(KINDS.iter().map(|(often, _)| often).sum());
        let kind = KINDS.iter().find(|(often, _)| {
            let is_it = at < *often;
            at = at.saturating_sub(*often);
            is_it
        });
        // A shop begins with its first admin, and one without a logged-in admin soon gets one.
        let kind = match kind.unwrap().1 {
            _ if number == 1 => "create admin",
            _ if !self.has_admin() && self.chance.percent(40) => "log in",
            "wait for days" | "remind" | "purge the young" if self.calm => "insist",
            "wait for days" if self.chance.percent(30) => "live long",
            kind => kind,
        };
        match kind {
            "wait" => {
                self.wait();
                Ok(())
            }
            "wait for days" => {
                self.wait_for_days();
                Ok(())
            }
            "sign up" => self.sign_up(kind).await,
            "verify" => self.verify(kind).await,
            "resend" | "forgot" => self.ask(kind).await,
            "last moment" => self.last_moment(kind).await,
            "live long" => self.live_long(kind).await,
            "guess" => self.guess(kind).await,
            "insist" => self.insist().await,
            "log in" => self.log_in(kind).await,
            "refresh" => self.refresh(kind).await,
            "log out" => self.log_out(kind).await,
            "log out everywhere" => self.log_out_everywhere(kind).await,
            "own sessions" => self.own_sessions(kind).await,
            "end own session" => self.end_own_session(kind).await,
            "me" => self.me(kind).await,
            "edit me" => self.edit_me(kind).await,
            "export" => self.export(kind).await,
            "leave" => self.leave(kind).await,
            "change password" => self.change_password(kind).await,
            "change email" => self.change_email(kind).await,
            "reset" => self.reset(kind).await,
            "confirm on the page" => self.confirm_on_the_page(kind).await,
            "reject on the page" => self.reject_on_the_page(kind).await,
            "open a page" => self.open_a_page(kind).await,
            "invite" => self.invite(kind).await,
            "list" => self.list(kind).await,
            "see user" => self.see_user(kind).await,
            "edit user" => self.edit_user(kind).await,
            "delete user" => self.delete_user(kind).await,
            "sessions" => self.sessions_of_user(kind).await,
            "end sessions" => self.end_sessions(kind).await,
            "audit" => self.audit(kind).await,
            "purge" => self.purge(kind, 2 * DAY).await,
            "purge the young" => self.purge(kind, 30 * HOUR).await,
            "remind" => self.remind(kind).await,
            "create admin" => self.create_admin(kind).await,
            "reset link" => self.reset_link(kind).await,
            "rotate keys" => self.rotate_keys(kind).await,
            "health" => self.health(kind).await,
            unknown => panic!("no step is called {unknown}"),
        }
    }
}
