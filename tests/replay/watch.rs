//! The checks watched: what is told wrongly to a client, or in a wrong order, must be seen.

use crate::check::{check, wanted};
use crate::drive::CLIENTS;
use crate::framing::sse;
use crate::said::{Choice, Finish, Said};
use crate::{cases, inflate, rules, rules_responses};

/// What a recording would have to say otherwise.
type Change = fn(&mut Said);

const CHANGES: [(&str, Change); 7] = [
    ("a text", |said| first(said).visible.push('.')),
    ("a thought", |said| first(said).thinking.push('.')),
    ("a call too many", |said| first(said).call("f", serde_json::json!({}))),
    ("another reason", |said| first(said).finish = Some(Finish::Length)),
    ("another count", |said| said.counts.output += 1),
    ("an error", |said| said.error = Some("no".to_owned())),
    ("no choice", |said| said.choices.clear()),
];

fn first(said: &mut Said) -> &mut Choice {
    said.choices.get_mut(&0).expect("a choice")
}

#[test]
fn what_a_client_is_told_wrongly_is_seen() {
    for case in cases::all() {
        let want = wanted(&case);
        // A refusal and a full context are all that some dialects tell of the reason.
        let says_little = |choice: &Choice| {
            !choice.refusal.is_empty() || matches!(choice.finish, Some(Finish::Length | Finish::ContextFull))
        };
        if want.error.is_some() || says_little(&want.choices[&0]) {
            continue;
        }
        for client in CLIENTS.into_iter().filter(|client| client.grammar != case.grammar) {
            assert_eq!(check(&case, &want, client), Ok(()), "{}", case.name);
            for (what, change) in CHANGES {
                let mut other = want.clone();
                change(&mut other);
                assert!(check(&case, &other, client).is_err(), "{}: {what} is not seen", case.name);
            }
        }
    }
}

#[test]
fn streams_that_break_a_rule_are_seen() {
    let chunk = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}"#;
    let messages = |middle: &str| {
        let start = r#"{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":0,"output_tokens":0}}}"#;
        let end =
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#;
        [start, middle, end, r#"{"type":"message_stop"}"#].join("\n")
    };
    let open = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let close = r#"{"type":"content_block_stop","index":0}"#;
    let thought =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a"}}"#;
    assert_eq!(rules::messages(&named(&messages(&format!("{open}\n{close}")))), Ok(()));
    for broken in [open, close, &format!("{open}\n{thought}\n{close}"), r#"{"type":"message_stop"}"#] {
        assert!(rules::messages(&named(&messages(broken))).is_err(), "{broken}");
    }
    assert_eq!(rules::chat(&sse(format!("{chunk}\n\n").as_bytes())), Ok(()), "a stream may be cut");
    assert!(
        rules::chat(&sse(format!("{chunk}\n\ndata: [DONE]\n\n").as_bytes())).is_err(),
        "without a finish"
    );
    assert!(rules::chat(&sse(format!("data: [DONE]\n\n{chunk}\n\n").as_bytes())).is_err(), "behind the end");
    let created = r#"{"type":"response.created","sequence_number":0,"response":{}}"#;
    let delta = r#"{"type":"response.output_text.delta","sequence_number":1,"output_index":0,"item_id":"m","content_index":0,"delta":"a"}"#;
    assert_eq!(rules_responses::check(&named(created)), Ok(()));
    assert!(rules_responses::check(&named(&format!("{created}\n{delta}"))).is_err(), "no item was added");
    let parts = r#"data: {"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}"#;
    assert_eq!(rules::gemini(&sse(format!("{parts}\n\n").as_bytes())), Ok(()));
    assert!(rules::gemini(&sse(format!("{parts}\n\n{parts}\n\n").as_bytes())).is_err(), "behind the end");
}

/// Lines of data as events that are named by their types.
fn named(lines: &str) -> Vec<crate::framing::Event> {
    let values = lines.lines().map(|line| serde_json::from_str(line).expect(line));
    sse(&crate::framing::framed(&values.collect::<Vec<_>>()))
}

#[test]
fn compressed_bodies_are_opened() {
    let file = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 128, 136, 249, 229, 17,
        0, 0, 0,
    ];
    assert_eq!(inflate::gunzip(&file).as_deref(), Some(&b"hello hello hello"[..]));
    assert_eq!(inflate::gunzip(&file[..14]), None, "cut");
}
