//! Random numbers that are the same for the same seed (`SplitMix64`).

use std::hash::{BuildHasher, Hasher, RandomState};

pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A random seed.
    pub fn fresh_seed() -> u64 {
        RandomState::new().build_hasher().finish()
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// A length of time up to this one, in milliseconds.
    pub fn up_to(&mut self, millis: i64) -> i64 {
        (self.next() % millis.unsigned_abs()).cast_signed() + 1
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    /// One of the items, if there are any, in so many of a hundred cases.
    pub fn perhaps<T: Clone>(&mut self, percent: usize, items: &[T]) -> Option<T> {
        (!items.is_empty() && self.percent(percent)).then(|| self.pick(items))
    }

    /// One of the items, if there are any.
    pub fn any<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        self.perhaps(100, items)
    }
}
