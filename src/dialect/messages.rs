//! The Messages dialect of Anthropic: requests and answers into the middle and back.
