//! Names of models as a provider file writes them: `*` stands for any text.

/// A list of patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    patterns: Vec<String>,
}

impl Models {
    pub fn new(patterns: Vec<String>) -> Models {
        Models { patterns }
    }

    /// Whether one of the patterns is this model's.
    pub fn has(&self, model: &str) -> bool {
        self.patterns.iter().any(|pattern| fits(pattern, model))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    let Some((front, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(front) else { return false };
    // The first place that fits leaves the most for the rest.
    (0..=name.len()).any(|at| name.is_char_boundary(at) && fits(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, want) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("claude-*-5*", "claude-opus-5-20260101", true),
            ("claude-*-5*", "claude-opus-4-1", false),
            ("*", "", true),
            ("ä*", "äö", true),
        ] {
            assert_eq!(Models::new(vec![pattern.to_owned()]).has(name), want, "{pattern} {name}");
        }
    }
}
