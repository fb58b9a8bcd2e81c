//! Words that are looked for in every body or event. Their searchers are made once: making one costs more than searching
//! an event of usual size does.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A searcher for one word.
pub type Word = LazyLock<Finder<'static>>;

macro_rules! words {
    ($($(#[$about:meta])* $name:ident $text:literal),* $(,)?) => {
        $($(#[$about])* pub static $name: Word = LazyLock::new(|| Finder::new($text.as_bytes()));)*
    };
}

words! {
    /// What is in both of the names behind it.
    FILE "file",
    /// What ids of files stand under.
    FILE_ID "file_id",
    /// The same, as in `input_file`.
    OF_FILE "_file",
    /// An escape that may spell an ASCII character.
    LOW_ESCAPE r"\u00",
    /// What ids of vector stores, containers and stored prompts stand under.
    VECTOR_STORE "vector_store",
    CONTAINER "container",
    PROMPT "\"prompt\"",
    /// What marks a signature of another vendor.
    MARK "ringway:",
    /// Members of events, with their quotes.
    ERROR "\"error\"",
    SERVICE_TIER "\"service_tier\"",
    /// The end of the kind of an item that is a call.
    CALL "_call\"",
    /// Kinds of Anthropic's events that are about the whole message.
    MESSAGE "message_",
    /// The last events of a response.
    COMPLETED "response.completed",
    INCOMPLETE "response.incomplete",
    FAILED "response.failed",
    /// Members of Gemini's chunks.
    USAGE_METADATA "usageMetadata",
    FINISH "finishReason",
    BLOCK "blockReason",
    SEARCHES "\"webSearchQueries\"",
}

/// The same mark in the form that Gemini's signatures have.
pub static GEMINI_MARK: Word = LazyLock::new(|| Finder::new(super::gemini::SIGNATURE_MARK));
