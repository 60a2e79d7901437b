//! Answers that have no body of their own.

use poem_openapi::ApiResponse;

/// Nothing to say but that it was done.
#[derive(ApiResponse)]
pub enum NoContent {
    /// Done.
    #[oai(status = 204)]
    Done,
}

/// Nothing to say, on purpose: the answer is the same whether or not anything happened.
#[derive(ApiResponse)]
pub enum Accepted {
    /// Taken note of. The answer is the same for every address, so that it tells nothing about who has an account.
    #[oai(status = 202)]
    Noted,
}
