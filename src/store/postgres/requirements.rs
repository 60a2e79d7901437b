//! What a server must be: asked on each new connection, and each minute.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio_postgres::{Client, Row};

use super::errors;
use crate::{
    domain::Clock,
    store::{ServerFault, Unmet},
};

/// Below 13 there is no trusted extension `pg_trgm`.
const OLDEST_VERSION: i64 = 130_000;

/// By how much the clocks of the server and of this machine may differ.
const MOST_APART: Duration = Duration::from_mins(1);
/// By how much they may differ without a warning. It is well below the lease of a message, which two processes time.
const USUALLY_APART: Duration = Duration::from_secs(2);

const ASK: &str = "SELECT CAST(current_setting('server_version_num') AS BIGINT), current_setting('server_version'), \
     current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'), \
     current_setting('synchronous_commit'), current_setting('transaction_read_only'), pg_is_in_recovery(), \
     current_setting('statement_timeout'), CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";

/// A new connection has no prepared statement, unless a pooler gives it one that another client has used. The driver numbers
/// them from s0 on in each process; a pooler that keeps track of them gives them names of its own.
const ASK_FOR_STATEMENTS: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_prepared_statements WHERE name ~ '^s[0-9]+$')";

/// What was said once and is not said again.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    clock: AtomicBool,
    timeouts: AtomicBool,
}

/// Asks the server whether it is what coffeeshop relies on. `has_timeouts`: those were sent when the connection began.
pub(super) async fn check(
    client: &Client,
    has_timeouts: bool,
    warnings: &Warnings,
) -> Result<(), ServerFault> {
    let sent = now();
    let rows = client.query_typed(ASK, &[]).await;
    let rows = rows.map_err(|error| ServerFault::Absent(errors::text(&error)))?;
    let received = now();
    let row = rows.first().ok_or_else(|| ServerFault::Absent("it gives no answer".to_owned()))?;
    let unmet = unmet(row);
    if !unmet.is_empty() {
        return Err(ServerFault::Unfit(unmet));
    }
    let apart = apart(row.get(9), sent, received);
    if apart > MOST_APART {
        return Err(ServerFault::Clock { seconds: apart.as_secs() });
    }
    if apart > USUALLY_APART && !warnings.clock.swap(true, Ordering::Relaxed) {
        let seconds = apart.as_secs();
        tracing::warn!(
            seconds,
            "the clocks of the database server and of this machine differ: run NTP on both"
        );
    }
    let statement_timeout: &str = row.get(8);
    if has_timeouts && statement_timeout == "0" && !warnings.timeouts.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the timeouts sent to the database were not taken over, as by a pooler: set them with ALTER ROLE"
        );
    }
    Ok(())
}

/// Asks on a new connection whether its prepared statements are its own. In another case a statement could be run in the place
/// of another one that has the same name.
pub(super) async fn check_statements(client: &Client) -> Result<(), ServerFault> {
    let rows = client.query_typed(ASK_FOR_STATEMENTS, &[]).await;
    let rows = rows.map_err(|error| ServerFault::Absent(errors::text(&error)))?;
    if rows.first().is_some_and(|row| row.get(0)) { Err(ServerFault::MixedStatements) } else { Ok(()) }
}

fn unmet(row: &Row) -> Vec<Unmet> {
    let text = |column: usize| row.get::<_, &str>(column);
    let in_recovery = if row.get(7) { "on" } else { "off" };
    let all = [
        ("server_version", text(1), "13 or newer", row.get::<_, i64>(0) >= OLDEST_VERSION),
        ("server_encoding", text(2), "UTF8", text(2) == "UTF8"),
        ("fsync", text(3), "on", text(3) == "on"),
        ("full_page_writes", text(4), "on", text(4) == "on"),
        ("synchronous_commit", text(5), "on, or remote_apply", text(5) != "off"),
        ("transaction_read_only", text(6), "off", text(6) == "off"),
        ("in_recovery", in_recovery, "off: this is the server that can write", in_recovery == "off"),
    ];
    let unmet = all.into_iter().filter(|(.., is_met)| !is_met);
    unmet.map(|(setting, value, wanted, _)| Unmet { setting, value: value.to_owned(), wanted }).collect()
}

/// By how much the server's clock at least differs from this one, if its answer was made between `sent` and `received`.
/// All in milliseconds since 1970.
fn apart(server: i64, sent: i64, received: i64) -> Duration {
    let millis = (sent - server).max(server - received).max(0);
    Duration::from_millis(millis.unsigned_abs())
}

fn now() -> i64 {
    Clock::system().now().millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_an_answer_takes_is_no_difference_between_clocks() {
        for (server, millis) in [(1_000, 0), (1_500, 0), (2_000, 0), (900, 100), (2_250, 250)] {
            assert_eq!(apart(server, 1_000, 2_000), Duration::from_millis(millis), "{server}");
        }
    }
}
