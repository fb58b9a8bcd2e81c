//! What the two halves of a translation tell each other: the request's to the answer's.

/// What a writer of answers must know of the request.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Without a dialect's prefix; for answers that bring no id of their own, and the ids of blocks.
    pub id: String,
    /// The model as the client named it, for answers that name none.
    pub model: String,
    /// When the answer began, in seconds since 1970.
    pub created_s: u64,
    /// The client wants usage in its stream, where its dialect leaves that to it.
    pub include_usage: bool,
    /// Members of the request that the dialect repeats in its answers: JSON members, each followed by a comma.
    pub echo: Vec<u8>,
    /// The answer is kept under [`Told::id`]: it goes by that, and its writer hands the finished object over.
    pub is_kept: bool,
}

/// What the reader of the answer must know of the request as it was written for the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Tools that had to be renamed: the name that was sent, and the client's.
    pub renamed_tools: Vec<(String, String)>,
    /// Tools whose input is a text, for a provider that only knows JSON: their calls have it as the member `input`.
    pub custom_tools: Vec<String>,
    /// The tool whose input is the answer: its calls are unwrapped into text.
    pub answer_tool: Option<&'static str>,
}
