//! How many tokens a request is, about: for providers that cannot be asked. A rule of thumb over the bytes of its texts, the
//! same for every model; never a tokenizer.

mod text;

pub use text::tokens_of;

use super::endpoint::Grammar;
use crate::wire::json::{Kind, Node};

/// The input of a request in this grammar, in tokens: a quarter of the bytes of all texts and tools, rounded up, and a fixed
/// amount for each message, tool and medium.
pub fn input_tokens(body: Node<'_>) -> u64 {
    let mut sum = Sum::default();
    sum.add_request(body);
    sum.bytes.div_ceil(BYTES_PER_TOKEN) + sum.fixed
}

/// About how many tokens a whole answer says: those of its texts, or a quarter of its bytes where it is no JSON.
pub fn tokens_of_answer(body: &[u8]) -> u64 {
    let Ok(answer) = Node::document(body, &mut Vec::new()) else {
        return (body.len() as u64).div_ceil(BYTES_PER_TOKEN);
    };
    let holds = |key: &[u8]| matches!(key, b"choices" | b"content" | b"output" | b"candidates");
    answer.members().filter(|(key, _)| holds(key)).map(|(_, value)| tokens_of_texts(value)).sum()
}

/// The tokens of every string below a value, but for words of the grammar and for media.
fn tokens_of_texts(value: Node<'_>) -> u64 {
    let is_word = |key: &[u8]| {
        matches!(
            key,
            b"type"
                | b"role"
                | b"id"
                | b"call_id"
                | b"status"
                | b"finish_reason"
                | b"finishReason"
                | b"logprobs"
                | b"signature"
                | b"thoughtSignature"
                | b"encrypted_content"
                | b"data"
                | b"mimeType"
        )
    };
    match value.kind() {
        Kind::String => value.text().map_or(0, |text| tokens_of(&text)),
        Kind::Array => value.items().map(tokens_of_texts).sum(),
        Kind::Object => {
            value.members().filter(|(key, _)| !is_word(key)).map(|(_, value)| tokens_of_texts(value)).sum()
        }
        _ => 0,
    }
}

/// The answer to a question for the count, as its API documents it; `None` for grammars that have no such question.
pub fn answer(grammar: Grammar, count: u64) -> Option<String> {
    match grammar {
        Grammar::Messages => Some(format!(r#"{{"input_tokens":{count}}}"#)),
        Grammar::Responses => Some(format!(r#"{{"object":"response.input_tokens","input_tokens":{count}}}"#)),
        Grammar::Gemini => Some(format!(r#"{{"totalTokens":{count}}}"#)),
        Grammar::Chat | Grammar::Converse => None,
    }
}

#[derive(Default)]
struct Sum {
    /// Of texts, in bytes.
    bytes: u64,
    /// In tokens.
    fixed: u64,
}

impl Sum {
    fn add_request(&mut self, body: Node<'_>) {
        for (key, value) in body.members() {
            match &*key {
                b"system" | b"instructions" | b"systemInstruction" | b"system_instruction" => {
                    self.add_texts(value)
                }
                b"messages" | b"input" | b"contents" => {
                    let count = if value.kind() == Kind::Array { value.items().count() } else { 1 };
                    self.fixed += TOKENS_PER_MESSAGE * count as u64;
                    self.add_texts(value);
                }
                b"tools" => {
                    self.fixed += TOKENS_PER_TOOL * value.items().count() as u64;
                    self.bytes += value.raw().len() as u64;
                }
                b"generateContentRequest" | b"generate_content_request" => self.add_request(value),
                _ => {}
            }
        }
    }

    /// Adds every string below a value, but for words of the grammar and for media.
    fn add_texts(&mut self, value: Node<'_>) {
        match value.kind() {
            Kind::String => {
                self.add_text(value.text().unwrap_or_default().len(), value.escaped().unwrap_or_default())
            }
            Kind::Array => value.items().for_each(|item| self.add_texts(item)),
            Kind::Object => {
                for (key, value) in value.members() {
                    match &*key {
                        b"type" | b"role" | b"id" | b"media_type" | b"mimeType" | b"mime_type"
                        | b"cache_control" => {}
                        b"signature" | b"thoughtSignature" | b"encrypted_content" => {}
                        b"data" | b"file_data" => self.fixed += TOKENS_PER_MEDIUM,
                        _ => self.add_texts(value),
                    }
                }
            }
            // Numbers and words in arguments of calls.
            _ => self.bytes += value.raw().len() as u64,
        }
    }

    fn add_text(&mut self, len: usize, escaped: &[u8]) {
        if escaped.starts_with(b"data:") {
            self.fixed += TOKENS_PER_MEDIUM;
        } else {
            self.bytes += len as u64;
        }
    }
}

/// Of English text; other scripts have fewer bytes to a token, code about as many.
pub const BYTES_PER_TOKEN: u64 = 4;
/// What separates messages, and says whose they are.
const TOKENS_PER_MESSAGE: u64 = 4;
/// What stands around the definition of a tool.
const TOKENS_PER_TOOL: u64 = 8;
/// An image of the largest size that is not scaled down (Anthropic's documentation of vision).
const TOKENS_PER_MEDIUM: u64 = 1_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_messages_tools_and_media_count() {
        let check = |body: &str, want: u64| {
            let mut members = Vec::new();
            let node = Node::document(body.as_bytes(), &mut members).expect("JSON");
            assert_eq!(input_tokens(node), want, "{body}");
        };
        check("{}", 0);
        check(
            r#"{"model":"a-long-name","max_tokens":7,"messages":[{"role":"user","content":"12345"}]}"#,
            4 + 2,
        );
        check(
            r#"{"system":"1234","messages":[{"role":"user","content":[{"type":"text","text":"12"},{"type":"text","text":"34"}]}]}"#,
            4 + 2,
        );
        check(r#"{"input":"1234"}"#, 4 + 1);
        check(r#"{"tools":[{"name":"f"}],"messages":[]}"#, 8 + 4);
        check(
            r#"{"messages":[{"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}]}"#,
            4 + 1_600,
        );
        check(
            r#"{"input":[{"content":[{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]}]}"#,
            4 + 1_600,
        );
        check(r#"{"generateContentRequest":{"contents":[{"parts":[{"text":"\u00e4\u00e41"}]}]}}"#, 4 + 2);
    }

    #[test]
    fn an_answer_says_what_its_texts_hold() {
        let text = "The quick brown fox jumps over the lazy dog.";
        for answer in [
            format!(
                r#"{{"id":"chatcmpl-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}]}}"#
            ),
            format!(r#"{{"id":"msg_1","type":"message","content":[{{"type":"text","text":"{text}"}}]}}"#),
            format!(
                r#"{{"output":[{{"type":"message","id":"msg_1","status":"completed","content":[{{"type":"output_text","text":"{text}"}}]}}]}}"#
            ),
            format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}},"finishReason":"STOP","index":0}}]}}"#
            ),
        ] {
            assert_eq!(tokens_of_answer(answer.as_bytes()), tokens_of(text), "{answer}");
        }
        assert_eq!(tokens_of_answer(b"no JSON."), 2);
    }

    #[test]
    fn each_api_has_its_own_answer() {
        assert_eq!(answer(Grammar::Messages, 7).expect("one"), r#"{"input_tokens":7}"#);
        assert_eq!(answer(Grammar::Gemini, 7).expect("one"), r#"{"totalTokens":7}"#);
        assert!(answer(Grammar::Responses, 7).expect("one").contains("response.input_tokens"));
        assert_eq!(answer(Grammar::Chat, 7), None);
    }
}
