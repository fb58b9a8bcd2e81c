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

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
