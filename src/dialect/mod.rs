//! What the LLM APIs mean by their bytes. Knows grammars; no provider names, no URLs, no keys.

pub mod batches;
pub mod belongings;
pub mod bill;
pub mod chat;
pub mod collection;
pub mod converse;
pub mod embed;
pub mod endpoint;
pub mod errors;
pub mod estimate;
pub mod facts;
pub mod fuzz;
pub mod gemini;
pub mod messages;
pub mod middle;
pub mod openai;
pub mod responses;
pub mod sweep;
pub mod translate;
mod words;
