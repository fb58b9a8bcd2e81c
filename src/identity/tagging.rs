//! Labels from headers of a request, as the settings name them.

/// One header that carries labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagging {
    /// In lower case.
    pub header: String,
    /// Taken off each label.
    pub prefix: String,
    /// What stands between labels.
    pub delimiter: String,
    /// The header does not go on to providers.
    pub is_kept_back: bool,
}

impl Tagging {
    /// The labels in a value, in their order, each once.
    pub fn labels<'v>(&'v self, value: &'v str) -> Vec<&'v str> {
        let mut labels = Vec::new();
        for part in value.split(self.delimiter.as_str()) {
            let part = part.trim();
            let label = part.strip_prefix(self.prefix.as_str()).unwrap_or(part).trim();
            if !label.is_empty() && !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lose_their_prefix_and_stand_once() {
        let check = |prefix: &str, delimiter: &str, value: &str, want: &[&str]| {
            let (prefix, delimiter) = (prefix.to_owned(), delimiter.to_owned());
            let tagging = Tagging { header: "x".to_owned(), prefix, delimiter, is_kept_back: false };
            assert_eq!(tagging.labels(value), want, "{value}");
        };
        check("tag-", ",", "tag-alpha, beta ,tag-alpha,,tag-", &["alpha", "beta"]);
        check("", ";", "a,b; c", &["a,b", "c"]);
        check("", ",", "", &[]);
    }
}
