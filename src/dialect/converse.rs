//! The Converse dialect of Bedrock: requests out of the middle, answers into it.
