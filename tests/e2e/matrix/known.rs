//! Differences that are known, each with its reason. They are asserted: an entry must go when it is mended.

use super::expect::Known;

pub const KNOWN: &[Known] = &[];
