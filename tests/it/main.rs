//! Everything that the outside relies on, each test a sentence.

#![expect(clippy::unwrap_used, reason = "a test that is surprised has failed")]

mod app;
mod audit;
mod canary;
mod cli;
mod cli_accounts;
mod clock_set_back;
mod document;
mod emails;
mod errors;
mod examples;
mod forgeries;
mod invitations;
mod keys;
mod limits;
mod listener;
mod matrix;
mod model;
mod openapi;
mod outbox;
mod own_account;
mod own_sessions;
mod panics;
mod pages;
mod passwords;
mod profile;
mod purge;
mod queries;
mod races;
mod registration;
mod reminders;
mod rubbish;
mod serve;
mod sessions;
mod shop;
mod sightings;
mod silence;
mod spellings;
mod store;
mod tidy;
mod timers;
mod tokens;
mod user_search;
mod users;
mod verification;
