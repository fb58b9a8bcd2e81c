//! Which dialect a request speaks, and what it asks for there: found in its path alone.

use crate::wire::path::{percent_decoded, query_value};

/// The dialects that providers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Completions,
    Embeddings,
    Messages,
    Responses,
    Gemini,
    Converse,
}

/// A request that is answered by what its body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub dialect: Dialect,
    pub task: Task,
    /// The model, where the path names it.
    pub model: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// An answer, whole or as a stream as the body says.
    Answer,
    Whole,
    Stream,
    /// A stream as one JSON array.
    ArrayStream,
    CountTokens,
}

impl Ask {
    /// What a request to this path asks for; `None` for every other path.
    pub fn of(path: &[u8], query: &[u8]) -> Option<Ask> {
        let rest = path.strip_prefix(b"/v1beta").or(path.strip_prefix(b"/v1")).unwrap_or(path);
        let (dialect, task) = match rest {
            b"/chat/completions" => (Dialect::Chat, Task::Answer),
            b"/completions" => (Dialect::Completions, Task::Answer),
            b"/embeddings" => (Dialect::Embeddings, Task::Whole),
            b"/messages" => (Dialect::Messages, Task::Answer),
            b"/messages/count_tokens" => (Dialect::Messages, Task::CountTokens),
            b"/responses" => (Dialect::Responses, Task::Answer),
            _ => return converse(rest).or_else(|| gemini(rest, query)),
        };
        Some(Ask { dialect, task, model: None })
    }
}

/// `/model/{model}/converse` and `/model/{model}/converse-stream`.
fn converse(path: &[u8]) -> Option<Ask> {
    let rest = path.strip_prefix(b"/model/")?;
    let at = rest.iter().rposition(|&b| b == b'/')?;
    let task = match &rest[at..] {
        b"/converse" => Task::Whole,
        b"/converse-stream" => Task::Stream,
        _ => return None,
    };
    Some(Ask { dialect: Dialect::Converse, task, model: Some(decoded(&rest[..at])) })
}

/// `…/models/{model}:{method}`; what stands before it is a project's path where it is not empty.
fn gemini(path: &[u8], query: &[u8]) -> Option<Ask> {
    let at = memchr::memmem::rfind(path, MODELS)?;
    let rest = &path[at + MODELS.len()..];
    let colon = rest.iter().rposition(|&b| b == b':')?;
    let task = match &rest[colon..] {
        b":generateContent" => Task::Whole,
        b":streamGenerateContent" if query_value(query, "alt").is_some_and(|alt| &*alt == b"sse") => {
            Task::Stream
        }
        b":streamGenerateContent" => Task::ArrayStream,
        b":countTokens" => Task::CountTokens,
        _ => return None,
    };
    Some(Ask { dialect: Dialect::Gemini, task, model: Some(decoded(&rest[..colon])) })
}

fn decoded(text: &[u8]) -> String {
    String::from_utf8_lossy(&percent_decoded(text)).into_owned()
}

const MODELS: &[u8] = b"/models/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_what_is_asked() {
        let check = |target: &str, want: Option<(Dialect, Task, Option<&str>)>| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let got = Ask::of(path.as_bytes(), query.as_bytes());
            let want =
                want.map(|(dialect, task, model)| Ask { dialect, task, model: model.map(str::to_owned) });
            assert_eq!(got, want, "{target}");
        };
        use Dialect::*;
        for prefix in ["", "/v1"] {
            check(&format!("{prefix}/chat/completions"), Some((Chat, Task::Answer, None)));
            check(&format!("{prefix}/messages"), Some((Messages, Task::Answer, None)));
            check(&format!("{prefix}/model/m/converse"), Some((Converse, Task::Whole, Some("m"))));
        }
        check("/v1/messages/count_tokens?beta=true", Some((Messages, Task::CountTokens, None)));
        check("/v1/responses", Some((Responses, Task::Answer, None)));
        check("/v1beta/models/g-1:generateContent", Some((Gemini, Task::Whole, Some("g-1"))));
        check("/v1beta/models/g:streamGenerateContent?alt=sse", Some((Gemini, Task::Stream, Some("g"))));
        check("/v1beta/models/g:streamGenerateContent?key=x", Some((Gemini, Task::ArrayStream, Some("g"))));
        let vertex = "/v1/projects/p/locations/l/publishers/google/models/g:countTokens";
        check(vertex, Some((Gemini, Task::CountTokens, Some("g"))));
        check(
            "/model/arn%3Aaws%3A%2Fx-v1:0/converse-stream",
            Some((Converse, Task::Stream, Some("arn:aws:/x-v1:0"))),
        );
        for other in [
            "/",
            "/v1",
            "/v1/models/m",
            "/v1/audio/speech",
            "/model/m/invoke",
            "/v1beta/models/g:embedContent",
        ] {
            check(other, None);
        }
    }
}
