//! Whole answers for clients.

use super::super::super::middle::{Finish, Signature, Text};
use super::*;

#[test]
fn an_answer_is_one_document_with_its_candidates_in_order() {
    let at = |choice| Place { choice, block: 0 };
    let text = |choice, text: &str| Event::Delta { at: at(choice), delta: Delta::Text(Text::of(text)) };
    let finish = |choice, reason| Event::Finish { choice, finish: Finish { reason, stop_sequence: None } };
    let events = [
        Event::Start(Start { model: Text::of("m"), ..Start::default() }),
        Event::Open { at: at(1), block: Block::Text },
        Event::Open { at: at(0), block: Block::Thinking },
        text(1, "b"),
        text(0, "a"),
        Event::Delta { at: at(0), delta: Delta::Signature(Signature::of_vendor("", Text::of("sig"))) },
        text(1, "\"b"),
        Event::Close { at: at(1) },
        Event::Close { at: at(0) },
        finish(0, FinishReason::Length),
        finish(1, FinishReason::Stop),
        Event::Usage(Usage { input: Some(1), ..Usage::default() }),
        Event::End,
    ];
    let mut writer = AnswerWriter::new(Told { id: "id".into(), ..Told::default() });
    events.iter().for_each(|event| writer.event(event));
    let mut out = Vec::new();
    writer.finish(&mut out);
    let want = concat!(
        r#"{"candidates":[{"content":{"parts":[{"text":"a","thought":true,"thoughtSignature":"sig"}],"role":"model"},"finishReason":"MAX_TOKENS","index":0},"#,
        r#"{"content":{"parts":[{"text":"b\"b"}],"role":"model"},"finishReason":"STOP","index":1}],"#,
        r#""usageMetadata":{"promptTokenCount":1},"modelVersion":"m","responseId":"id"}"#
    );
    assert_eq!(String::from_utf8_lossy(&out), want);
}
