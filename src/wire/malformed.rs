//! What is wrong with bytes that came from outside, one word per rule; never a string made at run time.

/// A rule that the input broke. The client's sentence and status stand beside the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    HeadTooLarge,
}
