//! Streams of providers: what they say, and what they must not make the reader say.

use super::*;

const CREATED: &str = r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":7,"status":"in_progress","model":"m","output":[],"error":null,"usage":null}}"#;
const COMPLETED_EMPTY: &str = r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","model":"m","output":[],"error":null,"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":8}}}"#;
const USAGE: &str = "usage in=5 cached=2 out=3 reasoning=1";

#[track_caller]
fn check(datas: &[&str], want: &[&str]) {
    let all: Vec<&str> = [CREATED].into_iter().chain(datas.iter().copied()).collect();
    let (lines, stage) = read_stream(&all, &vendor_rules());
    let start = ["start resp_1 m"];
    let want: Vec<&str> = start.into_iter().chain(want.iter().copied()).collect();
    assert_eq!(lines, want);
    assert_eq!(stage, Stage::Ended);
}

#[test]
fn a_text_comes_in_pieces_and_its_repetitions_do_not() {
    check(
        &[
            r#"{"type":"response.in_progress","response":{"id":"resp_1"}}"#,
            r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","content":[],"role":"assistant"}}"#,
            r#"{"type":"response.content_part.added","item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"text":""}}"#,
            r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"a\n","logprobs":[]}"#,
            r#"{"delta":"b","output_index":0,"type":"response.output_text.delta","item_id":"msg_1","content_index":0,"logprobs":[{"token":"b","logprob":-0.5}]}"#,
            r#"{"type":"response.output_text.annotation.added","item_id":"msg_1","output_index":0,"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation","url":"https://e.x","title":"T","start_index":0,"end_index":1}}"#,
            r#"{"type":"response.output_text.done","item_id":"msg_1","output_index":0,"content_index":0,"text":"a\nb"}"#,
            r#"{"type":"response.content_part.done","item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[{"type":"url_citation","url":"https://e.x","title":"T"}],"text":"a\nb"}}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"msg_1","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"text":"a\nb"}],"role":"assistant"}}"#,
            r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"a\nb"}]}],"usage":null}}"#,
            "[DONE]",
        ],
        &[
            "0 = text",
            "0 text a\nb",
            r#"0 logprobs [{"token":"b","logprob":-0.5}]"#,
            "0 citation https://e.x T",
            "0 closed",
            "finish Stop",
            "end",
        ],
    );
}

#[test]
fn calls_that_interleave_keep_their_places_and_the_empty_list_at_the_end_takes_nothing_back() {
    check(
        &[
            r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","arguments":"","call_id":"call_1","name":"f"}}"#,
            r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"fc_2","type":"function_call","arguments":"","call_id":"call_2","name":"g"}}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"fc_2","output_index":1,"delta":"{\"b\""}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":"{}"}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"fc_2","output_index":1,"delta":":2}"}"#,
            r#"{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":0,"arguments":"{}"}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"fc_1","type":"function_call","arguments":"{}","call_id":"call_1","name":"f"}}"#,
            COMPLETED_EMPTY,
        ],
        &[
            "0 = call call_1 f",
            "1 = call call_2 g",
            "1 input {\"b\"",
            "0 input {}",
            "1 input :2}",
            "0 closed",
            "1 closed",
            "finish ToolCalls",
            USAGE,
            "end",
        ],
    );
}

#[test]
fn what_comes_whole_only_is_read_whole_and_once() {
    let call =
        r#"{"id":"fc_1","type":"function_call","arguments":"{\"a\":1}","call_id":"call_1","name":"f"}"#;
    let want = ["0 = call call_1 f", "0 input {\"a\":1}", "0 closed", "finish ToolCalls", "end"];
    let completed = format!(
        r#"{{"type":"response.completed","response":{{"status":"completed","output":[{call}],"usage":null}}}}"#
    );
    let added = r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","call_id":"call_1","name":"f"}}"#;
    let nameless = r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call"}}"#;
    let delta = r#"{"type":"response.function_call_arguments.delta","output_index":0,"item_id":"fc_1","delta":"{\"a\":1}"}"#;
    let arguments_done = r#"{"type":"response.function_call_arguments.done","output_index":0,"item_id":"fc_1","arguments":"{\"a\":1}"}"#;
    let done = format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{call}}}"#);
    check(&[&completed], &want);
    check(&[&done, &completed], &want);
    check(&[&done, &done, &completed], &want);
    check(&[added, &completed], &want);
    check(&[added, arguments_done, &completed], &want);
    check(&[added, arguments_done, &done, &completed], &want);
    check(&[nameless, delta, arguments_done, &done, &completed], &want);
    check(&[delta, &completed], &want);
    // An id that changes from event to event.
    let other_id = done.replace("fc_1", "x_9");
    check(&[added, delta, &other_id, &completed.replace("fc_1", "x_7")], &want);
}

#[test]
fn a_thought_has_its_paragraphs_and_its_state() {
    let added = r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","encrypted_content":"early","summary":[]}}"#;
    let done = |summary: &str| {
        format!(
            r#"{{"type":"response.output_item.done","output_index":0,"item":{{"id":"rs_1","type":"reasoning","encrypted_content":"late","summary":{summary}}}}}"#
        )
    };
    let piece = |index: u32, text: &str| {
        format!(
            r#"{{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":{index},"delta":"{text}"}}"#
        )
    };
    let two = done(r#"[{"type":"summary_text","text":"ab"},{"type":"summary_text","text":"c"}]"#);
    let want =
        ["0 = thinking", "0 text ab\n\nc", "0 signature maker late", "0 closed", "finish Stop", USAGE, "end"];
    check(&[added, &piece(0, "a"), &piece(0, "b"), &piece(1, "c"), &two, COMPLETED_EMPTY], &want);
    check(&[added, &two, COMPLETED_EMPTY], &want);
    check(
        &[added, &done("[]"), COMPLETED_EMPTY],
        &["0 = hidden maker late", "0 closed", "finish Stop", USAGE, "end"],
    );
    let raw = r#"{"type":"response.reasoning_text.delta","item_id":"rs_1","output_index":0,"content_index":0,"delta":"t"}"#;
    let part = r#"{"type":"response.content_part.done","item_id":"rs_1","output_index":0,"content_index":0,"part":{"type":"reasoning_text","text":"t"}}"#;
    check(
        &[added, raw, part, COMPLETED_EMPTY],
        &["0 = thinking", "0 text t", "0 closed", "finish Stop", USAGE, "end"],
    );
}

#[test]
fn custom_calls_refusals_images_and_foreign_items_are_told_apart() {
    check(
        &[
            r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"custom_tool_call","id":"ct","call_id":"c1","name":"sql","input":""}}"#,
            r#"{"type":"response.custom_tool_call_input.delta","item_id":"ct","output_index":0,"delta":"SELECT"}"#,
            r#"{"type":"response.custom_tool_call_input.done","item_id":"ct","output_index":0,"input":"SELECT"}"#,
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"custom_tool_call","id":"ct","call_id":"c1","name":"sql","input":"SELECT"}}"#,
            r#"{"type":"response.refusal.delta","item_id":"m","output_index":1,"content_index":0,"delta":"no"}"#,
            r#"{"type":"response.output_item.added","output_index":2,"item":{"type":"web_search_call","id":"ws"}}"#,
            r#"{"type":"response.web_search_call.searching","output_index":2,"item_id":"ws"}"#,
            r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"web_search_call","id":"ws"}}"#,
            r#"{"type":"response.output_item.done","output_index":3,"item":{"type":"image_generation_call","id":"ig","result":"AAAA","output_format":"webp"}}"#,
            r#"{"type":"keepalive"}"#,
            COMPLETED_EMPTY,
        ],
        &[
            "0 = custom c1 sql",
            "0 input SELECT",
            "0 closed",
            "1 = refusal",
            "1 text no",
            r#"2 = foreign {"type":"web_search_call","id":"ws"}"#,
            "2 closed",
            "3 = media image/webp AAAA",
            "3 closed",
            "ping",
            "1 closed",
            "finish ToolCalls",
            USAGE,
            "end",
        ],
    );
}

#[test]
fn an_answer_that_is_not_whole_says_why() {
    for (reason, want) in [("max_output_tokens", "finish Length"), ("content_filter", "finish ContentFilter")]
    {
        let data = format!(
            r#"{{"type":"response.incomplete","response":{{"status":"incomplete","incomplete_details":{{"reason":"{reason}"}},"output":[]}}}}"#
        );
        check(&[&data], &[want, "end"]);
        check(&[&data.replace("response.incomplete", "response.completed")], &[want, "end"]);
        check(&[&data.replace(r#""status":"incomplete""#, r#""status":"in_progress""#)], &[want, "end"]);
    }
}

#[test]
fn an_error_is_the_end_and_nothing_follows() {
    let failed = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"broke"},"output":[]}}"#;
    check(&[failed, COMPLETED_EMPTY], &["error Server 502 broke"]);
    check(
        &[
            r#"{"type":"error","sequence_number":2,"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"pay","param":null}}"#,
            failed,
        ],
        &["error Billing 429 pay"],
    );
    check(
        &[r#"{"type":"error","code":"rate_limit_exceeded","message":"slow","param":null}"#],
        &["error RateLimit 429 slow"],
    );
    check(
        &[r#"{"error":{"message":"too long: maximum context length","code":null}}"#],
        &["error ContextOverflow 400 too long: maximum context length"],
    );
    check(&["{\"type\":"], &["error Server 502 The provider sent an event that is no JSON."]);
    check(
        &[r#"{"type":"response.failed","response":{"status":"failed"}}"#],
        &["error Server 502 The provider ended the stream with `response.failed` and gave no reason."],
    );
}

#[test]
fn a_cut_stream_stays_open_and_gets_no_end() {
    let piece = r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"a"}"#;
    let (lines, stage) = read_stream(&[CREATED, "", "{}", piece, "[DONE]"], &vendor_rules());
    assert_eq!(lines, ["start resp_1 m", "0 = text", "0 text a"]);
    assert_eq!(stage, Stage::Open);
}
