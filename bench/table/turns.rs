//! Measuring in turns: contestants run one after the other, again and again, so that all see the same machine.

use std::time::Duration;

use super::figures::median;

/// How many turns there are, and how long each takes.
#[derive(Clone, Copy)]
pub struct Turns {
    pub count: usize,
    pub length: Duration,
}

impl Turns {
    pub const fn new(quick: bool) -> Self {
        let (count, seconds) = if quick { (2, 1) } else { (5, 3) };
        Self { count, length: Duration::from_secs(seconds) }
    }

    /// What each contestant did, turn by turn. Every other turn is in reverse order: no contestant is always first.
    pub fn take<T, const N: usize>(&self, mut contestants: [&mut dyn FnMut() -> T; N]) -> [Taken<T>; N] {
        let mut taken = std::array::from_fn(|_| Taken(Vec::new()));
        for turn in 0..self.count {
            let mut order: Vec<_> = (0..N).collect();
            if turn % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let contestant = &mut contestants[index];
                taken[index].0.push(contestant());
            }
        }
        taken
    }
}

/// What one contestant did in each turn.
pub struct Taken<T>(pub Vec<T>);

impl<T> Taken<T> {
    /// The median of a figure over the turns.
    pub fn median(&self, figure: impl Fn(&T) -> f64) -> f64 {
        median(self.0.iter().map(figure))
    }

    /// The largest of a figure over the turns.
    pub fn most(&self, figure: impl Fn(&T) -> f64) -> f64 {
        self.0.iter().map(figure).fold(f64::MIN, f64::max)
    }

    /// The median over the turns of how a figure stands to the other's in the same turn.
    pub fn ratio<U>(&self, of: impl Fn(&T) -> f64, other: &Taken<U>, to: impl Fn(&U) -> f64) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(this, that)| of(this) / to(that)))
    }
}
