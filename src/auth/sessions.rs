//! Sessions: logging in, renewing tokens, logging out, and who is behind an access token.

use crate::accounts::{
    Accounts, Actor, Admin, Error,
    audit::AuditActor,
    change_limits::ChangeKind,
    hashing::Check,
    not_expired,
    password_attempts::{Claim, PasswordAttempt},
    secret,
    tokens::Refresh,
};
use crate::domain::{
    Action, Client, Email, Origin, Password, PasswordHash, PlainToken, Session, SessionId, Status, Timestamp,
    User, UserId,
};
use crate::store::{Snapshot, Tx};

/// How often a login looks again if the hash that it checked was renewed by another login at the same moment.
const LOGIN_ROUNDS: usize = 3;

/// How many sessions a user has at most: more than devices, and few enough to be shown at once.
pub(crate) const MAX_SESSIONS: u64 = 120;
/// How many are left when there would be more: it costs much less to end some together than one at each login.
const KEPT_SESSIONS: u32 = 100;

/// What a login gives: two tokens and how many seconds each lives.
#[derive(Clone)]
pub struct TokenPair {
    /// For every request.
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
    /// For a new pair, once.
    pub refresh_token: String,
    /// Seconds.
    pub refresh_expires_in: u64,
}

/// What came of a refresh token.
enum Refreshed {
    /// The session goes on with this token.
    With(Box<(Session, User)>, PlainToken),
    /// No session, or one that ended because the token was used before.
    Refused,
}

impl Accounts {
    /// Starts a session. Past the most that a user has, those end that were not used for the longest time.
    ///
    /// # Errors
    /// `InvalidCredentials` for an unknown address and for a wrong password, after the same time; after the right one
    /// perhaps `AccountDisabled` or `EmailNotVerified`. `TooManyRequests` after too many wrong ones.
    pub async fn login(
        &self,
        email: Email,
        password: Password,
        along: Option<SessionId>,
        origin: Origin,
    ) -> Result<TokenPair, Error> {
        let claim = Claim::at_login(email.clone(), origin.client.clone(), along);
        let accounts = self.clone();
        let logged_in = self.attempt(claim, async move |tried| {
            let now = accounts.clock.now();
            accounts.try_login(&email, password, &origin, tried, now).await
        });
        logged_in.await
    }

    async fn try_login(
        &self,
        email: &Email,
        password: Password,
        origin: &Origin,
        tried: Option<PasswordAttempt>,
        now: Timestamp,
    ) -> Result<TokenPair, Error> {
        let is_wanted = PasswordAttempt::is_wanted(tried.as_ref());
        for _ in 0..LOGIN_ROUNDS {
            let (user, hash) = self.find_by_email(email, now).await?.unzip();
            let check =
                self.hasher.check(password.clone(), hash.clone().flatten(), is_wanted.clone()).await?;
            let (Some(user), Some(Some(hash)), Check::Right | Check::RightButOld) = (user, hash, check)
            else {
                return Err(Error::InvalidCredentials);
            };
            self.may_log_in(&user)?;
            let renewed = match check {
                Check::RightButOld => Some(self.hasher.renew(password.clone()).await?),
                Check::Right | Check::Wrong => None,
            };
            if !is_wanted() {
                return Err(Error::Busy); // no one would get the tokens
            }
            if let Some(pair) =
                self.start_session(&user, (hash, renewed), origin.clone(), tried.clone(), now).await?
            {
                return Ok(pair);
            }
        }
        Err(Error::InvalidCredentials)
    }

    /// Starts a session for a user whose password was found to be that of `hash`; none if it is not any more, be it
    /// that the password was changed or that somebody renewed its hash in the meantime.
    async fn start_session(
        &self,
        user: &User,
        (hash, renewed): (PasswordHash, Option<PasswordHash>),
        origin: Origin,
        tried: Option<PasswordAttempt>,
        now: Timestamp,
    ) -> Result<Option<TokenPair>, Error> {
        let token = secret::random_token();
        let session = self.session(user, origin.client.clone(), &token, now);
        let by = AuditActor::user(user.id, origin);
        let (accounts, new, email) = (self.clone(), session.clone(), user.profile.email.clone());
        let found = self.store.write(move |tx| {
            let found = tx.user_by_email(&email)?.filter(|(user, _)| user.id == new.user_id);
            let Some((user, _)) = found.filter(|(_, current)| current.as_ref() == Some(&hash)) else {
                return Ok(None);
            };
            accounts.may_log_in(&user)?;
            accounts.charge_change(tx, ChangeKind::WithPassword, &by, now)?;
            tx.insert_session(&new)?;
            tx.set_last_login(user.id, now)?;
            if let Some(renewed) = renewed {
                tx.set_password(user.id, &renewed)?;
            }
            tx.use_issuer(accounts.tokens.issuer(), now)?;
            by.record(tx, Action::SessionStarted, user.id, now)?;
            if tx.count_sessions_of(user.id)? > MAX_SESSIONS {
                tx.delete_sessions_beyond(&new, KEPT_SESSIONS - 1)?;
                by.record(tx, Action::SessionsEnded, user.id, now)?;
            }
            accounts.settle_correct(tx, tried, now)?;
            Ok::<_, Error>(Some(user))
        });
        found.await?.map(|user| self.token_pair(&session, &user, &token, now)).transpose()
    }

    /// Renews both tokens. The same refresh token again, within the grace and before its successor was used, gives the
    /// same successor: the first reply was lost. Any other second use ends the session (RFC 9700, section 4.14.2).
    ///
    /// # Errors
    /// `InvalidRefreshToken`.
    pub async fn refresh(&self, refresh_token: &str, origin: Origin) -> Result<TokenPair, Error> {
        let now = self.clock.now();
        let refresh = self.refresh_of(refresh_token, now).await?;
        let accounts = self.clone();
        // A session that ends here is a change to be kept, so that answer is committed too.
        let refreshed = self.store.write(move |tx| {
            let Some((session, user)) = accounts.open_session(tx.session(refresh.session_id)?, &refresh, now)
            else {
                return Ok(Refreshed::Refused);
            };
            tx.use_issuer(accounts.tokens.issuer(), now)?;
            let token = secret::hash_token(&refresh.token);
            let successor = accounts.secret.successor(&refresh.token);
            if token == session.current {
                let session = accounts.rotated(session, &successor, tx.clean_up()?.last_run, now);
                tx.rotate_session(&session)?;
                return Ok(Refreshed::With(Box::new((session, user)), successor));
            }
            let in_grace = now.distance(session.last_used_at) <= accounts.rules.reuse_grace;
            if Some(token) == session.previous && in_grace {
                return Ok(Refreshed::With(Box::new((session, user)), successor));
            }
            tx.delete_session(session.id, user.id, now)?;
            AuditActor::anonymous(origin).record(tx, Action::SessionRefreshReuseDetected, user.id, now)?;
            Ok::<_, Error>(Refreshed::Refused)
        });
        match refreshed.await? {
            Refreshed::With(found, token) => self.token_pair(&found.0, &found.1, &token, now),
            Refreshed::Refused => Err(Error::InvalidRefreshToken),
        }
    }

    /// Ends the session of a refresh token; a token that is good for nothing has no session to end.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn logout(&self, refresh_token: &str, origin: Origin) -> Result<(), Error> {
        let now = self.clock.now();
        let refresh = match self.refresh_of(refresh_token, now).await {
            Err(Error::InvalidRefreshToken) => return Ok(()),
            refresh => refresh?,
        };
        let by = AuditActor::user(refresh.user_id, origin);
        let ended = self.store.write(move |tx| {
            // Of an account whose time ran out nothing is left to end, purged or not.
            let is_there = not_expired(tx.user(refresh.user_id)?, now).is_some();
            if is_there && tx.delete_session(refresh.session_id, refresh.user_id, now)? {
                by.record(tx, Action::SessionEnded, refresh.user_id, now)?;
            }
            Ok::<_, Error>(())
        });
        ended.await
    }

    /// Ends every session of the caller.
    ///
    /// # Errors
    /// `InvalidToken` if the caller's own has ended meanwhile.
    pub async fn logout_all(&self, actor: &Actor) -> Result<(), Error> {
        let (actor, now) = (actor.clone(), self.clock.now());
        let ended = self.store.write(move |tx| {
            let user = actor.recheck_session(tx, now)?;
            end_all(tx, user.id, &actor.audit_actor(), now)
        });
        ended.await
    }

    /// The sessions of whoever asks, latest used first.
    ///
    /// # Errors
    /// Only if the store does not answer.
    pub async fn own_sessions(&self, actor: &Actor) -> Result<Vec<Session>, Error> {
        let (user_id, now) = (actor.user().id, self.clock.now());
        self.store.read(move |tx| Ok::<_, Error>(tx.sessions_of(user_id, now)?)).await
    }

    /// Ends a session of the caller; it may be the one they ask with.
    ///
    /// # Errors
    /// `NotFound` if it is not theirs, or over; `InvalidToken` if the one they ask with has ended meanwhile.
    pub async fn end_own_session(&self, actor: &Actor, id: SessionId) -> Result<(), Error> {
        let (actor, now) = (actor.clone(), self.clock.now());
        let ended = self.store.write(move |tx| {
            let user = actor.recheck_session(tx, now)?;
            if !tx.delete_session(id, user.id, now)? {
                return Err(Error::NotFound);
            }
            actor.audit_actor().record(tx, Action::SessionEnded, user.id, now)
        });
        ended.await
    }

    /// Anyone's sessions, latest used first.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn sessions_of(&self, _by: &Admin, id: UserId) -> Result<Vec<Session>, Error> {
        let now = self.clock.now();
        let found = self.store.read(move |tx| {
            let user = not_expired(tx.user(id)?, now).ok_or(Error::NotFound)?;
            Ok::<_, Error>(tx.sessions_of(user.id, now)?)
        });
        found.await
    }

    /// Ends every session of anyone.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn end_sessions_of(&self, by: &Admin, id: UserId) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.clock.now());
        let ended = self.store.write(move |tx| {
            by.recheck_admin(tx, now)?;
            let user = not_expired(tx.user(id)?, now).ok_or(Error::NotFound)?;
            end_all(tx, user.id, by.audit_actor(), now)
        });
        ended.await
    }

    /// What a refresh token says; perhaps another process has made the key that signed it.
    async fn refresh_of(&self, token: &str, now: Timestamp) -> Result<Refresh, Error> {
        match self.tokens.check_refresh(token, now) {
            Err(_) if self.tokens.names_unknown(token) && self.reload_on_unknown_kid(now).await? => {
                self.tokens.check_refresh(token, now)
            }
            checked => checked,
        }
    }

    async fn find_by_email(
        &self,
        email: &Email,
        now: Timestamp,
    ) -> Result<Option<(User, Option<PasswordHash>)>, Error> {
        let email = email.clone();
        let found = self.store.read(move |tx| Ok::<_, Error>(tx.user_by_email(&email)?)).await?;
        Ok(found.and_then(|(user, hash)| not_expired(Some(user), now).map(|user| (user, hash))))
    }

    /// Whether a user may have a session.
    pub(crate) fn may_log_in(&self, user: &User) -> Result<(), Error> {
        if user.disabled {
            return Err(Error::AccountDisabled);
        }
        if user.status() == Status::Unverified && !self.rules.allow_unverified_login {
            return Err(Error::EmailNotVerified);
        }
        Ok(())
    }

    fn session(&self, user: &User, client: Client, token: &PlainToken, now: Timestamp) -> Session {
        Session {
            id: SessionId::new(),
            user_id: user.id,
            created_at: now,
            last_used_at: now,
            expires_at: now + self.rules.refresh_ttl.min(self.rules.session_ttl),
            client,
            current: secret::hash_token(token),
            previous: None,
        }
    }

    fn rotated(
        &self,
        session: Session,
        successor: &PlainToken,
        last_clean_up: Option<Timestamp>,
        now: Timestamp,
    ) -> Session {
        let mut expires_at = now + self.rules.refresh_ttl;
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
            expires_at: expires_at.min(session.created_at + self.rules.session_ttl),
            previous: Some(session.current),
            current: secret::hash_token(successor),
            ..session
        }
    }

    fn open_session(
        &self,
        found: Option<(Session, User)>,
        refresh: &Refresh,
        now: Timestamp,
    ) -> Option<(Session, User)> {
        found.filter(|(session, user)| {
            is_open(session, user, now) && user.id == refresh.user_id && self.may_log_in(user).is_ok()
        })
    }

    fn token_pair(
        &self,
        session: &Session,
        user: &User,
        token: &PlainToken,
        now: Timestamp,
    ) -> Result<TokenPair, Error> {
        let (access_token, expires_at) = self.tokens.sign_access(session, user, now)?;
        Ok(TokenPair {
            access_token,
            expires_in: expires_at.since(now).as_secs(),
            refresh_token: self.tokens.sign_refresh(session, token)?,
            refresh_expires_in: session.expires_at.since(now).as_secs(),
        })
    }
}

fn end_all(tx: &Tx<'_>, user_id: UserId, by: &AuditActor, now: Timestamp) -> Result<(), Error> {
    let there_were_some = !tx.sessions_of(user_id, now)?.is_empty();
    tx.delete_sessions_of(user_id)?;
    if there_were_some {
        by.record(tx, Action::SessionsEnded, user_id, now)?;
    }
    Ok(())
}

/// Whose session this is, if it has not ended.
pub(crate) fn active_session_user(tx: &Snapshot<'_>, id: SessionId, now: Timestamp) -> Result<User, Error> {
    let found = tx.session(id)?.filter(|(session, user)| is_open(session, user, now));
    found.map(|(_, user)| user).ok_or(Error::InvalidToken)
}

pub(crate) fn is_open(session: &Session, user: &User, now: Timestamp) -> bool {
    session.expires_at > now && !user.disabled && !user.is_expired(now)
}
