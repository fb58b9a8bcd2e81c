//! What is wrong with the settings, and where: one line per mistake, for the person who made it.

use std::fmt;

/// One mistake. Its text is `place: setting: what is wrong; expected …`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// `file:line:column`, or the environment variable, or the default's own name.
    pub place: String,
    pub setting: String,
    pub what: String,
    pub expected: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.setting.is_empty() {
            write!(f, "{}: ", self.setting)?;
        }
        write!(f, "{}", self.what)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        Ok(())
    }
}

/// The mistakes found so far, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Mistakes {
    pub list: Vec<Mistake>,
    /// Things that are allowed and hardly meant.
    pub warnings: Vec<String>,
}

impl Mistakes {
    pub fn add(&mut self, place: &str, setting: &str, what: impl Into<String>, expected: impl Into<String>) {
        let (place, setting) = (place.to_owned(), setting.to_owned());
        self.list.push(Mistake { place, setting, what: what.into(), expected: expected.into() });
    }

    pub fn warn(&mut self, what: String) {
        self.warnings.push(what);
    }
}

/// The known word that is nearest to a mistyped one, when it is near enough to be meant.
pub fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let scored = known.into_iter().map(|word| (distance(typed, word), word));
    scored.min().filter(|(distance, word)| *distance <= (word.len() / 3).max(1)).map(|(_, word)| word)
}

/// How many bytes to change, to add, to leave out, or pairs to swap.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let change = row[j] + usize::from(a[i] != b[j]);
            let is_swap = i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j];
            let swap = if is_swap { before[j - 1] + 1 } else { usize::MAX };
            next.push(change.min(row[j + 1] + 1).min(next[j] + 1).min(swap));
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_near_and_another_word_is_not() {
        for (a, b, want) in
            [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("paths", "pahts", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (want, want), "{a} {b}");
        }
        assert_eq!(nearest("opanai", ["groq", "openai"]), Some("openai"));
        assert_eq!(nearest("xyz", ["groq", "openai"]), None);
    }
}
