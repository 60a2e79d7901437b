//! Everything that the outside relies on, each test a sentence.

#![expect(clippy::unwrap_used, reason = "a test that is surprised has failed")]

mod app;
mod document;
mod smoke;
