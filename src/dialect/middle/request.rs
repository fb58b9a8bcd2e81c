//! What a client asks for, in the words of no dialect.

use super::text::{Signature, Text};

/// A generation request. Raw parts (`&[u8]`) are JSON values as they were spelled.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    pub model: Text<'a>,
    /// In the client's order; system turns stand where the client put them.
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    pub parallel_tool_calls: Option<bool>,
    pub format: Format<'a>,
    pub max_tokens: Option<u64>,
    /// Numbers keep their spelling.
    pub temperature: Option<&'a [u8]>,
    pub top_p: Option<&'a [u8]>,
    pub top_k: Option<&'a [u8]>,
    pub frequency_penalty: Option<&'a [u8]>,
    pub presence_penalty: Option<&'a [u8]>,
    pub seed: Option<&'a [u8]>,
    pub stop: Vec<Text<'a>>,
    /// How many answers; `None` and 1 are the same.
    pub choices_count: Option<u64>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u64>,
    pub reasoning: Option<Reasoning<'a>>,
    pub stream: bool,
    /// The client wants usage in its stream, where its dialect leaves that to it.
    pub include_usage: bool,
    /// The end user, for the provider's watch over abuse.
    pub user: Option<Text<'a>>,
    pub service_tier: Option<Text<'a>>,
    /// Key-value pairs for the provider's records.
    pub metadata: Option<&'a [u8]>,
    /// What the reader knows and the middle has no word for, and what the reader does not know. A writer takes what its
    /// dialect has under the same name and the same meaning, and reports the rest.
    pub extras: Vec<Extra<'a>>,
}

/// A top-level field that the middle has no word for.
#[derive(Clone, Debug)]
pub struct Extra<'a> {
    pub name: String,
    pub raw: &'a [u8],
}

/// One turn of the conversation.
#[derive(Clone, Debug)]
pub struct Turn<'a> {
    pub role: Role,
    pub parts: Vec<Part<'a>>,
    /// The name of the speaker, where one is given.
    pub name: Option<Text<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    /// A system turn in the words of newer OpenAI models.
    Developer,
    User,
    Assistant,
}

/// A part of a turn. Results of tools are parts of user turns.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    Text {
        text: Text<'a>,
        /// `cache_control` as it was given.
        cache_control: Option<&'a [u8]>,
    },
    Image {
        media: Media<'a>,
        detail: Option<Text<'a>>,
        cache_control: Option<&'a [u8]>,
    },
    Audio {
        media: Media<'a>,
    },
    /// A document: PDF or text.
    File {
        media: Media<'a>,
        name: Option<Text<'a>>,
        cache_control: Option<&'a [u8]>,
    },
    Thinking {
        text: Text<'a>,
        signature: Option<Signature<'a>>,
    },
    /// A thought that only its vendor can read.
    HiddenThinking {
        data: Signature<'a>,
    },
    Refusal {
        text: Text<'a>,
    },
    ToolCall {
        id: Text<'a>,
        name: Text<'a>,
        /// The content of a JSON string that holds the arguments as JSON; empty means `{}`. Of a custom tool: its text.
        arguments: Text<'a>,
        kind: ToolKind,
        signature: Option<Signature<'a>>,
        cache_control: Option<&'a [u8]>,
    },
    ToolResult {
        /// The id of the call.
        id: Text<'a>,
        /// The tool's name, where the dialect gives it.
        name: Option<Text<'a>>,
        parts: Vec<Part<'a>>,
        is_error: bool,
        cache_control: Option<&'a [u8]>,
    },
    /// A part that only the client's own dialect knows. The path is the field's name for a refusal, such as
    /// `messages[2].content[0]`.
    Foreign {
        path: String,
        raw: &'a [u8],
    },
}

/// Where the bytes of an image, a sound or a document are.
#[derive(Clone, Debug)]
pub struct Media<'a> {
    /// `image/png` and the like; `None` when the client leaves it to the provider.
    pub kind: Option<Text<'a>>,
    pub source: Source<'a>,
}

#[derive(Clone, Debug)]
pub enum Source<'a> {
    Base64(Text<'a>),
    Url(Text<'a>),
    /// A plain text.
    Text(Text<'a>),
    /// An id that a provider gave out for an upload.
    FileId(Text<'a>),
}

/// A tool that the model may call.
#[derive(Clone, Debug)]
pub struct Tool<'a> {
    pub kind: ToolKind,
    pub name: Text<'a>,
    pub description: Option<Text<'a>>,
    /// The JSON schema of the arguments; `None` for a tool without any. For a foreign tool, the whole tool.
    pub schema: Option<&'a [u8]>,
    pub strict: Option<bool>,
    pub cache_control: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    Function,
    /// Its input is a text, not JSON.
    Custom,
    /// A tool that the provider runs itself, or of a kind that the middle has no word for.
    Foreign,
}

#[derive(Clone, Debug)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    Required,
    Named(Text<'a>),
    /// A choice that only the client's own dialect knows.
    Foreign(&'a [u8]),
}

/// What the answer must look like.
#[derive(Clone, Debug, Default)]
pub enum Format<'a> {
    #[default]
    Text,
    Json,
    Schema {
        name: Option<Text<'a>>,
        description: Option<Text<'a>>,
        schema: &'a [u8],
        strict: Option<bool>,
    },
}

/// How much the model should think.
#[derive(Clone, Debug, Default)]
pub struct Reasoning<'a> {
    pub effort: Option<Effort>,
    pub budget_tokens: Option<u64>,
    /// Thoughts, or a summary of them, are wanted in the answer.
    pub shows: Option<bool>,
    /// How the summary should be, in OpenAI's words.
    pub summary: Option<Text<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    pub const ALL: [Effort; 7] = [
        Effort::None,
        Effort::Minimal,
        Effort::Low,
        Effort::Medium,
        Effort::High,
        Effort::XHigh,
        Effort::Max,
    ];

    /// The word that OpenAI and Anthropic use.
    pub fn name(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh => "xhigh",
            Effort::Max => "max",
        }
    }

    pub fn of(word: &str) -> Option<Effort> {
        Effort::ALL.into_iter().find(|effort| effort.name() == word)
    }

    /// The number of thinking tokens that stands for the word (LiteLLM's table, which clients are used to); 0 is none.
    pub fn budget_tokens(self) -> u64 {
        match self {
            Effort::None => 0,
            Effort::Minimal | Effort::Low => 1024,
            Effort::Medium => 2048,
            Effort::High => 4096,
            Effort::XHigh => 8192,
            Effort::Max => 16_384,
        }
    }

    /// The word for a number of thinking tokens, the reverse of [`Effort::budget_tokens`].
    pub fn of_budget(tokens: u64) -> Effort {
        match tokens {
            0 => Effort::None,
            1..1024 => Effort::Minimal,
            1024..2048 => Effort::Low,
            2048..4096 => Effort::Medium,
            4096..8192 => Effort::High,
            8192..16_384 => Effort::XHigh,
            _ => Effort::Max,
        }
    }
}
