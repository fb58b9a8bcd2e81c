//! What the LLM APIs mean by their bytes. Knows grammars; no provider names, no URLs, no keys.

pub mod endpoint;
pub mod fuzz;
pub mod middle;
pub mod openai;
