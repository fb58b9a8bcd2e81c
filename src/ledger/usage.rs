//! The canonical usage of one exchange: what the provider said it counted. A count that nobody gave is unknown, not 0.

/// Tokens of one exchange. `input` is everything read and `output` everything generated, reasoning included; the other
/// counts are parts of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Merges a later report of the same exchange: what it states wins, what it leaves out stays.
    /// Reports are never added up, because providers repeat them.
    pub fn merge(&mut self, later: Usage) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_write = later.cache_write.or(self.cache_write);
        self.reasoning = later.reasoning.or(self.reasoning);
    }

    /// Whether the provider stated anything.
    pub fn is_known(&self) -> bool {
        self.input.is_some() || self.output.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_report_replaces_and_never_adds() {
        let mut usage = Usage { input: Some(43), output: Some(1), ..Usage::default() };
        usage.merge(Usage { input: Some(61), ..Usage::default() });
        usage.merge(Usage { output: Some(9), ..Usage::default() });
        assert_eq!(usage, Usage { input: Some(61), output: Some(9), ..Usage::default() });
    }
}
