//! Log probabilities: Gemini's `logprobsResult` into the list that the middle has (the chat dialect's), and back.

use super::spelling::{field, member, separate};
use crate::wire::json::Node;

/// Appends the chat dialect's list for a `logprobsResult`. Tokens are texts here, so their bytes are not known.
pub(super) fn read_logprobs(result: Node<'_>, out: &mut Vec<u8>) {
    let mut tops = field(result, "topCandidates").into_iter().flat_map(Node::items);
    out.push(b'[');
    for chosen in field(result, "chosenCandidates").into_iter().flat_map(Node::items) {
        separate(out);
        write_token(chosen, out);
        member("top_logprobs", out);
        out.push(b'[');
        let top = tops.next().and_then(|top| field(top, "candidates"));
        for candidate in top.into_iter().flat_map(Node::items) {
            separate(out);
            write_token(candidate, out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
}

/// Writes a token and leaves its object open.
fn write_token(candidate: Node<'_>, out: &mut Vec<u8>) {
    let raw = |name: &str| field(candidate, name).map(Node::raw);
    out.push(b'{');
    super::spelling::member_raw("token", raw("token").unwrap_or(b"\"\""), out);
    super::spelling::member_raw("logprob", raw("logProbability").unwrap_or(b"0"), out);
    super::spelling::member_raw("bytes", b"null", out);
}

/// Writes the member `logprobsResult` for the chat dialect's list.
pub(super) fn write_logprobs(list: Node<'_>, out: &mut Vec<u8>) {
    member("logprobsResult", out);
    out.extend_from_slice(b"{\"topCandidates\":[");
    for token in list.items() {
        separate(out);
        out.extend_from_slice(b"{\"candidates\":[");
        for top in token.get("top_logprobs").into_iter().flat_map(Node::items) {
            write_candidate(top, out);
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"],\"chosenCandidates\":[");
    list.items().for_each(|token| write_candidate(token, out));
    out.extend_from_slice(b"]}");
}

fn write_candidate(token: Node<'_>, out: &mut Vec<u8>) {
    separate(out);
    out.push(b'{');
    for (name, key) in [("token", "token"), ("logProbability", "logprob")] {
        if let Some(value) = token.get(key) {
            super::spelling::member_raw(name, value.raw(), out);
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_keep_their_spelling_in_both_directions() {
        let gemini = r#"{"topCandidates":[{"candidates":[{"token":"a","logProbability":-0.10},{"token":"b","logProbability":-2e1}]}],"chosenCandidates":[{"token":"a","logProbability":-0.10}]}"#;
        let chat = r#"[{"token":"a","logprob":-0.10,"bytes":null,"top_logprobs":[{"token":"a","logprob":-0.10,"bytes":null},{"token":"b","logprob":-2e1,"bytes":null}]}]"#;
        let mut out = Vec::new();
        read_logprobs(Node::scanned(gemini.as_bytes()), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), chat);
        let mut back = b"{".to_vec();
        write_logprobs(Node::scanned(&out), &mut back);
        back.push(b'}');
        assert_eq!(String::from_utf8_lossy(&back), format!(r#"{{"logprobsResult":{gemini}}}"#));
    }
}
