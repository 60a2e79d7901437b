//! Random arguments: addresses, passwords, names, proofs and tokens, mostly valid ones.

use serde_json::{Value, json};

use super::super::{
    shop::{ADDRESSES, Address, COMMON, Name, Proof},
    story::{Pair, Story},
};
use crate::{app::Mail, verification::wrong};

const NAMES: [Name; 5] = [None, Some("Ann"), Some("Zoë"), Some("O'Neill"), Some("Łukasz")];
pub(super) const TEXTS: [&str; 12] = [
    "ann",
    "EXAMPLE.org",
    "smith",
    "zoë",
    "@",
    "BÜCHER",
    "xn--",
    "missing here",
    "o'n",
    "ann zoë",
    "zoe",
    "smith ann",
];

impl Story {
    pub(super) fn address(&mut self) -> Address {
        let number = self.chance.below(ADDRESSES.len());
        Address { number, spelling: if self.chance.percent(60) { 0 } else { self.chance.below(3) } }
    }

    /// An address that mostly belongs to a user, in any spelling.
    pub(super) fn known_address(&mut self) -> Address {
        let mut address = self.address();
        let people: Vec<_> = self.shop.people.values().map(|person| person.email.number).collect();
        if self.chance.percent(80)
            && let Some(number) = self.chance.any(&people)
        {
            address.number = number;
        }
        address
    }

    /// The right password for the address, in most cases.
    pub(super) fn password_of(&mut self, address: Address) -> usize {
        let tag = self.shop.with_address(address);
        let right = tag.and_then(|tag| self.shop.people[&tag].password);
        right.filter(|_| self.chance.percent(85)).unwrap_or_else(|| self.chance.below(COMMON))
    }

    pub(super) fn own_password(&mut self, by: Option<&Pair>) -> usize {
        let tag = by.and_then(|pair| self.shop.who(Some(pair.good)).ok());
        let right = tag.and_then(|tag| self.shop.people[&tag].password);
        right.filter(|_| self.chance.percent(85)).unwrap_or_else(|| self.chance.below(COMMON))
    }

    pub(super) fn new_password(&mut self) -> usize {
        if self.chance.percent(5) { COMMON } else { self.chance.below(COMMON) }
    }

    pub(super) fn names(&mut self) -> [Name; 2] {
        [self.chance.pick(&NAMES), self.chance.pick(&NAMES)]
    }

    pub(super) fn name_changes(&mut self) -> [Option<Name>; 2] {
        [self.chance.perhaps(50, &NAMES), self.chance.perhaps(50, &NAMES)]
    }

    /// As it is typed: spaces around an address do not count.
    pub(super) fn typed_address(&mut self, address: Address) -> String {
        if self.chance.percent(10) { format!(" {} ", address.text()) } else { address.text().to_owned() }
    }

    /// A proof out of a mail, mostly of one that counts for these pages; it may be used, dead, or for something else. Or one
    /// that is wrong.
    pub(super) fn proof(&mut self, page: &str) -> (Proof, Value) {
        let counts = |mail: &&Mail| {
            mail.link.contains(page) && self.shop.codes.iter().any(|code| code.link == mail.token())
        };
        let good: Vec<_> = self.mails.iter().filter(counts).cloned().collect();
        let from = if self.chance.percent(70) { &good } else { &self.mails };
        let mail = self.chance.any(from);
        let mail = mail.filter(|_| self.chance.percent(96));
        let by_link = mail.as_ref().is_some_and(|mail| mail.code.is_empty()) || self.chance.percent(40);
        let Some(mail) = mail else {
            if by_link {
                let link = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
                return (Proof::Link(link.to_owned()), json!({ "token": link }));
            }
            let to = self.known_address();
            let digits = self.chance.pick(&["000000", "12345", "1234567", "１２３４５６"]);
            return (Proof::Code(to, digits.to_owned()), json!({ "email": to.text(), "code": digits }));
        };
        if by_link {
            return (Proof::Link(mail.token().to_owned()), json!({ "token": mail.token() }));
        }
        let mut to = Address { number: Address::of(&mail.to).number, ..self.address() };
        if self.chance.percent(5) {
            to = self.address();
        }
        let digits = if self.chance.percent(30) { wrong(&mail.code) } else { mail.code };
        let typed = self.typed_address(to);
        (Proof::Code(to, digits.clone()), json!({ "email": typed, "code": digits }))
    }
}
