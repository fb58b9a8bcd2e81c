//! What is taken out of a body and what stays, for each dialect.

use super::*;
use crate::wire::splice::Edits;

fn rules(vendor: &'static str, reasoning: ReasoningStyle) -> Rules {
    Rules { vendor: vendor.into(), reasoning, ..Rules::default() }
}

#[track_caller]
fn check_under(rules: &Rules, grammar: Grammar, body: &str, want: &str) {
    json::scan_object(body.as_bytes(), &mut Vec::new()).expect("the case is an object");
    let swept = sweep(grammar, body.as_bytes(), rules);
    let mut edits = Edits::default();
    swept.changes.iter().for_each(|(place, text)| edits.replace(*place, text));
    let mut out = Vec::new();
    edits.append_to(body.as_bytes(), &mut out);
    assert_eq!(String::from_utf8_lossy(&out), want);
}

#[track_caller]
fn check(grammar: Grammar, body: &str, want: &str) {
    check_under(&rules("anthropic", ReasoningStyle::Budget), grammar, body, want);
}

#[test]
fn a_body_without_marks_is_not_looked_at() {
    for grammar in [Grammar::Chat, Grammar::Messages, Grammar::Responses, Grammar::Gemini] {
        let swept = sweep(grammar, br#"{"messages":[{"content":[{"type":"thinking"}]}]}"#, &Rules::default());
        assert_eq!(swept, Swept::default());
    }
}

#[test]
fn blocks_of_another_vendor_go_and_those_of_this_one_are_as_it_made_them() {
    let turn = |blocks: &str| format!(r#"{{"messages":[ {{"role":"assistant", "content" : [{blocks}] }}]}}"#);
    let foreign = r#"{"type":"thinking","thinking":"t","signature":"ringway:gemini:abc"}"#;
    let hidden = r#"{"type":"redacted_thinking","data":"ringway:gemini:abc"}"#;
    let own = r#"{"type":"thinking","thinking":"t","signature":"ringway:anthropic:a:b\/="}"#;
    let bare = r#"{"type":"thinking","thinking":"t","signature":"a:b\/="}"#;
    let text = r#"{"type":"text", "text":"ringway:gemini:said"}"#;
    for (blocks, want) in [
        (format!("{foreign} , {text}"), text.to_owned()),
        (format!("{text} , {foreign}"), text.to_owned()),
        (format!("{foreign},{hidden} ,{text}, {text},\n{hidden}"), format!("{text}, {text}")),
        (format!("{own}, {text}"), format!("{}, {text}", bare.replace("\\/", "/"))),
        (format!("{bare},{text}"), format!("{bare},{text}")),
    ] {
        check(Grammar::Messages, &turn(&blocks), &turn(&want));
    }
    let call = |more: &str| {
        format!(r#"{{"type":"tool_use","id":"a","name":"f","input":{{"signature":"ringway:x:y"}}{more}}}"#)
    };
    check(Grammar::Messages, &turn(&call(r#", "signature":"ringway:gemini:abc""#)), &turn(&call("")));
}

#[test]
fn a_turn_of_nothing_else_goes_as_a_whole() {
    let foreign =
        r#"{"role":"assistant","content":[{"type":"redacted_thinking","data":"ringway:gemini:a"}]}"#;
    check(
        Grammar::Messages,
        &format!(r#"{{"messages":[{foreign},{{"role":"user","content":"hi"}}],"model":"m"}}"#),
        r#"{"messages":[{"role":"user","content":"hi"}],"model":"m"}"#,
    );
    check(Grammar::Messages, &format!(r#"{{"messages":[{foreign}],"x":1}}"#), r#"{"messages":[],"x":1}"#);
}

#[test]
fn chat_loses_blocks_and_what_rides_on_calls() {
    let foreign = r#"{"type":"thinking","thinking":"t","signature":"ringway:gemini:a"}"#;
    check(
        Grammar::Chat,
        &format!(r#"{{"messages":[{{"role":"assistant","thinking_blocks":[{foreign}],"content":"a"}}]}}"#),
        r#"{"messages":[{"role":"assistant","content":"a"}]}"#,
    );
    check(
        Grammar::Chat,
        r#"{"messages":[{"tool_calls":[{"id":"a","extra_content":{"google":{"thought_signature":"ringway:gemini:a"}},"type":"function"}]}]}"#,
        r#"{"messages":[{"tool_calls":[{"id":"a","type":"function"}]}]}"#,
    );
}

#[test]
fn reasoning_of_another_vendor_leaves_the_input() {
    check(
        Grammar::Responses,
        r#"{"input":[{"type":"reasoning","summary":[],"encrypted_content":"ringway:gemini:a"},{"role":"user","content":"hi"}]}"#,
        r#"{"input":[{"role":"user","content":"hi"}]}"#,
    );
    let body = r#"{"input":"ringway:gemini:a"}"#;
    check(Grammar::Responses, body, body);
}

#[test]
fn parts_of_gemini_lose_signatures_thoughts_or_themselves() {
    let wrapped = |text: &str| {
        let mut out = Vec::new();
        gemini::write_signature_for_client(&Signature::of_vendor(text, Text::of("abc")), &mut out);
        String::from_utf8(out).expect("base64")
    };
    let (foreign, own) = (wrapped("anthropic"), wrapped("gemini"));
    let parts = |parts: &str| format!(r#"{{"contents":[{{"role":"model","parts":[{parts}]}}]}}"#);
    let call = |more: &str| format!(r#"{{"functionCall":{{"name":"f"}}{more}}}"#);
    let check = |reasoning, body: &str, want: &str| {
        check_under(&rules("gemini", reasoning), Grammar::Gemini, &parts(body), &parts(want));
    };
    let budget = ReasoningStyle::Budget;
    let thought = format!(r#"{{"text":"t","thought":true,"thoughtSignature":{foreign}}}"#);
    let empty = format!(r#"{{"text":"","thoughtSignature":{foreign}}}"#);
    check(budget, &format!(r#"{thought},{{"text":"a"}},{empty}"#), r#"{"text":"a"}"#);
    check(budget, &format!(r#"{{"text":"a","thoughtSignature":{foreign}}}"#), r#"{"text":"a"}"#);
    check(
        budget,
        &format!(r#"{{"text":"a","thoughtSignature":{own}}}"#),
        r#"{"text":"a","thoughtSignature":"abc"}"#,
    );
    check(budget, &call(&format!(r#","thoughtSignature":{foreign}"#)), &call(""));
    let none = r#","thoughtSignature":"skip_thought_signature_validator""#;
    check(ReasoningStyle::Effort, &call(&format!(r#","thoughtSignature":{foreign}"#)), &call(none));
}
