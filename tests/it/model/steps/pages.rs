//! The pages behind the links.

use poem::http::Method;

use super::super::{
    shop::Proof,
    story::{Same, Story},
};

impl Story {
    async fn on_the_page(&mut self, kind: &str, path: &str, deed: &str, link: &str, expected: &str) -> Same {
        self.say(&format!("{deed} on {path} with …{}: {expected}", &link[link.len() - 10..]));
        let answer = self.app.anyone().form(path, &[("do", deed), ("token", link)]).await;
        self.count(kind, expected);
        if answer.status == 200 && answer.text().contains(expected) {
            return Ok(());
        }
        Err(format!("the model has a page with \"{expected}\", the shop {} {}", answer.status, answer.text()))
    }

    pub(super) async fn confirm_on_the_page(&mut self, kind: &str) -> Same {
        let Some(mail) = self.chance.any(&self.mails) else { return Ok(()) };
        let expected = match self.shop.verify(&Proof::Link(mail.token().to_owned())) {
            Ok(_) => "Your address is confirmed",
            Err((409, _)) => "This address has an account already",
            Err(_) => "This link does not work any more",
        };
        self.on_the_page(kind, "/verify", "confirm", mail.token(), expected).await
    }

    pub(super) async fn disown_on_the_page(&mut self, kind: &str) -> Same {
        let Some(mail) = self.chance.any(&self.mails) else { return Ok(()) };
        let expected = self.shop.disown(mail.token()).unwrap_or("This link does not work any more");
        let path = if mail.link.contains("/reset") { "/reset" } else { "/verify" };
        self.on_the_page(kind, path, "disown", mail.token(), expected).await
    }

    /// Looking at a link does not use it.
    pub(super) async fn open_a_page(&mut self, kind: &str) -> Same {
        let Some(mail) = self.chance.any(&self.mails) else { return Ok(()) };
        let path = mail.link.trim_start_matches("http://localhost:8080").to_owned();
        let answer = self.send(None, Method::GET, &path, None).await;
        self.count(kind, answer.status);
        if answer.status == 200 { Ok(()) } else { Err(format!("the page is {}", answer.status)) }
    }
}
