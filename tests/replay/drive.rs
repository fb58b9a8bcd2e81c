//! The gateway between a recording and a client: bytes of the provider in, bytes of the client out.

use ringway::dialect::endpoint::Grammar;
use ringway::dialect::middle::{ErrorKind, ProviderError, Report, Rules, Told};
use ringway::dialect::translate::{Asked, Translation, request};
use ringway::ledger::usage::Usage;
use ringway::wire::json::Node;

/// A client, by what it speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub grammar: Grammar,
    /// Its stream is one JSON array.
    pub as_array: bool,
}

pub const CLIENTS: [Client; 5] = [
    Client { grammar: Grammar::Chat, as_array: false },
    Client { grammar: Grammar::Responses, as_array: false },
    Client { grammar: Grammar::Messages, as_array: false },
    Client { grammar: Grammar::Gemini, as_array: false },
    Client { grammar: Grammar::Gemini, as_array: true },
];

/// What the client got for a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Got {
    pub bytes: Vec<u8>,
    /// The provider's end was there, and no error.
    pub is_well: bool,
    pub usage: Usage,
}

/// The smallest conversation of a client.
pub fn translation(client: Client, provider: Grammar, wants_stream: bool) -> Translation {
    let body: &[u8] = match client.grammar {
        Grammar::Chat if wants_stream => {
            br#"{"model":"m","messages":[{"role":"user","content":"a"}],"stream":true,"stream_options":{"include_usage":true}}"#
        }
        Grammar::Chat => br#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#,
        Grammar::Responses => br#"{"model":"m","input":"a"}"#,
        Grammar::Messages => {
            br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#
        }
        Grammar::Gemini => br#"{"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#,
        Grammar::Converse => unreachable!("no client speaks it"),
    };
    let rules = Rules::default();
    let asked = Asked {
        client: client.grammar,
        provider,
        body: Node::document(body, &mut Vec::new()).expect("JSON"),
        original: Node::scanned(body),
        model: "m",
        wants_stream,
        as_array: client.as_array,
        rules: &rules,
        told: Told { id: "0001".to_owned(), model: "m".to_owned(), created_s: 1, ..Told::default() },
    };
    match request(asked, &mut Report::default(), &mut Vec::new()) {
        Ok(translation) => translation,
        Err(refusal) => panic!("a minimal request is refused: {}", refusal.message),
    }
}

/// A stream that comes in these pieces, as the gateway relays it: what is cut is told as an error.
pub fn stream<'b>(translation: &Translation, pieces: impl Iterator<Item = &'b [u8]>) -> Got {
    let (mut stream, mut bytes) = (translation.stream(EVENT_BYTES_MAX), Vec::new());
    let mut is_broken = false;
    for piece in pieces {
        is_broken = stream.take(piece, &mut bytes).is_err();
        if is_broken {
            break;
        }
    }
    if !is_broken {
        stream.finish(&mut bytes);
    }
    if is_broken || !stream.has_ended {
        stream.fail(cut_off(), &mut bytes);
    }
    Got { bytes, is_well: stream.has_ended && !stream.has_error, usage: stream.usage }
}

fn cut_off() -> ProviderError {
    ProviderError {
        kind: ErrorKind::Server,
        status: 502,
        message: CUT_OFF.to_owned(),
        code: Some("upstream_disconnected".to_owned()),
        param: None,
    }
}

/// What a client is told of a stream that was cut.
pub const CUT_OFF: &str = "The provider closed the stream too early.";

const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
