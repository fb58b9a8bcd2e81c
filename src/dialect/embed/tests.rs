//! The two forms against each other: what crosses over, and what does not.

use super::*;

fn asked(client: Endpoint, provider: Endpoint, body: &str) -> (Way, Report, String) {
    let (mut members, mut report, mut out) = (Vec::new(), Report::default(), Vec::new());
    let node = Node::document(body.as_bytes(), &mut members).expect("an object");
    let way = request(client, provider, node, "m", &mut report, &mut out).expect("a good request");
    (way, report, String::from_utf8(out).expect("UTF-8"))
}

fn answered(way: &Way, body: &str) -> (Usage, String) {
    let mut out = Vec::new();
    let mut members = Vec::new();
    let node = Node::document(body.as_bytes(), &mut members).expect("an object");
    let usage = way.answer(node, &mut out).expect("a good answer");
    (usage, String::from_utf8(out).expect("UTF-8"))
}

const OPENAI: Endpoint = Endpoint::Embeddings;
const ONE: Endpoint = Endpoint::Embed;
const MANY: Endpoint = Endpoint::EmbedBatch;

#[test]
fn texts_cross_over_with_their_dimensions() {
    let (way, report, sent) =
        asked(OPENAI, MANY, r#"{"model":"x/m","input":["a","\u00e4"],"dimensions":3,"user":"u"}"#);
    assert_eq!(
        sent,
        r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"outputDimensionality":3},{"model":"models/m","content":{"parts":[{"text":"\u00e4"}]},"outputDimensionality":3}]}"#
    );
    assert_eq!((report.unsupported, report.edited), (Vec::new(), vec!["user".to_owned()]));
    let (usage, said) = answered(&way, r#"{"embeddings":[{"values":[0.5,1e-7]},{"values":[-0.0,2]}]}"#);
    assert_eq!(
        said,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1e-7]},{"object":"embedding","index":1,"embedding":[-0.0,2]}],"model":"m","usage":{"prompt_tokens":0,"total_tokens":0}}"#
    );
    assert_eq!(usage, Usage::default(), "what nobody stated is unknown");
    let (_, _, sent) = asked(OPENAI, ONE, r#"{"input":"a"}"#);
    assert_eq!(sent, r#"{"model":"models/m","content":{"parts":[{"text":"a"}]}}"#);
}

#[test]
fn base64_becomes_numbers_and_numbers_base64() {
    let (way, ..) = asked(OPENAI, MANY, r#"{"input":"a","encoding_format":"base64"}"#);
    let (_, said) = answered(&way, r#"{"embeddings":[{"values":[1,-2.5]}]}"#);
    assert!(said.contains(r#""embedding":"AACAPwAAIMA=""#), "{said}");
    let (way, _, sent) =
        asked(ONE, OPENAI, r#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"outputDimensionality":2}"#);
    assert_eq!(sent, r#"{"model":"m","input":["a\nb"],"dimensions":2}"#);
    let body =
        r#"{"data":[{"index":0,"embedding":"AACAPwAAIMA="}],"usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let (usage, said) = answered(&way, body);
    assert_eq!(said, r#"{"embedding":{"values":[1,-2.5]},"usageMetadata":{"promptTokenCount":4}}"#);
    assert_eq!(usage.input, Some(4));
}

#[test]
fn vectors_come_in_the_order_of_their_texts_or_not_at_all() {
    let body = r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#;
    let (way, _, sent) = asked(MANY, OPENAI, body);
    assert_eq!(sent, r#"{"model":"m","input":["a","b"]}"#);
    let swapped = r#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]}"#;
    assert_eq!(answered(&way, swapped).1, r#"{"embeddings":[{"values":[1]},{"values":[2]}]}"#);
    for bad in [
        r#"{"data":[{"index":0,"embedding":[1]}]}"#,
        r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":"AAA"}]}"#,
        r#"{"error":{"message":"no"}}"#,
    ] {
        let mut members = Vec::new();
        let node = Node::document(bad.as_bytes(), &mut members).expect("an object");
        assert!(way.answer(node, &mut Vec::new()).is_err(), "{bad}");
    }
}

#[test]
fn what_has_no_place_is_named_as_the_caller_spells_it() {
    let unsupported =
        |client, body| asked(client, if client == OPENAI { MANY } else { OPENAI }, body).1.unsupported;
    assert_eq!(unsupported(OPENAI, r#"{"input":[1,2]}"#), ["input"]);
    assert_eq!(unsupported(OPENAI, r#"{"input":"a","input_type":"query"}"#), ["input_type"]);
    let task = r#"{"content":{"parts":[{"text":"a"},{"inlineData":{}}]},"taskType":"RETRIEVAL_QUERY"}"#;
    assert_eq!(unsupported(ONE, task), ["content.parts[1]", "taskType"]);
    let both = r#"{"requests":[{"content":{"parts":[{"text":"a"}]},"outputDimensionality":1},{"content":{"parts":[{"text":"a"}]},"outputDimensionality":2}]}"#;
    assert_eq!(unsupported(MANY, both), ["requests[1].outputDimensionality"]);
}

#[test]
fn a_request_that_passes_names_its_model_as_the_provider_does() {
    let body = r#"{"model":"models/x/m", "requests":[ {"content":{"parts":[{"text":"model"}]},"model":"x/m"},{"model":7}]}"#;
    let mut edits = crate::wire::splice::Edits::default();
    renamed(body.as_bytes(), "m").iter().for_each(|(place, text)| edits.replace(*place, text));
    let mut out = Vec::new();
    edits.append_to(body.as_bytes(), &mut out);
    let want = r#"{"model":"models/m", "requests":[ {"content":{"parts":[{"text":"model"}]},"model":"models/m"},{"model":7}]}"#;
    assert_eq!(String::from_utf8_lossy(&out), want);
}
