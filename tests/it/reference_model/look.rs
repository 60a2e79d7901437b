//! Users and sessions of the model as the API presents them, and the claims of a token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use coffeeshop::domain::Timestamp;
use serde_json::{Value, json};

use super::shop::{Code, Person, Purpose, Session};
use crate::app::CLIENT;

pub fn time(millis: i64) -> Value {
    json!(Timestamp::from_millis(millis).to_string())
}

fn maybe_time(millis: Option<i64>) -> Value {
    millis.map_or(Value::Null, time)
}

pub fn role(admin: bool) -> &'static str {
    if admin { "admin" } else { "user" }
}

pub fn status(verified: bool) -> &'static str {
    if verified { "verified" } else { "unverified" }
}

pub fn user(person: &Person, id: &str) -> Value {
    json!({
        "id": id,
        "email": person.email.text(),
        "first_name": person.names[0],
        "last_name": person.names[1],
        "role": role(person.admin),
        "status": status(person.verified()),
        "disabled": person.disabled,
        "created_at": time(person.created_at),
        "updated_at": time(person.updated_at),
        "verified_at": maybe_time(person.verified_at),
        "last_login_at": maybe_time(person.last_login_at),
        "expires_at": maybe_time(person.expires_at),
    })
}

pub fn session(session: &Session, id: &str, current: bool) -> Value {
    json!({
        "id": id,
        "created_at": time(session.created_at),
        "last_used_at": time(session.last_used_at),
        "expires_at": time(session.expires_at),
        "user_agent": null,
        "ip": CLIENT,
        "current": current,
    })
}

pub fn code(code: &Code) -> Value {
    let purpose = match code.purpose {
        Purpose::VerifyEmail => "verify_email",
        Purpose::ChangeEmail => "change_email",
        Purpose::ResetPassword => "reset_password",
        Purpose::AcceptInvitation => "accept_invitation",
        Purpose::AdminReset => "admin_reset",
        Purpose::CancelEmailChange => "cancel_email_change",
        Purpose::ChoosePassword => "choose_password",
    };
    json!({
        "purpose": purpose,
        "sent_to": code.to.text(),
        "code_until": maybe_time(code.digits.as_ref().map(|_| code.digits_until)),
        "link_until": time(code.link_until),
    })
}

/// The claims of a token; the signature is not checked.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
