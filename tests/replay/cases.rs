//! Answers that nobody recorded: one for each thing that must survive the way from a dialect to another.

use crate::shelf::Recording;

pub fn all() -> Vec<Recording> {
    Vec::new()
}
