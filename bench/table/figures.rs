//! Numbers: medians, percentiles, and how they are written.

use std::time::Duration;

/// The middle one, or what is half-way between the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return f64::NAN;
    }
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}

/// The value that so many of a hundred do not exceed. The values are sorted.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).or(sorted.last()).copied().unwrap_or_default()
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How fast work was done, and what CPU time one of it took.
#[derive(Clone, Copy)]
pub struct Pace {
    /// So many per second.
    pub rate: f64,
    /// Microseconds for one.
    pub cpu: f64,
}

impl Pace {
    pub fn new(rate: f64, count: f64, cpu: Duration) -> Self {
        Self { rate, cpu: cpu.as_secs_f64() * 1e6 / count }
    }

    pub const fn rate(&self) -> f64 {
        self.rate
    }

    pub const fn cpu(&self) -> f64 {
        self.cpu
    }
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub const fn float(count: u64) -> f64 {
    count as f64
}

/// A number with about three figures, and a comma between thousands.
pub fn short(number: f64) -> String {
    let digits = match number.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        0.095.. => 2,
        _ => 3,
    };
    let text = format!("{number:.digits$}");
    let (whole, rest) = text.find('.').map_or((text.as_str(), ""), |dot| text.split_at(dot));
    let mut grouped = String::new();
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// A number of bytes.
pub fn mebibytes(bytes: u64) -> f64 {
    float(bytes) / 1024.0 / 1024.0
}
