//! `GET /me/export`.

use poem_openapi::OpenApi;

use super::{answers::SerializedJson, guards::Authenticated, tags::Tag, views::Export};
use crate::{accounts, http::ApiResult};

pub struct Exports(pub accounts::Exports);

#[OpenApi(tag = "Tag::OwnAccount")]
impl Exports {
    /// Export your data
    ///
    /// Returns everything that is stored about the authenticated user: the account, the sessions, the codes and links that
    /// were sent, the messages that are not sent yet, and the latest {export-events} audit events about the user or caused
    /// by the user. Of an admin's action the origin (IP address, `User-Agent`, request) is omitted.
    ///
    /// An account can be exported {export-burst} times in a row, and once every {export-refill} after that.
    ///
    /// Errors:
    /// - `429 too_many_requests`: too many exports.
    /// - `503 outcome_unknown`: the export may have been counted towards its limit.
    /// - `507 storage_full`: the server's disk is full, so that the export cannot be counted towards its limit.
    #[oai(path = "/me/export", method = "get", operation_id = "export_me")]
    async fn export(&self, caller: Authenticated) -> ApiResult<SerializedJson<Export>> {
        let own = caller.0.session_id();
        Ok(self.0.create(&caller.0, move |export| SerializedJson::new(&Export::new(export, own))).await?)
    }
}
