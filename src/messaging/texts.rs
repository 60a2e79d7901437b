//! The text of every kind of message.

use crate::domain::MessageKind;

#[derive(Debug)]
pub struct MessageText {
    /// In one line.
    pub subject: String,
    pub heading: &'static str,
    /// What happened and what to do. An empty line separates paragraphs.
    pub opening: String,
    /// The label of the link; empty if the message has none.
    pub button: &'static str,
    /// What to do if the message was not expected.
    pub closing: &'static str,
}

const IGNORE_ACCOUNT: &str =
    "If you do not want the account, you can ignore this message; the account will be deleted automatically.";

#[expect(clippy::too_many_lines, reason = "one arm for each kind, to be read side by side")]
pub fn text(kind: &MessageKind, shop: &str) -> MessageText {
    match kind {
        MessageKind::VerifyEmail => MessageText {
            subject: "Confirm your e-mail".to_owned(),
            heading: "Confirm your e-mail",
            opening: format!("Please confirm your e-mail address for your account at {shop}."),
            button: "Confirm my address",
            closing: "If you did not sign up, you can ignore this message; the account will be deleted automatically. Or open \
                      the link to delete it now.",
        },
        MessageKind::VerifyReminder => MessageText {
            subject: "Confirm your e-mail, or your account will be deleted".to_owned(),
            heading: "Your account will soon be deleted",
            opening: format!(
                "You signed up at {shop} but have not confirmed your e-mail address yet. Confirm it now to keep your account."
            ),
            button: "Confirm my address",
            closing: IGNORE_ACCOUNT,
        },
        MessageKind::Invitation => MessageText {
            subject: format!("You are invited to {shop}"),
            heading: "You are invited",
            opening: format!("{shop} has created an account for you. Choose a password to activate it."),
            button: "Choose my password",
            closing: IGNORE_ACCOUNT,
        },
        MessageKind::InvitationReminder => MessageText {
            subject: format!("Your invitation to {shop} is about to end"),
            heading: "Your invitation is about to end",
            opening: format!(
                "{shop} has created an account for you. Choose a password now, or the account will soon be deleted."
            ),
            button: "Choose my password",
            closing: IGNORE_ACCOUNT,
        },
        MessageKind::ResetPassword => MessageText {
            subject: "Choose a new password".to_owned(),
            heading: "Choose a new password",
            opening: format!("We received a request to reset your password at {shop}."),
            button: "Choose a new password",
            closing: "If it was not you, you can ignore this message; your password will not change.",
        },
        MessageKind::ChangeEmail => MessageText {
            subject: "Confirm your new e-mail".to_owned(),
            heading: "Confirm your new e-mail",
            opening: format!(
                "An account at {shop} will use this e-mail address from now on. Please confirm that it is yours."
            ),
            button: "Confirm my new address",
            closing: "If this is not your account, you can ignore this message; the account will keep its old address.",
        },
        MessageKind::EmailChangeRequested { masked } => MessageText {
            subject: "Your e-mail address is about to change".to_owned(),
            heading: "Your e-mail address is about to change",
            opening: format!(
                "We received a request, made with your password, to change the e-mail address of your account at {shop} to \
                 {masked}. It changes as soon as the new address is confirmed.\n\nIf this was you, there is nothing to do. If \
                 it was not, choose a new password now: that cancels the change and ends all sessions."
            ),
            button: "This was not me",
            closing: "The link works until the change is confirmed or its time is over. If your address has changed already, \
                      please contact the shop.",
        },
        MessageKind::EmailChanged { masked } => MessageText {
            subject: "Your e-mail address was changed".to_owned(),
            heading: "Your e-mail address was changed",
            opening: format!(
                "Your account at {shop} now uses the e-mail address {masked} instead of this one."
            ),
            button: "",
            closing: "If this was not you, please contact the shop at once: they can give you your account back.",
        },
        MessageKind::PasswordChanged => MessageText {
            subject: "Your password was changed".to_owned(),
            heading: "Your password was changed",
            opening: format!(
                "The password of your account at {shop} was changed.\n\nIf this was you, there is nothing to do. If it was \
                 not, choose a new password now: that ends all sessions."
            ),
            button: "This was not me",
            closing: "The shop will never ask you for your password.",
        },
        MessageKind::AccountDeleted => MessageText {
            subject: "Your account was deleted".to_owned(),
            heading: "Your account was deleted",
            opening: format!(
                "Your account at {shop} was deleted, with everything that belonged to it. The request was made with your \
                 password."
            ),
            button: "",
            closing: "If it was not you, please contact the shop. You can sign up again with this address at any time.",
        },
        MessageKind::AddressTaken => MessageText {
            subject: format!("You already have an account at {shop}"),
            heading: "You already have an account",
            opening: format!(
                "You, or another person, tried to sign up at {shop} with this e-mail address, which already has an account. \
                 Log in with your password, or choose a new one if you have forgotten it."
            ),
            button: "Choose a new password",
            closing: "If it was not you, you can ignore this message; your account will not change.",
        },
        MessageKind::Test => MessageText {
            subject: format!("A test message from {shop}"),
            heading: "Test message",
            opening: format!("This is a test of the mail settings of {shop}. If you can read it, they work."),
            button: "",
            closing: "There is nothing to do.",
        },
    }
}
