//! Answers of providers, as streams and whole.

use super::super::testing::{Promises, line, read_stream, rules};
use super::*;

fn check_stream(events: &[&str], want: &[&str]) {
    let (lines, stage) = read_stream(events);
    assert_eq!(lines, want);
    assert_eq!(stage, Stage::Ended, "{want:?}");
}

fn whole(body: &str) -> Vec<String> {
    let (mut lines, mut promises) = (Vec::new(), Promises::default());
    read_answer(Node::scanned(body.as_bytes()), &rules(), &mut |event| {
        promises.check(&event);
        lines.push(line(&event));
    });
    lines
}

#[test]
fn thoughts_texts_and_calls_become_blocks() {
    check_stream(
        &[
            r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9,"thoughtsTokenCount":3},"modelVersion":"m-1","responseId":"r1"}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"Hel","thought":false},{"text":"lo \ud83d"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9,"thoughtsTokenCount":3},"responseId":"r1"}"#,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a": 1}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"own","name":"g","args":{}}}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"thoughtsTokenCount":3}}"#,
        ],
        &[
            "start r1 m-1",
            "open 0.0 thinking",
            "0.0 \"hm\"",
            "usage 9 3 - 3",
            "close 0.0",
            "open 0.1 text",
            "0.1 \"Hel\"",
            "0.1 \"lo \u{FFFD}\"",
            "close 0.1",
            "open 0.2 call call_r1_0 f maker:c2ln",
            "0.2 whole {\"a\": 1}",
            "close 0.2",
            "open 0.3 call own g",
            "close 0.3",
            "usage 9 7 - 3",
            "finish 0 ToolCalls",
            "usage 9 7 - 3",
            "end",
        ],
    );
}

#[test]
fn a_signature_belongs_to_what_stands_before_it() {
    check_stream(
        &[
            r#"{"candidates":[{"content":{"parts":[{"text":"a","thought":true},{"text":"","thoughtSignature":"s1"},{"text":"b","thought":true,"thoughtSignature":"s2"}]}}],"responseId":"r"}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"c"}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"s3"}]},"finishReason":"STOP"}]}"#,
        ],
        &[
            "start r ",
            "open 0.0 thinking",
            "0.0 \"a\"",
            "0.0 signature maker:s1",
            "close 0.0",
            "open 0.1 thinking",
            "0.1 \"b\"",
            "0.1 signature maker:s2",
            "close 0.1",
            "open 0.2 text",
            "0.2 \"c\"",
            "0.2 signature maker:s3",
            "close 0.2",
            "finish 0 Stop",
            "end",
        ],
    );
    let alone = r#"{"candidates":[{"content":{"parts":[{"thoughtSignature":"s"}]},"finishReason":"STOP"}]}"#;
    let want = ["start  ", "open 0.0 thinking", "0.0 signature maker:s", "close 0.0", "finish 0 Stop", "end"];
    assert_eq!(whole(alone), want);
}

#[test]
fn text_behind_a_reason_to_end_is_no_loss() {
    check_stream(
        &[
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP","index":0}],"modelVersion":"m"}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS","index":0}]}"#,
        ],
        &["start  m", "open 0.0 text", "0.0 \"a\"", "0.0 \"b\"", "close 0.0", "finish 0 Length", "end"],
    );
}

#[test]
fn a_stream_without_a_reason_to_end_was_cut() {
    let text = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":0},{"content":{"parts":[{"text":"b"}]},"index":1}]}"#;
    let end = r#"{"candidates":[{"finishReason":"STOP","index":1}]}"#;
    for events in [&[][..], &[text], &[text, end], &["{}", "", "[]", "[DONE]"]] {
        let (lines, stage) = read_stream(events);
        assert_eq!(stage, Stage::Open, "{events:?}");
        assert!(!lines.iter().any(|line| line == "end" || line.starts_with("finish")), "{lines:?}");
    }
    let other = r#"{"candidates":[{"finishReason":"STOP","index":0}]}"#;
    check_stream(
        &[text, end, other],
        &[
            "start  ",
            "open 0.0 text",
            "0.0 \"a\"",
            "open 1.0 text",
            "1.0 \"b\"",
            "close 0.0",
            "finish 0 Stop",
            "close 1.0",
            "finish 1 Stop",
            "end",
        ],
    );
}

#[test]
fn an_error_is_the_end() {
    let text = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}"#;
    let cases = [
        (
            r#"{"error":{"code":499,"message":"cancelled","status":"CANCELLED"}}"#,
            "error Server 499 cancelled",
        ),
        (r#"[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]"#, "error Overloaded 503 busy"),
        ("{\"candidates\":", "error Server 502 The provider sent an event that is no JSON object."),
        (
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}"#,
            "error Server 502 The provider sent a call in pieces, which was not asked for.",
        ),
    ];
    for (event, want) in cases {
        check_stream(&[text, event, text], &["start  ", "open 0.0 text", "0.0 \"a\"", want]);
    }
    assert_eq!(whole(cases[0].0), [cases[0].1]);
    assert_eq!(whole(cases[1].0), [cases[1].1]);
}

#[test]
fn a_refused_prompt_is_an_answer() {
    for feedback in [r#"{"blockReason":"SAFETY"}"#, r#"{"blockReasonMessage":"m"}"#] {
        let body = format!(
            r#"{{"candidates":[],"promptFeedback":{feedback},"usageMetadata":{{"promptTokenCount":8}},"modelVersion":"m"}}"#
        );
        assert_eq!(
            whole(&body),
            ["start  m", "usage 8 - - -", "finish 0 ContentFilter", "usage 8 - - -", "end"]
        );
    }
    let none = "start  ,usage 8 - - -,error Server 502 The provider's answer holds no candidates.";
    assert_eq!(whole(r#"{"usageMetadata":{"promptTokenCount":8}}"#).join(","), none);
}

#[test]
fn a_whole_answer_may_lack_content_parts_or_a_reason() {
    let filtered = ["start  ", "finish 0 ContentFilter", "end"];
    for candidate in [
        r#"{"finishReason":"SAFETY","safetyRatings":[]}"#,
        r#"{"content":{},"finishReason":"RECITATION","index":0}"#,
        r#"{"content":{"role":"model"},"finish_reason":"NEW"}"#,
    ] {
        assert_eq!(whole(&format!(r#"{{"candidates":[{candidate}]}}"#)), filtered);
    }
    let text = ["start  ", "open 0.0 text", "0.0 \"a\"", "close 0.0", "finish 0 Stop", "end"];
    assert_eq!(whole(r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#), text);
}

#[test]
fn what_only_this_dialect_knows_is_kept_whole() {
    let body = r#"{"candidates":[{"content":{"parts":[
        {"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK"}},
        {"inlineData":{"mimeType":"image/png","data":"AAAA"}},{"text":"t"}]},
        "finishReason":"STOP","index":0,"logprobsResult":{"chosenCandidates":[{"token":"t","logProbability":-1}]},
        "groundingMetadata":{"groundingChunks":[{"web":{"uri":"u1","title":"t1"}},{"web":{"uri":"u1"}},{"web":{"title":"t2"}},{}],
            "groundingSupports":[{"segment":{"endIndex":1,"text":"t"},"groundingChunkIndices":[2]}]},
        "citationMetadata":{"citationSources":[{"startIndex":0,"uri":"u3"}]}}]}"#;
    let want = [
        "start  ",
        "open 0.0 foreign {\"executableCode\":{\"language\":\"PYTHON\",\"code\":\"1\"}}",
        "close 0.0",
        "open 0.1 foreign {\"codeExecutionResult\":{\"outcome\":\"OUTCOME_OK\"}}",
        "close 0.1",
        "open 0.2 media image/png AAAA",
        "close 0.2",
        "open 0.3 text",
        "0.3 \"t\"",
        r#"0.3 logprobs [{"token":"t","logprob":-1,"bytes":null,"top_logprobs":[]}]"#,
        "0.3 cites u1 t1 -",
        "0.3 cites - t2 t",
        "0.3 cites u3 - -",
        "close 0.3",
        "finish 0 Stop",
        "end",
    ];
    assert_eq!(whole(body), want);
}
