//! Copies every table from one store to another, and compares the two: rows are the same on both engines.

use std::{iter, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::{
    error::Error,
    sql::{Dialect, Param},
    tables::{Kind, TABLES, Table},
    tx::{Snapshot, Tx},
};
use crate::config::{Database, Engine};

/// How many rows are read in a page, and written in a statement: PostgreSQL takes 65,535 parameters, SQLite 32,766.
const PAGE: usize = 500;

/// How long to wait until no other transaction uses a table.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How many unfit rows are named at most.
const MOST_UNFIT: usize = 20;

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableContent {
    pub table: &'static str,
    pub rows: u64,
    /// The sum of the SHA-256 of each row, so it does not depend on their order.
    pub hash: [u8; 32],
}

/// Rows that an engine cannot hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnfitRows {
    /// A phrase for each of the first ones, with table, id and column.
    pub named: Vec<String>,
    pub count: u64,
}

type CopiedRow = Vec<Option<Param>>;

impl Snapshot<'_> {
    /// The number of rows of all tables.
    pub(crate) fn count_rows(&self) -> Result<u64, Error> {
        TABLES.iter().map(|table| self.number(&format!("SELECT count(*) FROM {}", table.name), ())).sum()
    }

    /// Whether there are no rows but those that the migrations insert.
    pub(crate) fn is_empty(&self) -> Result<bool, Error> {
        for table in TABLES.iter().filter(|table| table.name != "clean_up") {
            if self.first(&format!("SELECT 1 FROM {} LIMIT 1", table.name), (), |_| Ok(()))?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows that the engine of another store cannot hold. `progress` is called with the number of rows that were read.
    pub(crate) fn unfit_rows(
        &self,
        target: &Database,
        progress: &mut dyn FnMut(usize),
    ) -> Result<UnfitRows, Error> {
        let dialect = match target.engine() {
            Engine::Sqlite(_) => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        };
        let mut unfit = UnfitRows::default();
        for table in TABLES {
            each_page(self, table, |rows| {
                for why in rows.iter().filter_map(|row| unfit_value(table, row, dialect)) {
                    unfit.count += 1;
                    if unfit.named.len() < MOST_UNFIT {
                        unfit.named.push(why);
                    }
                }
                progress(rows.len());
                Ok(())
            })?;
        }
        Ok(unfit)
    }

    /// What every table holds.
    pub(crate) fn content(&self, progress: &mut dyn FnMut(usize)) -> Result<Vec<TableContent>, Error> {
        let read = TABLES.iter().map(|table| {
            let mut content = TableContent::none(table);
            each_page(self, table, |rows| {
                content.add(&rows);
                progress(rows.len());
                Ok(())
            })?;
            Ok(content)
        });
        read.collect()
    }
}

impl Tx<'_> {
    /// Takes a lock on every table that no other process can use beside it. Renaming the tables at the end needs the same lock:
    /// a weaker one before it could end in a deadlock. SQLite has one lock for all, which it has taken.
    pub(crate) fn lock_tables(&self) -> Result<(), Error> {
        if self.dialect() == Dialect::Postgres {
            self.execute(&format!("SET LOCAL lock_timeout = {}", LOCK_TIMEOUT.as_millis()), ())?;
            let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
            self.execute(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", ")), ())?;
        }
        Ok(())
    }

    /// Copies every table of another store to this one, which has no rows; returns what was read.
    pub(crate) fn copy_from(
        &self,
        source: &Snapshot<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<TableContent>, Error> {
        let copied = TABLES.iter().map(|table| {
            let mut content = TableContent::none(table);
            each_page(source, table, |rows| {
                content.add(&rows);
                insert(self, table, &rows)?;
                progress(rows.len());
                Ok(())
            })?;
            if table.is_numbered() {
                self.number_after_copy(table)?;
            }
            Ok(content)
        });
        copied.collect()
    }

    /// Lets the numbers of new rows begin after those that were copied; SQLite does so by itself.
    fn number_after_copy(&self, table: &Table) -> Result<(), Error> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let name = table.name;
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('{name}', 'seq'), (SELECT coalesce(max(seq), 0) + 1 FROM {name}), FALSE)"
        );
        self.first(&sql, (), |_| Ok(())).map(drop)
    }

    /// Deletes all rows, those first that refer to others.
    pub(crate) fn delete_all_rows(&self) -> Result<(), Error> {
        TABLES
            .iter()
            .rev()
            .try_for_each(|table| self.execute(&format!("DELETE FROM {}", table.name), ()).map(drop))
    }

    /// Renames every table, so that a process which has the store open still cannot use it. A file of SQLite is not open then.
    pub(crate) fn rename_moved_tables(&self) -> Result<(), Error> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let rename = |name| self.execute(&format!("ALTER TABLE {name} RENAME TO moved_{name}"), ()).map(drop);
        TABLES.iter().map(|table| table.name).try_for_each(rename)
    }
}

/// Reads a table in pages, in the order of its primary key: PostgreSQL sends the whole result of a query.
fn each_page(
    snapshot: &Snapshot<'_>,
    table: &Table,
    mut read: impl FnMut(Vec<CopiedRow>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (columns, key) = (table.column_list(), table.key_list());
    let after = placeholders(0, table.key);
    let page = |condition: &str| {
        format!("SELECT {columns} FROM {} {condition} ORDER BY {key} LIMIT {PAGE}", table.name)
    };
    let (first, next) = (page(""), page(&format!("WHERE ({key}) > {after}")));
    let mut last: Option<CopiedRow> = None;
    loop {
        let (sql, after) = match &last {
            None => (&first, &[][..]),
            Some(row) => (&next, &row[..table.key]),
        };
        let rows = snapshot
            .all(sql, after, |row| (0..table.columns.len()).map(|column| row.get(column)).collect())?;
        let is_last = rows.len() < PAGE;
        last = rows.last().cloned();
        if !rows.is_empty() {
            read(rows)?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Simplified: binary COPY would be faster on PostgreSQL than INSERT with many rows.
fn insert(tx: &Tx<'_>, table: &Table, rows: &[CopiedRow]) -> Result<(), Error> {
    let columns = table.columns.len();
    let values: Vec<_> = (0..rows.len()).map(|row| placeholders(row * columns, columns)).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES {}", table.name, table.column_list(), values.join(", "));
    let inserted = tx.execute(&sql, rows.concat())?;
    if inserted != rows.len() {
        return Err(Error::Defect(format!(
            "inserted {inserted} rows instead of {}: {}",
            rows.len(),
            table.name
        )));
    }
    Ok(())
}

/// `(?3, ?4)` for two placeholders after the second.
fn placeholders(after: usize, count: usize) -> String {
    let numbers: Vec<_> = (after + 1..=after + count).map(|number| format!("?{number}")).collect();
    format!("({})", numbers.join(", "))
}

/// Why a row cannot be held, if so. The value may be personal data, and is not shown.
fn unfit_value(table: &Table, row: &CopiedRow, target: Dialect) -> Option<String> {
    let (name, why) = iter::zip(table.columns, row).find_map(|((name, kind), value)| {
        let why = match (value.as_ref()?, kind) {
            (Param::Text(text), Kind::Text) => {
                (target == Dialect::Postgres && text.contains('\0')).then_some("has a NUL character")?
            }
            (Param::Blob(bytes), Kind::Id) => (bytes.len() != 16).then_some("is no id")?,
            (Param::Int(0 | 1), Kind::Bool) | (Param::Int(_), Kind::Int) | (Param::Blob(_), Kind::Bytes) => {
                None?
            }
            _ => "is of another type",
        };
        Some((name, why))
    })?;
    let id = match &row[table.id] {
        Some(Param::Blob(bytes)) => match <[u8; 16]>::try_from(&bytes[..]) {
            Ok(bytes) => Uuid::from_bytes(bytes).to_string(),
            Err(_) => hex(bytes),
        },
        Some(Param::Text(text)) => text.escape_default().to_string(),
        Some(Param::Int(number)) => number.to_string(),
        None => "NULL".to_owned(),
    };
    Some(format!("{} {id}: {name} {why}", table.name))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

impl TableContent {
    fn none(table: &Table) -> Self {
        Self { table: table.name, rows: 0, hash: [0; 32] }
    }

    /// The hash in hexadecimal.
    #[must_use]
    pub fn hex_hash(&self) -> String {
        hex(&self.hash)
    }

    fn add(&mut self, rows: &[CopiedRow]) {
        for row in rows {
            self.add_row(row);
        }
    }

    fn add_row(&mut self, row: &CopiedRow) {
        let mut bytes = Vec::new();
        for value in row {
            // Each value has a known length, so that no two rows are the same bytes.
            match value {
                None => bytes.push(0),
                Some(Param::Int(number)) => {
                    bytes.push(1);
                    bytes.extend_from_slice(&number.to_be_bytes());
                }
                Some(Param::Text(text)) => push(&mut bytes, 2, text.as_bytes()),
                Some(Param::Blob(blob)) => push(&mut bytes, 3, blob),
            }
        }
        let mut carry = 0;
        for (sum, byte) in iter::zip(&mut self.hash, digest(&SHA256, &bytes).as_ref()).rev() {
            let added = u16::from(*sum) + u16::from(*byte) + carry;
            *sum = added.to_be_bytes()[1];
            carry = added >> 8;
        }
        self.rows += 1;
    }
}

fn push(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&value.len().to_be_bytes());
    bytes.extend_from_slice(value);
}
