//! The endpoints that the gateway knows by name, and the dialect of each. Every other path is `Other` and passes through.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Models,
    Messages,
    CountTokens,
    Responses,
    /// Gemini's generateContent; the model stands in the path.
    Generate,
    /// The same as a stream, which has a path of its own.
    GenerateStream,
    /// Gemini's countTokens, embedContent and batchEmbedContents; the model stands in the path.
    GenerateCount,
    Embed,
    EmbedBatch,
    /// Bedrock's Converse; the model stands in the path. Providers only.
    Converse,
    ConverseStream,
    /// OpenAI's files and batches: collections of objects below one path.
    Files,
    Batches,
    /// Anthropic's files and message batches.
    MessageFiles,
    MessageBatches,
    /// Gemini's batches, and what makes one, where the model stands in the path. Providers only.
    GenerateBatches,
    GenerateBatch,
    /// Batches that bring their requests as jobs, and batches whose results come in pages. Providers only.
    BatchJobs,
    PagedBatches,
    Other,
}

/// The grammar of a conversation: how requests, answers and streams are spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grammar {
    #[default]
    Chat,
    Responses,
    Messages,
    Gemini,
    Converse,
}

impl Endpoint {
    pub const COUNT: usize = 23;
    pub const ALL: [Endpoint; Endpoint::COUNT] = [
        Endpoint::Chat,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Models,
        Endpoint::Messages,
        Endpoint::CountTokens,
        Endpoint::Responses,
        Endpoint::Generate,
        Endpoint::GenerateStream,
        Endpoint::GenerateCount,
        Endpoint::Embed,
        Endpoint::EmbedBatch,
        Endpoint::Converse,
        Endpoint::ConverseStream,
        Endpoint::Files,
        Endpoint::Batches,
        Endpoint::MessageFiles,
        Endpoint::MessageBatches,
        Endpoint::GenerateBatches,
        Endpoint::GenerateBatch,
        Endpoint::BatchJobs,
        Endpoint::PagedBatches,
        Endpoint::Other,
    ];

    /// The word in settings files and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Chat => "chat",
            Endpoint::Completions => "completions",
            Endpoint::Embeddings => "embeddings",
            Endpoint::Models => "models",
            Endpoint::Messages => "messages",
            Endpoint::CountTokens => "count_tokens",
            Endpoint::Responses => "responses",
            Endpoint::Generate => "generate",
            Endpoint::GenerateStream => "generate_stream",
            Endpoint::GenerateCount => "generate_count",
            Endpoint::Embed => "embed",
            Endpoint::EmbedBatch => "embed_batch",
            Endpoint::Converse => "converse",
            Endpoint::ConverseStream => "converse_stream",
            Endpoint::Files => "files",
            Endpoint::Batches => "batches",
            Endpoint::MessageFiles => "message_files",
            Endpoint::MessageBatches => "message_batches",
            Endpoint::GenerateBatches => "generate_batches",
            Endpoint::GenerateBatch => "generate_batch",
            Endpoint::BatchJobs => "batch_jobs",
            Endpoint::PagedBatches => "paged_batches",
            Endpoint::Other => "other",
        }
    }

    /// The endpoint behind a path below `/v1` (such as `/chat/completions`) for requests that carry a body.
    pub fn of_path(path: &[u8]) -> Endpoint {
        match path {
            b"/chat/completions" => Endpoint::Chat,
            b"/completions" => Endpoint::Completions,
            b"/embeddings" => Endpoint::Embeddings,
            b"/messages" => Endpoint::Messages,
            b"/messages/count_tokens" => Endpoint::CountTokens,
            b"/responses" => Endpoint::Responses,
            _ => Endpoint::Other,
        }
    }

    /// The collection that a path below `/v1` lies in, and how long the collection's own path is. Files have two owners who
    /// share a path: the caller's dialect tells which one is meant.
    pub fn of_collection(path: &[u8], caller: impl FnOnce() -> Grammar) -> Option<(Endpoint, usize)> {
        const COLLECTIONS: [(&[u8], Endpoint); 3] = [
            (b"/files", Endpoint::Files),
            (b"/batches", Endpoint::Batches),
            (b"/messages/batches", Endpoint::MessageBatches),
        ];
        let is_below =
            |own: &[u8]| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        let (own, endpoint) = COLLECTIONS.into_iter().find(|(own, _)| is_below(own))?;
        let is_messages = endpoint == Endpoint::Files && caller() == Grammar::Messages;
        Some((if is_messages { Endpoint::MessageFiles } else { endpoint }, own.len()))
    }

    /// Whether a request to this path below `/v1` is answered and then forgotten, as far as the APIs say: of the paths that
    /// are no endpoint known by name.
    pub fn keeps_nothing(path: &[u8]) -> bool {
        const FORGETFUL: [&[u8]; 15] = [
            b"/audio/speech",
            b"/audio/transcriptions",
            b"/audio/translations",
            b"/images/generations",
            b"/images/edits",
            b"/images/variations",
            b"/moderations",
            b"/rerank",
            b"/score",
            b"/classify",
            b"/pooling",
            b"/tokenize",
            b"/detokenize",
            b"/ocr",
            b"/fim/completions",
        ];
        FORGETFUL.contains(&path)
    }

    /// Whether it is a collection of files or batches.
    pub fn is_collection(self) -> bool {
        matches!(
            self,
            Endpoint::Files | Endpoint::Batches | Endpoint::MessageFiles | Endpoint::MessageBatches
        )
    }

    /// The endpoint that a method behind a model's name means (`/models/NAME:METHOD`), as Gemini's API spells it.
    pub fn of_method(method: &[u8]) -> Option<Endpoint> {
        match method {
            b"generateContent" => Some(Endpoint::Generate),
            b"streamGenerateContent" => Some(Endpoint::GenerateStream),
            b"countTokens" => Some(Endpoint::GenerateCount),
            b"embedContent" => Some(Endpoint::Embed),
            b"batchEmbedContents" => Some(Endpoint::EmbedBatch),
            _ => None,
        }
    }

    /// Whether a member `stream` of the body asks for a stream of events.
    pub fn streams(self) -> bool {
        matches!(self, Endpoint::Chat | Endpoint::Completions | Endpoint::Messages | Endpoint::Responses)
    }

    /// The grammar of its conversations, where it holds one.
    pub fn grammar(self) -> Option<Grammar> {
        match self {
            Endpoint::Chat => Some(Grammar::Chat),
            Endpoint::Messages => Some(Grammar::Messages),
            Endpoint::Responses => Some(Grammar::Responses),
            Endpoint::Generate | Endpoint::GenerateStream => Some(Grammar::Gemini),
            Endpoint::Converse | Endpoint::ConverseStream => Some(Grammar::Converse),
            _ => None,
        }
    }

    /// Whether it is one of those that make vectors of texts.
    pub fn embeds(self) -> bool {
        matches!(self, Endpoint::Embeddings | Endpoint::Embed | Endpoint::EmbedBatch)
    }

    /// The grammar of the request whose tokens it counts, where it does that.
    pub fn counted(self) -> Option<Grammar> {
        match self {
            Endpoint::CountTokens => Some(Grammar::Messages),
            Endpoint::GenerateCount => Some(Grammar::Gemini),
            _ => None,
        }
    }

    /// The grammar of its errors.
    pub fn error_grammar(self) -> Grammar {
        match self {
            Endpoint::CountTokens | Endpoint::MessageFiles | Endpoint::MessageBatches => Grammar::Messages,
            Endpoint::GenerateCount | Endpoint::Embed | Endpoint::EmbedBatch => Grammar::Gemini,
            other => other.grammar().unwrap_or_default(),
        }
    }
}

impl Grammar {
    /// In the order in which a provider's are tried for a request of another one: the richest first, and Responses last,
    /// because many who have it take fewer fields there.
    pub const BY_PREFERENCE: [Grammar; 5] =
        [Grammar::Messages, Grammar::Gemini, Grammar::Converse, Grammar::Chat, Grammar::Responses];

    /// The endpoint that answers a conversation of this grammar.
    pub fn endpoint(self, wants_stream: bool) -> Endpoint {
        match (self, wants_stream) {
            (Grammar::Chat, _) => Endpoint::Chat,
            (Grammar::Responses, _) => Endpoint::Responses,
            (Grammar::Messages, _) => Endpoint::Messages,
            (Grammar::Gemini, false) => Endpoint::Generate,
            (Grammar::Gemini, true) => Endpoint::GenerateStream,
            (Grammar::Converse, false) => Endpoint::Converse,
            (Grammar::Converse, true) => Endpoint::ConverseStream,
        }
    }
}
