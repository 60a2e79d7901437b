//! The query plans of statements, for unit tests.

use rusqlite::{Connection, params_from_iter};

/// The steps of SQLite's plan for a query on a database with this schema.
pub(in crate::store) fn query_plan(schema: &[&str], sql: &str) -> Vec<String> {
    let connection = Connection::open_in_memory().expect("memory");
    for migration in schema {
        connection.execute_batch(migration).expect("the schema");
    }
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a query");
    let nulls = params_from_iter(vec![None::<i64>; explain.parameter_count()]);
    let plan = explain.query_map(nulls, |row| row.get(3)).expect("a plan");
    plan.collect::<Result<_, _>>().expect("a plan")
}
