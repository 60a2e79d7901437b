//! Which token buckets an attempt at a password is charged to.

use std::time::Duration;

use super::{
    authority::Actor,
    client_limits::buckets_of,
    context::{Core, Tx},
    error::Error,
    live::{find_session, find_user_by_email},
    rate_limits::Rate,
    token_bucket::TokenBucket,
};
use crate::{
    domain::{Client, CountKey, Email, SessionId, Timestamp, UserId, network, site},
    store::{Snapshot, UsedTokens},
};

/// How long a network is trusted from which a user has chosen a new password by mail.
const TRUSTED_NETWORK_TTL: Duration = Duration::from_hours(1);

/// The buckets that an account's attempts from anywhere, and those from trusted networks and sessions, are charged to.
const ACCOUNT: &str = "account";
const RESERVE: &str = "reserve";

/// An account that is claimed with a password, and where from.
#[derive(Clone, Debug)]
pub struct Claim {
    email: Email,
    client: Client,
    /// Counts if it is an active one of this account.
    session: Option<SessionId>,
}

/// What an attempt is charged to.
#[derive(Clone, Debug)]
pub struct Price {
    /// What the client, or the session, may attempt at this account: full again after the correct password.
    pub own: Vec<TokenBucket>,
    /// What all of them may.
    pub account: TokenBucket,
    /// What the client may attempt at all accounts.
    pub client: Vec<TokenBucket>,
}

impl Claim {
    /// By a client that logs in, perhaps with the access token of a session that it has already.
    pub fn at_login(email: Email, client: Client, session: Option<SessionId>) -> Self {
        Self { email, client, session }
    }

    /// By a user who is signed in.
    pub fn by(actor: &Actor) -> Self {
        let (email, client) = (actor.user().profile.email.clone(), actor.origin().client.clone());
        Self { email, client, session: Some(actor.session_id()) }
    }
}

impl Price {
    /// Where the user is logged in nearby, and for their sessions, the account keeps a reserve, which attempts from elsewhere
    /// cannot use up; the last of it is for sessions alone.
    pub fn of(core: &Core, tx: &Snapshot<'_>, claim: &Claim, now: Timestamp) -> Result<Self, Error> {
        let Claim { email, client, session } = claim;
        let limits = &core.rate_limits;
        let of_account = |kind, rate| TokenBucket { key: account_key(core, kind, email), rate };
        let session = match session {
            Some(id) => find_session(tx, *id, now)?.filter(|(_, user)| user.profile.email.is(email)),
            None => None,
        };
        if let Some((session, _)) = session {
            let key = core.secret.hash_limit("session", &[&session.id.as_uuid().to_string()]);
            return Ok(Self {
                own: vec![TokenBucket { key, rate: limits.login }],
                account: of_account(RESERVE, limits.signed_in),
                client: Vec::new(),
            });
        }
        let user = find_user_by_email(tx, email, now)?.map(|(user, _)| user.id);
        let account = match user {
            Some(id) if is_trusted_network(core, tx, id, email, client, now)? => {
                of_account(RESERVE, limits.trusted)
            }
            _ => of_account(ACCOUNT, limits.account),
        };
        Ok(Self {
            own: own_buckets(core, email, client),
            account,
            client: buckets_of(core, "secrets", limits.client, client),
        })
    }

    pub fn buckets(&self) -> impl Iterator<Item = TokenBucket> {
        self.own.iter().chain([&self.account]).chain(&self.client).copied()
    }
}

/// The user has proven who they are by mail: earlier attempts do not count any more, and for a while attempts from elsewhere
/// do not count here.
pub fn reset_login_limits(tx: &Tx<'_>, email: &Email, client: &Client, now: Timestamp) {
    let core = tx.core();
    if !core.rate_limits.enabled {
        return;
    }
    let own = own_buckets(core, email, client).into_iter().map(|bucket| bucket.key);
    let account = [ACCOUNT, RESERVE].map(|kind| account_key(core, kind, email));
    let trusted_network = trusted_network_key(core, email, client);
    let mut keys: Vec<_> = own.chain(account).chain([trusted_network]).collect();
    keys.sort_unstable_by_key(|key| key.0);
    let trusted = (UsedTokens { used: 1, since: now }, now + TRUSTED_NETWORK_TTL);
    tx.settle(move |limits| {
        let mut keys = keys.iter().copied();
        keys.try_for_each(|key| {
            let after = (key == trusted_network).then_some(trusted);
            Ok(limits.store(key, limits.used(key)?, after)?)
        })
    });
}

/// What a client that is not signed in may attempt at an account: refilled soon for its network, and slowly for all networks
/// of its site together.
fn own_buckets(core: &Core, email: &Email, client: &Client) -> Vec<TokenBucket> {
    let bucket = |kind, from: String, rate: Rate| TokenBucket {
        key: core.secret.hash_limit(kind, &[email.key(), &from]),
        rate,
    };
    let text = |ip: Option<_>| ip.map(|ip: std::net::IpAddr| ip.to_string()).unwrap_or_default();
    let from = client.ip.map(network);
    vec![
        bucket("login", text(from), core.rate_limits.login),
        bucket("lasting", text(client.ip.and_then(site).or(from)), core.rate_limits.lasting),
    ]
}

/// Whether a user is logged in from the client's network, or has just proven there who they are.
fn is_trusted_network(
    core: &Core,
    tx: &Snapshot<'_>,
    id: UserId,
    email: &Email,
    client: &Client,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(here) = client.ip.map(network) else { return Ok(false) };
    let proven = tx.used(trusted_network_key(core, email, client))?;
    let is_proven = proven.is_some_and(|proven| now.distance(proven.since) < TRUSTED_NETWORK_TTL);
    Ok(is_proven || tx.is_logged_in_from(id, here, now)?)
}

fn trusted_network_key(core: &Core, email: &Email, client: &Client) -> CountKey {
    let from = client.ip.map(|ip| network(ip).to_string()).unwrap_or_default();
    core.secret.hash_limit("trusted network", &[email.key(), &from])
}

fn account_key(core: &Core, kind: &str, email: &Email) -> CountKey {
    core.secret.hash_limit(kind, &[email.key()])
}
