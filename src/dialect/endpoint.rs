//! The endpoints of the OpenAI surface that the gateway knows by name. Every other path is `Other` and passes through.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Models,
    Other,
}

impl Endpoint {
    pub const COUNT: usize = 5;
    pub const ALL: [Endpoint; Endpoint::COUNT] =
        [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings, Endpoint::Models, Endpoint::Other];

    /// The word in settings files and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Chat => "chat",
            Endpoint::Completions => "completions",
            Endpoint::Embeddings => "embeddings",
            Endpoint::Models => "models",
            Endpoint::Other => "other",
        }
    }

    /// The endpoint behind a path below `/v1` (such as `/chat/completions`) for requests that carry a body.
    pub fn of_path(path: &[u8]) -> Endpoint {
        match path {
            b"/chat/completions" => Endpoint::Chat,
            b"/completions" => Endpoint::Completions,
            b"/embeddings" => Endpoint::Embeddings,
            _ => Endpoint::Other,
        }
    }

    /// Whether the endpoint can answer with a stream of events that ends in `[DONE]`.
    pub fn streams(self) -> bool {
        matches!(self, Endpoint::Chat | Endpoint::Completions)
    }
}
