//! The words of every letter.

use crate::domain::MessageKind;

/// What a letter says around its code and its link.
#[derive(Debug)]
pub struct MessageText {
    /// The subject, in one line.
    pub subject: String,
    /// The first line.
    pub heading: &'static str,
    /// What happened, and what is asked of its reader; an empty line between paragraphs.
    pub opening: String,
    /// What its link does.
    pub button: &'static str,
    /// What to do if it was a mistake.
    pub closing: &'static str,
}

/// The words of a letter of this shop.
#[expect(clippy::too_many_lines, reason = "one arm for each letter, to be read side by side")]
pub fn text(kind: &MessageKind, shop: &str) -> MessageText {
    match kind {
        MessageKind::VerifyEmail => MessageText {
            subject: "Confirm your e-mail".to_owned(),
            heading: "Confirm your e-mail",
            opening: format!("Please confirm that this address is yours, for your account at {shop}."),
            button: "Confirm my address",
            closing: "If you did not sign up, you need not do anything: the account is deleted by itself. The page behind \
                      the link can delete it at once.",
        },
        MessageKind::VerifyReminder => MessageText {
            subject: "Confirm your e-mail, or your account will be deleted".to_owned(),
            heading: "Your account is about to be deleted",
            opening: format!(
                "You signed up at {shop} and have not confirmed your address yet. Without that, your account will soon \
                 be deleted. Here is a fresh link."
            ),
            button: "Confirm my address",
            closing: "If you do not want the account, you need not do anything: it is deleted by itself.",
        },
        MessageKind::Invitation => MessageText {
            subject: format!("You are invited to {shop}"),
            heading: "You are invited",
            opening: format!("{shop} has made an account for you. Choose a password, and it is yours."),
            button: "Choose my password",
            closing: "If you do not want the account, you need not do anything: it is deleted by itself.",
        },
        MessageKind::InvitationReminder => MessageText {
            subject: format!("Your invitation to {shop} is about to end"),
            heading: "Your invitation is about to end",
            opening: format!(
                "{shop} has made an account for you. If you do not choose a password, it will soon be deleted."
            ),
            button: "Choose my password",
            closing: "If you do not want the account, you need not do anything: it is deleted by itself.",
        },
        MessageKind::ResetPassword => MessageText {
            subject: "Choose a new password".to_owned(),
            heading: "Choose a new password",
            opening: format!("Somebody, probably you, asked for a new password at {shop}."),
            button: "Choose a new password",
            closing: "If it was not you, you need not do anything: your password stays as it is.",
        },
        MessageKind::ChangeEmail => MessageText {
            subject: "Confirm your new e-mail".to_owned(),
            heading: "Confirm your new e-mail",
            opening: format!(
                "An account at {shop} is to have this address from now on. Please confirm that it is yours."
            ),
            button: "Confirm my new address",
            closing: "If you know nothing of it, you need not do anything: without you the account keeps its old address.",
        },
        MessageKind::EmailChangeRequested { masked } => MessageText {
            subject: "Your e-mail address is about to change".to_owned(),
            heading: "Your e-mail address is about to change",
            opening: format!(
                "Somebody who knows your password asked {shop} to change the address of your account to {masked}. It \
                 changes as soon as that address is confirmed.\n\nIf this was you, there is nothing to do here. If it was \
                 not, choose a new password now: that cancels the change and ends every session."
            ),
            button: "This was not me",
            closing: "The link works for as long as the change can be confirmed. When the change is done, tell the shop.",
        },
        MessageKind::EmailChanged { masked } => MessageText {
            subject: "Your e-mail address was changed".to_owned(),
            heading: "Your e-mail address was changed",
            opening: format!(
                "The address of your account at {shop} is {masked} from now on, and no longer this one."
            ),
            button: "",
            closing: "If this was not you, tell the shop at once: the people there can give your account back to you.",
        },
        MessageKind::PasswordChanged => MessageText {
            subject: "Your password was changed".to_owned(),
            heading: "Your password was changed",
            opening: format!(
                "Your account at {shop} has a new password.\n\nIf this was you, there is nothing to do here. If it was \
                 not, choose another one now: that ends every session."
            ),
            button: "This was not me",
            closing: "Nobody at the shop ever asks you for your password.",
        },
        MessageKind::AccountDeleted => MessageText {
            subject: "Your account was deleted".to_owned(),
            heading: "Your account was deleted",
            opening: format!(
                "Somebody who knows your password, probably you, has deleted your account at {shop} and everything that \
                 belonged to it."
            ),
            button: "",
            closing: "If it was not you, tell the shop. With this address you can sign up again at any time.",
        },
        MessageKind::AddressTaken => MessageText {
            subject: format!("You already have an account at {shop}"),
            heading: "You already have an account",
            opening: format!(
                "Somebody, perhaps you, tried to sign up at {shop} with this address, which has an account already. Log in \
                 with your password, or choose a new one if you have forgotten it."
            ),
            button: "Choose a new password",
            closing: "If it was not you, you need not do anything: your account stays as it is.",
        },
        MessageKind::Test => MessageText {
            subject: format!("A test message from {shop}"),
            heading: "Messages arrive",
            opening: format!("This is a test of the mail settings of {shop}. If you can read it, they work."),
            button: "",
            closing: "There is nothing to do.",
        },
    }
}
