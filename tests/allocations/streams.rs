//! Streams as providers send them, in every dialect: how they begin, and the one event that comes again and again.

use std::fmt;

use ringway::dialect::endpoint::Grammar;

/// What the events of a stream bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Text,
    Thought,
    Arguments,
}

/// The beginning of a stream and its steady event.
pub struct Stream {
    pub provider: Grammar,
    pub said: Said,
    pub begin: Vec<u8>,
    pub event: Vec<u8>,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.said, self.provider)
    }
}

/// The bytes of the answer that every event adds, as JSON spells them.
pub const PIECE: &str = " word, \\u00e4 \\\"so\\\" on";

/// Every dialect of providers with all that it sends in pieces.
pub fn all() -> Vec<Stream> {
    let mut streams = Vec::new();
    for said in [Said::Text, Said::Thought, Said::Arguments] {
        streams.push(chat(said));
        streams.push(messages(said));
        streams.push(responses(said));
        streams.push(converse(said));
        // Calls come whole in this dialect.
        if said != Said::Arguments {
            streams.push(gemini(said));
        }
    }
    streams
}

fn sse(text: &str) -> Vec<u8> {
    format!("data: {text}\n\n").into_bytes()
}

fn named(name: &str, rest: &str) -> Vec<u8> {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",{rest}}}\n\n").into_bytes()
}

pub fn chat(said: Said) -> Stream {
    let chunk = |delta: &str| {
        sse(&format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"m-1","choices":[{{"index":0,"delta":{{{delta}}},"finish_reason":null}}]}}"#
        ))
    };
    let (begin, event) = match said {
        Said::Text => (r#""role":"assistant","content":"""#.into(), format!(r#""content":"{PIECE}""#)),
        Said::Thought => {
            (r#""role":"assistant","content":"""#.into(), format!(r#""reasoning_content":"{PIECE}""#))
        }
        Said::Arguments => {
            let call = r#""tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"note","arguments":""}}]"#;
            let piece =
                |text: &str| format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]"#);
            let begin = [chunk(call), chunk(&piece(r#"{\"text\":\""#))].concat();
            let event = chunk(&piece(" word so on"));
            return Stream { provider: Grammar::Chat, said, begin, event };
        }
    };
    let begin: String = begin;
    Stream { provider: Grammar::Chat, said, begin: chunk(&begin), event: chunk(&event) }
}

pub fn messages(said: Said) -> Stream {
    let start = r#""message":{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}"#;
    let (block, delta) = match said {
        Said::Text => {
            (r#"{"type":"text","text":""}"#, format!(r#"{{"type":"text_delta","text":"{PIECE}"}}"#))
        }
        Said::Thought => (
            r#"{"type":"thinking","thinking":"","signature":""}"#,
            format!(r#"{{"type":"thinking_delta","thinking":"{PIECE}"}}"#),
        ),
        Said::Arguments => (
            r#"{"type":"tool_use","id":"toolu_1","name":"note","input":{}}"#,
            r#"{"type":"input_json_delta","partial_json":" word so on"}"#.to_owned(),
        ),
    };
    let mut begin = named("message_start", start);
    begin.extend(named("content_block_start", &format!(r#""index":0,"content_block":{block}"#)));
    if said == Said::Arguments {
        let first = r#""index":0,"delta":{"type":"input_json_delta","partial_json":"{\"text\":\""}"#;
        begin.extend(named("content_block_delta", first));
    }
    let event = named("content_block_delta", &format!(r#""index":0,"delta":{delta}"#));
    Stream { provider: Grammar::Messages, said, begin, event }
}

pub fn gemini(said: Said) -> Stream {
    let thought = if said == Said::Thought { r#","thought":true"# } else { "" };
    let text = format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{PIECE}"{thought}}}],"role":"model"}},"index":0}}],"usageMetadata":{{"promptTokenCount":9,"candidatesTokenCount":5,"totalTokenCount":14,"promptTokensDetails":[{{"modality":"TEXT","tokenCount":9}}]}},"modelVersion":"m-1","responseId":"r-1"}}"#
    );
    let event = format!("data: {text}\r\n\r\n").into_bytes();
    Stream { provider: Grammar::Gemini, said, begin: event.clone(), event }
}

pub fn responses(said: Said) -> Stream {
    let response = r#""response":{"id":"resp_1","object":"response","created_at":1750000000,"status":"in_progress","model":"m-1","output":[]}"#;
    let (item, part, name, place) = match said {
        Said::Text => (
            r#"{"id":"it_1","type":"message","role":"assistant","status":"in_progress","content":[]}"#,
            Some((
                "response.content_part.added",
                r#""content_index":0,"part":{"type":"output_text","text":""}"#,
            )),
            "response.output_text.delta",
            r#","content_index":0"#,
        ),
        Said::Thought => (
            r#"{"id":"it_1","type":"reasoning","summary":[]}"#,
            Some((
                "response.reasoning_summary_part.added",
                r#""summary_index":0,"part":{"type":"summary_text","text":""}"#,
            )),
            "response.reasoning_summary_text.delta",
            r#","summary_index":0"#,
        ),
        Said::Arguments => (
            r#"{"id":"it_1","type":"function_call","call_id":"call_1","name":"note","arguments":"","status":"in_progress"}"#,
            None,
            "response.function_call_arguments.delta",
            "",
        ),
    };
    let mut begin = named("response.created", &format!(r#""sequence_number":0,{response}"#));
    begin.extend(named(
        "response.output_item.added",
        &format!(r#""sequence_number":1,"output_index":0,"item":{item}"#),
    ));
    if let Some((name, part)) = part {
        let part = format!(r#""sequence_number":2,"item_id":"it_1","output_index":0,{part}"#);
        begin.extend(named(name, &part));
    }
    let piece = if said == Said::Arguments { " word so on" } else { PIECE };
    let delta = |text: &str| {
        named(
            name,
            &format!(r#""sequence_number":3,"item_id":"it_1","output_index":0{place},"delta":"{text}""#),
        )
    };
    if said == Said::Arguments {
        begin.extend(delta(r#"{\"text\":\""#));
    }
    Stream { provider: Grammar::Responses, said, begin, event: delta(piece) }
}

pub fn converse(said: Said) -> Stream {
    let mut begin = frame("messageStart", r#"{"role":"assistant"}"#);
    let delta = match said {
        Said::Text => format!(r#"{{"text":"{PIECE}"}}"#),
        Said::Thought => format!(r#"{{"reasoningContent":{{"text":"{PIECE}"}}}}"#),
        Said::Arguments => {
            let start =
                r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"tooluse_1","name":"note"}}}"#;
            begin.extend(frame("contentBlockStart", start));
            let first = r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"text\":\""}}}"#;
            begin.extend(frame("contentBlockDelta", first));
            r#"{"toolUse":{"input":" word so on"}}"#.to_owned()
        }
    };
    let event = frame("contentBlockDelta", &format!(r#"{{"contentBlockIndex":0,"delta":{delta}}}"#));
    Stream { provider: Grammar::Converse, said, begin, event }
}

/// One frame of AWS's event stream.
fn frame(name: &str, payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    for (key, value) in
        [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")]
    {
        headers.push(key.len() as u8);
        headers.extend_from_slice(key.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let total = 12 + headers.len() + payload.len() + 4;
    let mut frame = (total as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}
