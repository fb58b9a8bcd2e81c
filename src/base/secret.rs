//! Text that must not be seen: it has no `Debug` or `Display` of its content and is wiped when dropped.

/// A key, a token, or header lines that hold one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    text: String,
}

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret { text: text.into() }
    }

    /// The content, for the one place that sends or compares it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Enough to tell two keys apart and too little to use one: the last four characters of a long key, else nothing.
    pub fn masked(&self) -> String {
        let characters: Vec<char> = self.text.chars().collect();
        match characters.len() {
            0 => "(empty)".to_owned(),
            1..=15 => "****".to_owned(),
            count => format!("****{}", characters[count - 4..].iter().collect::<String>()),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        bytes.fill(0);
        // Keeps the compiler from leaving the wipe out.
        std::hint::black_box(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_last_four_characters_at_most() {
        assert_eq!(Secret::new("sk-0123456789abcdef").masked(), "****cdef");
        assert_eq!(Secret::new("short").masked(), "****");
        assert_eq!(format!("{:?}", Secret::new("sk-0123456789abcdef")), "Secret");
    }
}
