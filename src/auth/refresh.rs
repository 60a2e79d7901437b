//! Renewing the tokens of a session, and ending it by its refresh token.

use super::sessions::{Sessions, TokenPair};
use crate::{
    core::{AuditActor, Error, Tx, find_session, find_user, may_log_in, settings::Settings},
    crypto::{secret::hash_token, tokens::Refresh},
    domain::{Action, Origin, PlainToken, Session, Timestamp, User},
};

/// The result of a refresh token.
enum Refreshed {
    /// The session goes on with this token.
    With(Box<(Session, User)>, PlainToken),
    /// No session, or one that was ended because the token was used before.
    Refused,
}

impl Sessions {
    /// Renews both tokens. The same refresh token again, within the grace and before its successor was used, gives the
    /// same successor: the first reply was lost. Any other second use ends the session (RFC 9700, section 4.14.2).
    ///
    /// # Errors
    /// `InvalidRefreshToken`.
    pub async fn refresh(&self, refresh_token: &str, origin: Origin) -> Result<TokenPair, Error> {
        let now = self.core.now();
        let refresh = self.check_refresh(refresh_token, now).await?.ok_or(Error::InvalidRefreshToken)?;
        let issuer = self.keys.tokens.issuer().to_owned();
        // A session that ends here is a change to be kept, so that answer is committed too.
        let refreshed = self.core.write(move |tx| {
            let Some((session, user)) = refreshable_session(tx, &refresh, now)? else {
                return Ok(Refreshed::Refused);
            };
            tx.use_issuer(&issuer, now)?;
            let token = hash_token(&refresh.token);
            let successor = tx.secret().successor(&refresh.token);
            if token == session.current {
                let session = rotated(tx.settings(), session, &successor, tx.clean_up()?.last_run, now);
                tx.rotate_session(&session)?;
                return Ok(Refreshed::With(Box::new((session, user)), successor));
            }
            let in_grace = now.distance(session.last_used_at) <= tx.settings().reuse_grace;
            if Some(token) == session.previous && in_grace {
                return Ok(Refreshed::With(Box::new((session, user)), successor));
            }
            tx.delete_session(session.id, user.id, now)?;
            AuditActor::anonymous(origin).record(tx, Action::SessionRefreshReuseDetected, user.id, now)?;
            Ok(Refreshed::Refused)
        });
        match refreshed.await? {
            Refreshed::With(found, token) => self.token_pair(&found.0, &found.1, &token, now),
            Refreshed::Refused => Err(Error::InvalidRefreshToken),
        }
    }

    /// Ends the session of a refresh token. Idempotent: a token that is not valid any more has no session to end.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn logout(&self, refresh_token: &str, origin: Origin) -> Result<(), Error> {
        let now = self.core.now();
        let Some(refresh) = self.check_refresh(refresh_token, now).await? else { return Ok(()) };
        let by = AuditActor::user(refresh.user_id, origin);
        let ended = self.core.write(move |tx| {
            // An expired account has nothing left to end.
            let is_there = find_user(tx, refresh.user_id, now)?.is_some();
            if is_there && tx.delete_session(refresh.session_id, refresh.user_id, now)? {
                by.record(tx, Action::SessionEnded, refresh.user_id, now)?;
            }
            Ok(())
        });
        ended.await
    }

    async fn check_refresh(&self, token: &str, now: Timestamp) -> Result<Option<Refresh>, Error> {
        self.keys.check(now, |tokens| tokens.check_refresh(token, now)).await
    }
}

fn refreshable_session(
    tx: &Tx<'_>,
    refresh: &Refresh,
    now: Timestamp,
) -> Result<Option<(Session, User)>, Error> {
    let found = find_session(tx, refresh.session_id, now)?;
    Ok(found.filter(|(_, user)| user.id == refresh.user_id && may_log_in(tx.settings(), user).is_ok()))
}

fn rotated(
    settings: &Settings,
    session: Session,
    successor: &PlainToken,
    last_clean_up: Option<Timestamp>,
    now: Timestamp,
) -> Session {
    let mut expires_at = now + settings.refresh_ttl;
    // The clock was set back, perhaps by mistake, as at the start of a machine that has no battery: a session that is used
    // then must not be over once the time is right again. From its second use on, the last use is one under the wrong
    // clock: it is then told by the start of the session, and by the last clean-up until the next, which is held for an
    // hour. A session that began before the time that the clock shows, and is used again after that, gets its end by that
    // clock. Only then: under a clock that goes on, a shorter `auth.refresh_ttl` is to have its effect.
    let known = [Some(session.created_at), Some(session.last_used_at), last_clean_up];
    if known.into_iter().flatten().any(|earlier| now < earlier) {
        expires_at = expires_at.max(session.expires_at);
    }
    Session {
        last_used_at: now,
        expires_at: expires_at.min(session.created_at + settings.session_ttl),
        previous: Some(session.current),
        current: hash_token(successor),
        ..session
    }
}
