//! Choices that have one word each, the same from the URL to the SQL.

/// A choice among few, each with its word.
pub trait Word: Copy + 'static {
    /// Every choice.
    const ALL: &'static [Self];

    /// The word for it.
    fn word(self) -> &'static str;

    /// The choice that `word` is for.
    fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|choice| choice.word() == word)
    }
}
