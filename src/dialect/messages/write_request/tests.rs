//! Cases, each a sentence.
