//! `GET /me/export`.

use poem_openapi::OpenApi;

use super::{ApiResult, Tag, answers::Written, guards::SignedIn, views::Export};
use crate::accounts::Accounts;

pub struct Exports(pub Accounts);

#[OpenApi(tag = "Tag::OwnAccount")]
impl Exports {
    /// Export your data
    ///
    /// Gives everything that is stored about the authenticated user in one document: the account, the sessions, the codes
    /// and links that were sent, the messages in the outbox, and the latest 2,000 audit events about the user or caused by
    /// the user. The origin of an admin's action (address, program, request) is omitted. An account may ask five times at
    /// once, and once a minute after that.
    #[oai(path = "/me/export", method = "get", operation_id = "export_me")]
    async fn export(&self, who: SignedIn) -> ApiResult<Written<Export>> {
        let own = who.0.session_id();
        Ok(self.0.export(&who.0, move |export| Written::new(&Export::new(export, own))).await?)
    }
}
