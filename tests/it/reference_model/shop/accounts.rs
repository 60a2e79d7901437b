//! The model's accounts: what an anonymous caller, their user and an admin can do.

use super::{Shop, codes::ASK, values::*};

impl Shop {
    // Anonymous.

    pub fn sign_up(&mut self, email: Address, password: usize, names: [Name; 2]) -> Result<Tag, Refusal> {
        if password == COMMON {
            return Err(INVALID);
        }
        if let Some(owner) = self.with_address(email) {
            if self.hides_taken_emails {
                self.tell_owner(self.people[&owner].email);
            }
            return Err(TAKEN);
        }
        let tag = self.come(email, names, Some(password), "user.signed_up");
        self.ask_to_verify(tag, ASK);
        Ok(tag)
    }

    /// Tells the owner of an address that it was used for a sign-up.
    fn tell_owner(&mut self, owner: Address) {
        self.notify_with_form("taken", owner, "You already have an account at Coffee Shop");
    }

    /// Verifies; of an account's sessions the one goes on whose access token came along, expired or not.
    pub fn verify(&mut self, proof: &Proof, along: Option<Access>) -> Result<Tag, Refusal> {
        let at = self.find(proof, &[Purpose::VerifyEmail, Purpose::ChangeEmail])?;
        let (tag, to) = (self.codes[at].whose, self.codes[at].to);
        let kept = along.map(|token| token.session).filter(|_| !self.people[&tag].verified());
        if self.codes[at].purpose == Purpose::VerifyEmail {
            self.tell(tag, "user.verified");
            self.end_sessions_but(tag, kept);
            self.confirm(tag);
            return Ok(tag);
        }
        if self.with_address(to).is_some_and(|owner| owner != tag) {
            return Err(TAKEN);
        }
        self.free(to);
        let old = self.people[&tag].clone();
        self.people.get_mut(&tag).unwrap().email = to;
        self.tell(tag, "email.changed");
        self.confirm(tag);
        self.moved(tag, &old, kept);
        Ok(tag)
    }

    /// The same on a page, which offers a link to choose a password.
    pub fn verify_on_page(&mut self, link: &str) -> Result<Tag, Refusal> {
        let tag = self.verify(&Proof::Link(link.to_owned()), None)?;
        self.keep(tag, Purpose::ChoosePassword, self.people[&tag].email);
        Ok(tag)
    }

    pub fn resend(&mut self, email: Address) {
        let found = self.with_address(email);
        let waits = |tag: &Tag| !self.people[tag].verified() && !self.people[tag].disabled;
        if let Some(tag) = found.filter(waits) {
            self.ask_to_verify(tag, ASK);
        }
    }

    pub fn reject(&mut self, link: &str) -> Result<&'static str, Refusal> {
        const PURPOSES: [Purpose; 3] =
            [Purpose::VerifyEmail, Purpose::ChangeEmail, Purpose::AcceptInvitation];
        let at = self.find(&Proof::Link(link.to_owned()), &PURPOSES)?;
        let (tag, purpose) = (self.codes[at].whose, self.codes[at].purpose);
        let person = &self.people[&tag];
        if purpose == Purpose::ChangeEmail {
            self.end_email_change(tag);
            self.tell(tag, "email.change_cancelled");
            return Ok("The account keeps its current address");
        }
        if person.expires_at.is_none_or(|at| at > person.created_at + 2 * DAY) {
            return Err(NO_PROOF);
        }
        self.delete(tag, "user.rejected");
        Ok("The account was deleted")
    }

    pub fn forgot(&mut self, email: Address) {
        if let Some(tag) = self.with_address(email).filter(|tag| !self.people[tag].disabled)
            && self
                .send(tag, Purpose::ResetPassword, self.people[&tag].email, "Choose a new password")
                .is_ok()
        {
            self.tell(tag, "password.reset_requested");
        }
    }

    pub fn reset(&mut self, proof: &Proof, password: usize) -> Result<(), Refusal> {
        let at = self.find(proof, &FOR_PASSWORD)?;
        if password == COMMON {
            return Err(INVALID);
        }
        let (tag, purpose) = (self.codes[at].whose, self.codes[at].purpose);
        let is_first = purpose == Purpose::AcceptInvitation;
        let action = if is_first { "invitation.accepted" } else { "password.reset" };
        self.end_sessions(tag);
        self.kill(tag, None);
        self.uncount("password", self.people[&tag].email);
        self.tell(tag, action);
        let old = self.people.get_mut(&tag).unwrap().password.replace(password);
        if !self.people[&tag].verified() {
            self.confirm(tag);
        }
        if old.is_some() {
            self.notify_with_form("changed", self.people[&tag].email, "Your password was changed");
        }
        Ok(())
    }

    // One's own account.

    pub(super) fn same_password(&self, tag: Tag, password: usize) -> Result<(), Refusal> {
        if self.people[&tag].password == Some(password) { Ok(()) } else { Err(WRONG_PASSWORD) }
    }

    pub fn leave(&mut self, tag: Tag, password: usize) -> Result<(), Refusal> {
        self.same_password(tag, password)?;
        let person = self.people[&tag].clone();
        if person.acts() {
            self.not_the_last_admin()?;
        }
        if person.verified() {
            self.notify(person.email, "Your account was deleted", false);
        }
        self.delete(tag, "user.deleted");
        Ok(())
    }

    pub fn change_password(&mut self, by: Access, current: usize, new: usize) -> Result<(), Refusal> {
        let tag = self.sessions[&by.session].whose;
        self.same_password(tag, current)?;
        if new == COMMON {
            return Err(INVALID);
        }
        self.people.get_mut(&tag).unwrap().password = Some(new);
        self.sessions.retain(|number, session| session.whose != tag || *number == by.session);
        self.kill(tag, None);
        self.tell(tag, "password.changed");
        if self.people[&tag].verified() {
            self.notify_with_form("changed", self.people[&tag].email, "Your password was changed");
        } else {
            self.ask_to_verify(tag, ASK);
        }
        Ok(())
    }

    pub fn change_email(&mut self, tag: Tag, new: Address, password: usize) -> Result<(), Refusal> {
        let old = self.people[&tag].email;
        if new.text() == old.text() {
            return Err(INVALID);
        }
        self.same_password(tag, password)?;
        let asked = self.sent("asked", old)?;
        self.sent("change", new)?;
        self.count("asked", old, asked + 1, self.now + DAY);
        self.send(tag, Purpose::ChangeEmail, new, "Confirm your new e-mail")?;
        self.keep(tag, Purpose::CancelEmailChange, old);
        self.messages.push(MessageKind {
            to: old,
            subject: "Your e-mail address is about to change",
            has_code: false,
            has_link: true,
            carries: Some((tag, Purpose::CancelEmailChange)),
        });
        self.tell(tag, "email.change_requested");
        Ok(())
    }

    pub fn edit(&mut self, by: Tag, tag: Tag, change: &Change) -> Result<(), Refusal> {
        let names_alone = change.email.is_none()
            && [change.admin, change.verified, change.disabled].iter().all(Option::is_none);
        if self.people[&by].acts() {
            return self.change(tag, change);
        }
        if by == tag && names_alone { self.change(tag, change) } else { Err(FORBIDDEN) }
    }

    // Admins.

    pub fn change(&mut self, tag: Tag, change: &Change) -> Result<(), Refusal> {
        let old = self.people.get(&tag).ok_or(NOT_FOUND)?.clone();
        let mut new = old.clone();
        for (name, change) in new.names.iter_mut().zip(change.names) {
            *name = change.unwrap_or(*name);
        }
        new.email = change.email.unwrap_or(old.email);
        new.admin = change.admin.unwrap_or(old.admin);
        new.disabled = change.disabled.unwrap_or(old.disabled);
        match change.verified {
            Some(true) if !old.verified() => (new.verified_at, new.expires_at) = (Some(self.now), None),
            Some(false) if old.verified() => {
                (new.verified_at, new.expires_at) = (None, Some(self.now + 2 * DAY));
            }
            _ => {}
        }
        if new == old {
            return Ok(());
        }
        if old.acts() && !new.acts() {
            self.not_the_last_admin()?;
        }
        let moves = new.email.number != old.email.number;
        if moves && self.with_address(new.email).is_some() {
            return Err(TAKEN);
        }
        new.updated_at = self.now;
        if moves {
            self.free(new.email);
        }
        self.people.insert(tag, new.clone());
        self.tell(tag, "user.edited");
        if moves {
            self.moved(tag, &old, None);
        }
        if new.disabled && !old.disabled {
            self.end_sessions(tag);
            self.kill(tag, None);
        }
        if new.verified() != old.verified() {
            self.end_email_change(tag);
            if new.verified() || !self.unverified_may_log_in {
                self.end_sessions(tag);
            }
        }
        if new.verified() {
            self.kill(tag, Some(Purpose::VerifyEmail));
        } else if !new.disabled && (moves || old.verified()) {
            self.ask_to_verify(tag, ASK);
        }
        Ok(())
    }

    pub fn invite(&mut self, email: Address, names: [Name; 2], admin: bool) -> Result<Tag, Refusal> {
        if self.with_address(email).is_some() {
            return Err(TAKEN);
        }
        self.sent("invitation", email)?;
        let tag = self.come(email, names, None, "user.invited");
        self.people.get_mut(&tag).unwrap().admin = admin;
        self.ask_to_verify(tag, ASK);
        Ok(tag)
    }

    pub fn remove(&mut self, tag: Tag) -> Result<(), Refusal> {
        if self.people.get(&tag).ok_or(NOT_FOUND)?.acts() {
            self.not_the_last_admin()?;
        }
        self.delete(tag, "user.deleted");
        Ok(())
    }

    pub fn there(&self, tag: Tag) -> Result<Tag, Refusal> {
        if self.people.contains_key(&tag) { Ok(tag) } else { Err(NOT_FOUND) }
    }
}
