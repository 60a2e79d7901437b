//! What every row needs: how long to measure, and a database of few and one of many users, created on first use.

use std::cell::OnceCell;

use super::{figures::short, shop::Shop, turns::Turns};

const FEW: u32 = 1000;
const MANY: u32 = 1_000_000;
/// Enough to see that it works.
const MANY_IF_QUICK: u32 = 100_000;

pub struct Setting {
    pub turns: Turns,
    pub quick: bool,
    few: OnceCell<Shop>,
    many: OnceCell<Shop>,
}

impl Setting {
    pub const fn new(quick: bool) -> Self {
        Self { turns: Turns::new(quick), quick, few: OnceCell::new(), many: OnceCell::new() }
    }

    /// A store of a thousand users.
    pub fn few(&self) -> &Shop {
        self.few.get_or_init(|| Shop::with_users(FEW))
    }

    /// A store of many.
    pub fn many(&self) -> &Shop {
        self.many.get_or_init(|| Shop::with_users(self.how_many()))
    }

    /// How many that is, in words.
    pub fn many_users(&self) -> String {
        format!("{} users", short(self.how_many().into()))
    }

    pub const fn how_many(&self) -> u32 {
        if self.quick { MANY_IF_QUICK } else { MANY }
    }
}
