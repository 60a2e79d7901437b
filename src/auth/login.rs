//! Logging in.

use super::sessions::{Sessions, TokenPair};
use crate::{
    core::{
        AuditActor, ChangeKind, Claim, Error, PasswordAttempt, attempt, change_charge, find_user_by_email,
        may_log_in, refund_change,
        settings::{KEPT_SESSIONS, MAX_SESSIONS},
        settle_correct,
    },
    crypto::{Check, random, secret::hash_token},
    domain::{
        Action, Client, Email, Origin, Password, PasswordHash, PlainToken, Session, SessionId, Timestamp,
        User,
    },
};

/// How often a login tries again if the hash that it checked was renewed by another login at the same moment.
const LOGIN_ROUNDS: usize = 3;

impl Sessions {
    /// Starts a session. Beyond the most that a user may have, the least recently used ones are ended.
    ///
    /// # Errors
    /// `InvalidCredentials` for an unknown address and for a wrong password, after the same time; after the correct one
    /// perhaps `AccountDisabled` or `EmailNotVerified`. `TooManyRequests` after too many wrong ones.
    pub async fn login(
        &self,
        email: Email,
        password: Password,
        session: Option<SessionId>,
        origin: Origin,
    ) -> Result<TokenPair, Error> {
        let claim = Claim::at_login(email.clone(), origin.client.clone(), session);
        let sessions = self.clone();
        let logged_in = attempt(&self.core, claim, async move |attempt| {
            let now = sessions.core.now();
            sessions.attempt_login(&email, password, &origin, attempt, now).await
        });
        logged_in.await
    }

    async fn attempt_login(
        &self,
        email: &Email,
        password: Password,
        origin: &Origin,
        attempt: Option<PasswordAttempt>,
        now: Timestamp,
    ) -> Result<TokenPair, Error> {
        let is_wanted = PasswordAttempt::is_wanted(attempt.as_ref());
        for _ in 0..LOGIN_ROUNDS {
            let wanted = email.clone();
            let found = self.core.read(move |tx| find_user_by_email(tx, &wanted, now)).await?;
            let (user, hash) = found.unzip();
            let check =
                self.hasher.check(password.clone(), hash.clone().flatten(), is_wanted.clone()).await?;
            let (Some(user), Some(Some(hash)), Check::Right | Check::RightButOld) = (user, hash, check)
            else {
                return Err(Error::InvalidCredentials);
            };
            may_log_in(&self.core.settings, &user)?;
            let renewed = match check {
                Check::RightButOld => Some(self.hasher.renew(password.clone()).await?),
                Check::Right | Check::Wrong => None,
            };
            if !is_wanted() {
                return Err(Error::Busy); // there is no request to give the tokens to
            }
            if let Some(pair) =
                self.start_session(&user, (hash, renewed), origin.clone(), attempt.clone(), now).await?
            {
                return Ok(pair);
            }
        }
        Err(Error::InvalidCredentials)
    }

    /// Starts a session for a user whose password was found to be that of `hash`; none if it is not any more: the password
    /// was changed, or another login renewed its hash in the meantime.
    async fn start_session(
        &self,
        user: &User,
        (hash, renewed): (PasswordHash, Option<PasswordHash>),
        origin: Origin,
        attempt: Option<PasswordAttempt>,
        now: Timestamp,
    ) -> Result<Option<TokenPair>, Error> {
        let token = random::token();
        let session = self.new_session(user, origin.client.clone(), &token, now);
        let by = AuditActor::user(user.id, origin);
        let (new, email) = (session.clone(), user.profile.email.clone());
        let issuer = self.keys.tokens.issuer().to_owned();
        let charge = change_charge(&self.core, ChangeKind::WithPassword, &by, now);
        let found = self.core.write_charged(charge, move |tx| {
            let found = find_user_by_email(tx, &email, now)?.filter(|(user, _)| user.id == new.user_id);
            let Some((user, _)) = found.filter(|(_, current)| current.as_ref() == Some(&hash)) else {
                refund_change(tx, ChangeKind::WithPassword, &by, now);
                return Ok(None);
            };
            may_log_in(tx.settings(), &user)?;
            tx.insert_session(&new)?;
            tx.set_last_login(user.id, now)?;
            if let Some(renewed) = renewed {
                tx.set_password(user.id, &renewed)?;
            }
            tx.use_issuer(&issuer, now)?;
            by.record(tx, Action::SessionStarted, user.id, now)?;
            if tx.count_sessions_of(user.id)? > MAX_SESSIONS {
                tx.delete_sessions_beyond(&new, KEPT_SESSIONS - 1)?;
                by.record(tx, Action::SessionsEnded, user.id, now)?;
            }
            settle_correct(tx, attempt, now);
            Ok(Some(user))
        });
        found.await?.map(|user| self.token_pair(&session, &user, &token, now)).transpose()
    }

    fn new_session(&self, user: &User, client: Client, token: &PlainToken, now: Timestamp) -> Session {
        let settings = &self.core.settings;
        Session {
            id: SessionId::new(),
            user_id: user.id,
            created_at: now,
            last_used_at: now,
            expires_at: now + settings.refresh_ttl.min(settings.session_ttl),
            client,
            current: hash_token(token),
            previous: None,
        }
    }
}
