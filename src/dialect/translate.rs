//! One conversation between two grammars: the client's request becomes the provider's, the provider's answer the client's.
//! Chosen once for a request; no grammar knows another one.

use super::endpoint::Grammar;
use super::middle::{Event, ProviderError, Report, Role, Rules, Text, Told, ToolKind, Written};
use super::{chat, converse, embed, gemini, messages, responses};
use crate::base::Refusal;
use crate::ledger::usage::Usage;
use crate::wire::json::Node;

mod assembly;
mod filter;
pub mod fuzz;
mod stream;
mod voices;
mod words;

pub use assembly::Assembly;
use filter::Filter;
pub use stream::{Stream, StreamFault};
pub use voices::keep_alive;
use voices::{AnswerVoice, read_answer};
use words::Apart;

/// What the answer's way back must know of the request.
pub struct Translation {
    /// The client's grammar.
    pub client: Grammar,
    /// The provider's.
    pub provider: Grammar,
    pub wants_stream: bool,
    /// A stream in Gemini's grammar that is one JSON array instead of events.
    pub as_array: bool,
    told: Told,
    written: Written,
    rules: Rules,
    /// Not a conversation at all.
    embeddings: Option<embed::Way>,
}

/// A request in the client's grammar, and what is known about it besides its body.
pub struct Asked<'a> {
    pub client: Grammar,
    pub provider: Grammar,
    /// The scanned body.
    pub body: Node<'a>,
    /// The body as the client sent it, where what it refers to was put into `body`.
    pub original: Node<'a>,
    /// The model as the provider knows it.
    pub model: &'a str,
    pub wants_stream: bool,
    pub as_array: bool,
    pub rules: &'a Rules,
    pub told: Told,
}

/// What a whole answer has said beside itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    pub usage: Usage,
    /// The model that it names; empty where it names none.
    pub model: String,
    /// Arguments of a call went on behind their object: the client got the object alone.
    pub has_surplus: bool,
}

/// Writes the request for the provider into `out`.
pub fn request(asked: Asked<'_>, report: &mut Report, out: &mut Vec<u8>) -> Result<Translation, Refusal> {
    let Asked { client, provider, mut body, original, model, wants_stream, as_array, rules, mut told } =
        asked;
    // Gemini's own form of schemas is no JSON schema, which all others speak.
    let with_schemas = if client == Grammar::Gemini { gemini::with_json_schemas(body) } else { None };
    if let Some(bytes) = &with_schemas {
        body = Node::scanned(bytes);
    }
    let mut request = match client {
        Grammar::Chat => chat::read_request(body),
        Grammar::Responses => responses::read_request(body),
        Grammar::Messages => messages::read_request(body),
        Grammar::Gemini => gemini::read_request(body),
        Grammar::Converse => unreachable!("no client speaks it"),
    }?;
    request.model = Text::of(model);
    request.stream = wants_stream;
    told.include_usage = request.include_usage;
    if client == Grammar::Responses {
        told.echo = responses::echo(original, told.is_kept);
    }
    // A system prompt is the first turn of the middle, and none of the caller's but in chat.
    let has_prompt = request.turns.first().is_some_and(|turn| turn.role == Role::System);
    let apart = Apart(usize::from(client != Grammar::Chat && has_prompt));
    let written = match provider {
        Grammar::Chat => chat::write_request(&request, rules, report, out),
        Grammar::Responses => responses::write_request(&request, rules, report, out),
        Grammar::Messages => messages::write_request(&request, rules, report, out),
        Grammar::Gemini => gemini::write_request(&request, rules, report, out),
        Grammar::Converse => converse::write_request(&request, rules, report, out),
    };
    let mut written = written.map_err(|refusal| words::put_into(client, apart, refusal))?;
    words::put(client, apart, report);
    let knows_custom = matches!(provider, Grammar::Chat | Grammar::Responses);
    let custom = request.tools.iter().filter(|tool| tool.kind == ToolKind::Custom && !knows_custom);
    written.custom_tools = custom.map(|tool| tool.name.decoded().into_owned()).collect();
    let (rules, embeddings) = (rules.clone(), None);
    Ok(Translation { client, provider, wants_stream, as_array, told, written, rules, embeddings })
}

impl Translation {
    /// The way back alone, for answers of which the request is not here.
    pub fn of_answers(client: Grammar, provider: Grammar, rules: Rules, told: Told) -> Translation {
        let (wants_stream, as_array, written) = (false, false, Written::default());
        Translation { client, provider, wants_stream, as_array, told, written, rules, embeddings: None }
    }

    /// Whether the way back must know what this request was written as.
    pub fn needs_request(&self) -> bool {
        self.written != Written::default()
    }

    /// The way back for embeddings, which know no streams.
    pub fn of_embeddings(way: embed::Way) -> Translation {
        Translation {
            client: Grammar::default(),
            provider: Grammar::default(),
            wants_stream: false,
            as_array: false,
            told: Told::default(),
            written: Written::default(),
            rules: Rules::default(),
            embeddings: Some(way),
        }
    }

    /// Writes a whole answer in the client's grammar, and gives what it states. `Err` is an error that the provider answered
    /// with a good status.
    pub fn answer(&self, body: &[u8], out: &mut Vec<u8>) -> Result<Answered, Box<ProviderError>> {
        let mut members = Vec::new();
        let Ok(node) = Node::document(body, &mut members) else { return Err(Box::new(no_json())) };
        if let Some(way) = &self.embeddings {
            let model = node.get("model").and_then(Node::text).unwrap_or_default().into_owned();
            return way.answer(node, out).map(|usage| Answered { usage, model, has_surplus: false });
        }
        let mut filter = Filter::new(&self.written);
        let mut voice = AnswerVoice::new(self.client, self.told.clone());
        let (mut usage, mut error, mut has_ended) = (Usage::default(), None, false);
        let (mut has_surplus, mut model) = (false, String::new());
        read_answer(self.provider, node, &self.rules, &mut |event| match event {
            Event::Error(found) => error = Some(found),
            Event::End => has_ended = true,
            Event::Surplus => has_surplus = true,
            mut event => {
                match &mut event {
                    Event::Usage(stated) => {
                        *stated = stated.by(self.rules.usage);
                        usage.merge(*stated);
                    }
                    Event::Start(start) => model = start.model.decoded().into_owned(),
                    _ => {}
                }
                filter.pass(event, &mut |event| voice.event(event));
            }
        });
        if let Some(error) = error {
            return Err(error);
        }
        if !has_ended {
            return Err(Box::new(no_json()));
        }
        voice.finish(out);
        Ok(Answered { usage, model, has_surplus })
    }

    /// Begins a stream.
    pub fn stream(&self, event_bytes_max: usize) -> Stream {
        Stream::new(self, event_bytes_max)
    }
}

/// The provider's answer is not what its dialect says.
fn no_json() -> ProviderError {
    ProviderError {
        kind: super::middle::ErrorKind::Server,
        status: 502,
        message: "The provider's answer is not what its API documents.".to_owned(),
        code: Some("upstream_malformed".to_owned()),
        param: None,
    }
}
