//! The pages behind the links.

use poem::http::Method;

use super::super::story::{Same, Story};
use crate::app::Mail;

impl Story {
    /// Presses a button; answers the page that comes.
    async fn on_the_page(
        &mut self,
        kind: &str,
        path: &str,
        deed: &str,
        link: &str,
        expected: &str,
    ) -> Result<String, String> {
        self.say(&format!("{deed} on {path} with …{}: {expected}", &link[link.len() - 10..]));
        let answer = self.app.anyone().form(path, &[("do", deed), ("token", link)]).await;
        self.count(kind, expected);
        if answer.status == 200 && answer.text().contains(expected) {
            return Ok(answer.text());
        }
        Err(format!("the model has a page with \"{expected}\", the shop {} {}", answer.status, answer.text()))
    }

    pub(super) async fn confirm_on_the_page(&mut self, kind: &str) -> Same {
        let Some(mail) = self.chance.any(&self.mails) else { return Ok(()) };
        let confirmed = self.shop.verify_on_page(mail.token());
        let expected = match confirmed {
            Ok(_) => "Your address is confirmed",
            Err((409, _)) => "This address already has an account",
            Err(_) => "This link no longer works",
        };
        let page = self.on_the_page(kind, "/verify", "confirm", mail.token(), expected).await?;
        if let Ok(tag) = confirmed {
            let (_, token) = page.split_once("name=\"token\" value=\"").unwrap();
            let token = token.split('"').next().unwrap().to_owned();
            let link = format!("http://localhost:8080/reset?token={token}");
            self.shop.codes.last_mut().unwrap().link = token;
            let to = self.shop.people[&tag].email.text().to_owned();
            self.mails.push(Mail { to, subject: String::new(), code: String::new(), link });
        }
        Ok(())
    }

    pub(super) async fn reject_on_the_page(&mut self, kind: &str) -> Same {
        let Some(mail) = self.chance.any(&self.mails) else { return Ok(()) };
        let expected = self.shop.reject(mail.token()).unwrap_or("This link no longer works");
        let path = if mail.link.contains("/reset") { "/reset" } else { "/verify" };
        self.on_the_page(kind, path, "reject", mail.token(), expected).await.map(|_| ())
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
