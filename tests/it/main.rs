//! Everything that the outside relies on, each test a sentence.

#![expect(clippy::unwrap_used, reason = "a test that is surprised has failed")]

mod app;
mod cli;
mod document;
mod errors;
mod keys;
mod limits;
mod listener;
mod matrix;
mod openapi;
mod passwords;
mod profile;
mod purge;
mod races;
mod registration;
mod serve;
mod sessions;
mod shop;
mod store;
mod tidy;
mod tokens;
mod users;
mod verification;
