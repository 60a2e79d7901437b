//! Every table whose rows go along when a store is moved, the same on both engines.

/// A table, and how its rows are read and named.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Those of the primary key first.
    pub(super) columns: &'static [Column],
    /// How many columns the primary key has, by which the table is read in pages.
    pub(super) key: usize,
    /// The column by which a row is named to the operator.
    pub(super) id: usize,
}

pub(super) type Column = (&'static str, Kind);

/// What a column holds. Each kind may be NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Bool,
    Text,
    /// A UUID in 16 bytes.
    Id,
    Bytes,
}

use Kind::{Bool, Bytes, Id, Int, Text};

/// In the order of foreign keys: a row refers only to tables before its own.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "users",
        columns: &[
            ("seq", Int),
            ("id", Id),
            ("email", Text),
            ("email_key", Text),
            ("first_name", Text),
            ("last_name", Text),
            ("search_text", Text),
            ("password_hash", Text),
            ("role", Text),
            ("status", Text),
            ("disabled", Bool),
            ("created_at", Int),
            ("updated_at", Int),
            ("verified_at", Int),
            ("expires_at", Int),
            ("last_login_at", Int),
            ("reminded_for", Int),
        ],
        key: 1,
        id: 1,
    },
    Table {
        name: "sessions",
        columns: &[
            ("seq", Int),
            ("id", Id),
            ("user_id", Id),
            ("refresh_hash", Bytes),
            ("previous_hash", Bytes),
            ("created_at", Int),
            ("last_used_at", Int),
            ("expires_at", Int),
            ("user_agent", Text),
            ("ip", Text),
        ],
        key: 1,
        id: 1,
    },
    Table {
        name: "codes",
        columns: &[
            ("user_id", Id),
            ("purpose", Text),
            ("email", Text),
            ("email_key", Text),
            ("code_hash", Bytes),
            ("code_expires_at", Int),
            ("tries_left", Int),
            ("token_hash", Bytes),
            ("token_expires_at", Int),
        ],
        key: 2,
        id: 0,
    },
    Table {
        name: "sent_codes",
        columns: &[("key", Bytes), ("sent", Int), ("sent_at", Int), ("counted_until", Int)],
        key: 1,
        id: 0,
    },
    Table {
        name: "rate_limits",
        columns: &[("key", Bytes), ("used", Int), ("since", Int), ("refilled_at", Int)],
        key: 1,
        id: 0,
    },
    Table {
        name: "outbox",
        columns: &[
            ("seq", Int),
            ("id", Id),
            ("user_id", Id),
            ("recipient", Text),
            ("mailbox", Text),
            ("urgent", Bool),
            ("deferred", Bool),
            ("sealed", Bytes),
            ("state", Text),
            ("attempts", Int),
            ("due_at", Int),
            ("created_at", Int),
            ("expires_at", Int),
            ("last_error", Text),
        ],
        key: 1,
        id: 1,
    },
    Table {
        name: "audit_events",
        columns: &[
            ("seq", Int),
            ("id", Id),
            ("at", Int),
            ("action", Text),
            ("actor_id", Id),
            ("user_id", Id),
            ("channel", Text),
            ("ip", Text),
            ("user_agent", Text),
            ("uid", Int),
            ("request_id", Text),
            ("changes", Text),
        ],
        key: 1,
        id: 1,
    },
    Table {
        name: "signing_keys",
        columns: &[
            ("kid", Text),
            ("public_key", Bytes),
            ("private_key", Bytes),
            ("created_at", Int),
            ("retired_at", Int),
        ],
        key: 1,
        id: 0,
    },
    Table { name: "issuers", columns: &[("issuer", Text), ("last_used_at", Int)], key: 1, id: 0 },
    Table {
        name: "clean_up",
        columns: &[("one", Int), ("last_run", Int), ("jumped", Bool), ("held", Int)],
        key: 1,
        id: 0,
    },
];

impl Table {
    /// The columns as a list in SQL.
    pub(super) fn column_list(&self) -> String {
        names(self.columns)
    }

    /// Those of the primary key as a list in SQL.
    pub(super) fn key_list(&self) -> String {
        names(&self.columns[..self.key])
    }

    /// Whether its key is a number that the engine chooses.
    pub(super) fn is_numbered(&self) -> bool {
        self.columns[0].0 == "seq"
    }
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
