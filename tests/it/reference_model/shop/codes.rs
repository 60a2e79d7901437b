//! The model's codes, links and mails: when they are sent, how long they are valid, and what they do.

use super::{Sent, Shop, values::*};

/// How one is asked to verify, who has a password and who was invited.
pub(super) const ASK: [&str; 2] = ["Confirm your e-mail", "You are invited to Coffee Shop"];

impl Shop {
    pub(super) fn notify(&mut self, to: Address, subject: &'static str, has_link: bool) {
        self.messages.push(MessageKind { to, subject, has_code: false, has_link, carries: None });
    }

    /// A notice with the form for a new password, of which an address is sent so many and no more.
    pub(super) fn notify_with_form(&mut self, kind: &'static str, to: Address, subject: &'static str) {
        if let Ok(sent) = self.sent(kind, to) {
            self.count(kind, to, sent + 1, self.now + DAY);
            self.notify(to, subject, true);
        }
    }

    /// How many messages of a kind an address was sent, if it may be sent one more.
    pub(super) fn sent(&self, kind: &'static str, to: Address) -> Result<usize, Refusal> {
        match self.sent.get(&(kind, to.number)) {
            Some(sent) if sent.messages >= 20 && self.now < sent.latest + HOUR => Err(TOO_MANY),
            Some(sent) => Ok(sent.messages),
            None => Ok(0),
        }
    }

    pub(super) fn count(&mut self, kind: &'static str, to: Address, messages: usize, until: i64) {
        self.sent.insert((kind, to.number), Sent { messages, latest: self.now, until });
    }

    pub(super) fn uncount(&mut self, kind: &'static str, to: Address) {
        self.sent.remove(&(kind, to.number));
    }

    pub(super) fn keep(&mut self, tag: Tag, purpose: Purpose, to: Address) -> i64 {
        let now = self.now;
        let account = self.people[&tag].expires_at;
        let own = match purpose {
            Purpose::ResetPassword | Purpose::AdminReset | Purpose::ChoosePassword => now + HOUR,
            _ => now + 2 * DAY,
        };
        let link_until = match (purpose, account) {
            (Purpose::VerifyEmail | Purpose::AcceptInvitation, Some(account)) => account,
            (_, Some(account)) => own.min(account),
            (_, None) => own,
        };
        let digits_until = link_until.min(now + 30 * MINUTE);
        self.kill(tag, Some(purpose));
        let (whose, link) = (tag, String::new());
        self.codes.push(Code { whose, purpose, to, digits: None, digits_until, tries: 5, link, link_until });
        link_until
    }

    /// Sends a code and link, if the address was not sent too much already.
    pub(super) fn send(
        &mut self,
        tag: Tag,
        purpose: Purpose,
        to: Address,
        subject: &'static str,
    ) -> Result<(), Refusal> {
        let sent = self.sent(kind(purpose), to)?;
        let link_until = self.keep(tag, purpose, to);
        let counted_for = if purpose == Purpose::ResetPassword { 365 * DAY } else { DAY };
        self.count(kind(purpose), to, sent + 1, link_until + counted_for);
        let (has_code, carries) = (sent < 10, Some((tag, purpose)));
        self.messages.push(MessageKind { to, subject, has_code, has_link: true, carries });
        Ok(())
    }

    /// Ends the codes and links of a user, of one purpose or of all.
    pub(super) fn kill(&mut self, tag: Tag, purpose: Option<Purpose>) {
        self.codes.retain(|code| code.whose != tag || purpose.is_some_and(|purpose| purpose != code.purpose));
    }

    /// Ends a pending change of address, with the link that cancels it.
    pub(super) fn end_email_change(&mut self, tag: Tag) {
        self.kill(tag, Some(Purpose::ChangeEmail));
        self.kill(tag, Some(Purpose::CancelEmailChange));
    }

    /// Sends an unverified user a code and a link.
    pub(super) fn ask_to_verify(&mut self, tag: Tag, subjects: [&'static str; 2]) {
        let person = &self.people[&tag];
        let (purpose, subject) = match person.password {
            Some(_) => (Purpose::VerifyEmail, subjects[0]),
            None => (Purpose::AcceptInvitation, subjects[1]),
        };
        let _ = self.send(tag, purpose, person.email, subject);
    }

    /// Which code or link is shown, if it is good. Wrong digits are a try at every code sent to that address.
    pub(super) fn find(&mut self, proof: &Proof, purposes: &[Purpose]) -> Result<usize, Refusal> {
        let now = self.now;
        match proof {
            Proof::Link(link) => {
                let found = self.codes.iter().position(|code| code.link == *link);
                found.filter(|at| purposes.contains(&self.codes[*at].purpose)).ok_or(NO_PROOF)
            }
            Proof::Code(to, digits) => {
                let open = |code: &Code| {
                    code.to.number == to.number
                        && purposes.contains(&code.purpose)
                        && code.digits.is_some()
                        && code.digits_until > now
                };
                let digits = as_read(digits);
                let right = |code: &Code| open(code) && code.digits.as_ref() == Some(&digits);
                if let Some(at) = self.codes.iter().position(right) {
                    return Ok(at);
                }
                let is_code = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
                for code in self.codes.iter_mut().filter(|code| is_code && open(code)) {
                    code.tries -= 1;
                    if code.tries == 0 {
                        code.digits = None;
                    }
                }
                Err(NO_PROOF)
            }
        }
    }

    pub(super) fn confirm(&mut self, tag: Tag) {
        let now = self.now;
        let person = self.people.get_mut(&tag).unwrap();
        (person.verified_at, person.expires_at, person.updated_at) = (Some(now), None, now);
        self.kill(tag, Some(Purpose::VerifyEmail));
        self.end_email_change(tag);
    }

    /// What ends, but for one session, when a user gets another address, and who hears of it.
    pub(super) fn moved(&mut self, tag: Tag, old: &Person, kept: Option<usize>) {
        self.end_sessions_but(tag, kept);
        self.kill(tag, None);
        if old.verified() {
            self.notify(old.email, "Your e-mail address was changed", false);
        }
    }
}

/// A code as it is read: without spaces and dashes, and with the digits of a full-width keyboard as plain ones.
fn as_read(typed: &str) -> String {
    let seen = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let plain = |c: char| match u32::from(c) {
        wide @ 0xff10..=0xff19 => char::from_digit(wide - 0xff10, 10).unwrap(),
        _ => c,
    };
    seen.map(plain).collect()
}

/// What is counted together.
fn kind(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::VerifyEmail => "address",
        Purpose::ChangeEmail => "change",
        Purpose::AcceptInvitation => "invitation",
        _ => "password",
    }
}
