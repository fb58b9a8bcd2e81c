//! Answers that nobody recorded: one for each thing that must survive the way from a dialect to another. Streams stand as the
//! data of their events, one a line.

use ringway::dialect::endpoint::Grammar;

use crate::framing::frame;
use crate::shelf::Recording;

pub fn all() -> Vec<Recording> {
    let mut cases = Vec::new();
    for (grammar, streams) in [
        (Grammar::Chat, CHAT_STREAMS),
        (Grammar::Responses, RESPONSES_STREAMS),
        (Grammar::Messages, MESSAGES_STREAMS),
        (Grammar::Gemini, GEMINI_STREAMS),
        (Grammar::Converse, CONVERSE_STREAMS),
    ] {
        let streams = streams.iter().map(|(name, lines)| (*name, true, stream(grammar, lines)));
        let wholes = ANSWERS.iter().filter(|(of, ..)| *of == grammar);
        let wholes = wholes.map(|(_, name, body)| (*name, false, body.as_bytes().to_vec()));
        cases.extend(streams.chain(wholes).map(|(name, is_stream, body)| Recording {
            name: format!("{grammar:?}: {name}"),
            grammar,
            is_stream,
            body,
        }));
    }
    cases
}

/// A stream of these events, framed as the dialect frames them.
fn stream(grammar: Grammar, lines: &str) -> Vec<u8> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .flat_map(|line| match grammar {
            Grammar::Converse => {
                let (name, payload) = line.split_once(' ').unwrap_or((line, "{}"));
                frame(name.ends_with("Exception"), name, payload.as_bytes())
            }
            Grammar::Messages | Grammar::Responses => {
                let value: serde_json::Value = serde_json::from_str(line).expect(line);
                format!("event: {}\ndata: {line}\n\n", value["type"].as_str().unwrap_or_default())
                    .into_bytes()
            }
            Grammar::Gemini => format!("data: {line}\r\n\r\n").into_bytes(),
            Grammar::Chat => format!(": keep-alive\n\ndata: {line}\n\n").into_bytes(),
        })
        .collect()
}

type Stream = (&'static str, &'static str);

const CHAT_STREAMS: &[Stream] = &[
    (
        "thoughts and a text of many alphabets, usage only at the end",
        r#"{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"Hm \ud83e\udd14"},"finish_reason":null}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"content":"Grüße, 世界 "},"finish_reason":null}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"content":"\ud83d\ude00 \"a\\b\"\n\u0001\u2028"},"finish_reason":""}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}
        [DONE]"#,
    ),
    (
        "parallel calls whose arguments interleave, numbered from 1",
        r#"{"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"Two."}}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":""}},{"index":2,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":2,"id":"","function":{"name":"","arguments":"{\"y\":[1"}}]}}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{\"x\":\"é\\n"}},{"index":2,"function":{"arguments":",2]}"}}]}}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"\"}"}},{"index":3,"id":"c","type":"function","function":{"name":"h"}}]}}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}
        [DONE]"#,
    ),
    (
        "two choices, no end but their reasons, a full length with its text",
        r#"{"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"a"}},{"index":1,"delta":{"role":"assistant","content":"b"}}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":1,"delta":{"content":"B"},"finish_reason":"length"}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"content":"A"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
    ),
    (
        "a refusal in pieces, its finish twice",
        r#"{"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":"I "}}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"refusal":"won't."},"finish_reason":null}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}
        {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}
        [DONE]"#,
    ),
    (
        "an error behind some text",
        r#"{"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"So far"}}]}
        {"error":{"message":"The model \"x\" is overloaded.","type":"server_error","code":503}}"#,
    ),
];

const RESPONSES_STREAMS: &[Stream] = &[
    (
        "thoughts in two parts, a text, calls that interleave, nothing in the last event",
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":5,"model":"x","status":"in_progress","output":[]}}
        {"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}
        {"type":"response.reasoning_summary_part.added","item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}
        {"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,"delta":"One"}
        {"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":1,"delta":"Two"}
        {"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","encrypted_content":"c2lnbmVk","summary":[{"type":"summary_text","text":"One"},{"type":"summary_text","text":"Two"}]}}
        {"type":"response.output_item.added","output_index":1,"item":{"id":"msg_1","type":"message","role":"assistant","status":"in_progress","content":[]}}
        {"type":"response.content_part.added","item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}
        {"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"content_index":0,"delta":"Grüße \ud83d\ude00"}
        {"type":"response.output_text.done","item_id":"msg_1","output_index":1,"content_index":0,"text":"Grüße \ud83d\ude00"}
        {"type":"response.output_item.done","output_index":1,"item":{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Grüße \ud83d\ude00","annotations":[]}]}}
        {"type":"response.output_item.added","output_index":2,"item":{"id":"fc_1","type":"function_call","call_id":"a","name":"f","arguments":""}}
        {"type":"response.output_item.added","output_index":3,"item":{"id":"fc_2","type":"function_call","call_id":"b","name":"g","arguments":""}}
        {"type":"response.output_item.added","output_index":4,"item":{"id":"ct_1","type":"custom_tool_call","call_id":"c","name":"shell","input":""}}
        {"type":"response.function_call_arguments.delta","item_id":"fc_2","output_index":3,"delta":"{\"y\""}
        {"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":2,"delta":"{\"x\":1}"}
        {"type":"response.custom_tool_call_input.delta","item_id":"ct_1","output_index":4,"delta":"ls \"a\""}
        {"type":"response.function_call_arguments.delta","item_id":"fc_2","output_index":3,"delta":":2}"}
        {"type":"response.output_item.done","output_index":3,"item":{"id":"fc_2","type":"function_call","call_id":"b","name":"g","arguments":"{\"y\":2}"}}
        {"type":"response.output_item.done","output_index":2,"item":{"id":"fc_1","type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1}"}}
        {"type":"response.output_item.done","output_index":4,"item":{"id":"ct_1","type":"custom_tool_call","call_id":"c","name":"shell","input":"ls \"a\""}}
        {"type":"response.completed","response":{"id":"resp_1","object":"response","created_at":5,"model":"x","status":"completed","output":[],"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":16}}}"#,
    ),
    (
        "a refusal, and a full length",
        r#"{"type":"response.created","response":{"id":"resp_1","object":"response","created_at":5,"model":"x","status":"in_progress","output":[]}}
        {"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}}
        {"type":"response.refusal.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"I won't, becau"}
        {"type":"response.output_item.done","output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","status":"incomplete","content":[{"type":"refusal","refusal":"I won't, becau"}]}}
        {"type":"response.incomplete","response":{"id":"resp_1","object":"response","created_at":5,"model":"x","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[],"usage":{"input_tokens":1,"output_tokens":4}}}"#,
    ),
    (
        "a failure behind some text",
        r#"{"type":"response.created","response":{"id":"resp_1","object":"response","created_at":5,"model":"x","status":"in_progress","output":[]}}
        {"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}}
        {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"So far"}
        {"type":"response.failed","response":{"id":"resp_1","object":"response","created_at":5,"model":"x","status":"failed","error":{"code":"rate_limit_exceeded","message":"Slower."},"output":[]}}"#,
    ),
];

const MESSAGES_STREAMS: &[Stream] = &[
    (
        "signed and hidden thoughts, a text, calls with and without arguments, usage that is revised",
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":1}}}
        {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
        {"type":"ping"}
        {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm \ud83e\udd14\n"}}
        {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2lnbmVk"}}
        {"type":"content_block_stop","index":0}
        {"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"aGlkZGVu"}}
        {"type":"content_block_stop","index":1}
        {"type":"content_block_start","index":2,"content_block":{"type":"text","text":"Gr"}}
        {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"üße"}}
        {"type":"content_block_stop","index":2}
        {"type":"content_block_start","index":3,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}
        {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"q\"}"}}
        {"type":"content_block_stop","index":3}
        {"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}
        {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":""}}
        {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{\"x\": \"é"}}
        {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"\\u00e9\"}"}}
        {"type":"content_block_stop","index":4}
        {"type":"content_block_start","index":5,"content_block":{"type":"tool_use","id":"b","name":"g","input":{}}}
        {"type":"content_block_stop","index":5}
        {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":6,"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}}
        {"type":"message_stop"}"#,
    ),
    (
        "a stop sequence",
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}
        {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
        {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"1, 2"}}
        {"type":"content_block_stop","index":0}
        {"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":", 3"},"usage":{"output_tokens":4}}
        {"type":"message_stop"}"#,
    ),
    (
        "a refusal behind some text, with its reason",
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}
        {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
        {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Well, "}}
        {"type":"content_block_stop","index":0}
        {"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"That is dangerous."}},"usage":{"output_tokens":4}}
        {"type":"message_stop"}"#,
    ),
    (
        "an error behind some text",
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}
        {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
        {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"So far"}}
        {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
    ),
];

const GEMINI_STREAMS: &[Stream] = &[
    (
        "a signed thought, text behind the first reason to end, calls, counts that grow",
        r#"{"candidates":[{"content":{"parts":[{"text":"Hm\n","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9},"modelVersion":"x","responseId":"r"}
        {"candidates":[{"content":{"parts":[{"text":"Grüße, ","thoughtSignature":"c2lnbmVk"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"thoughtsTokenCount":3},"modelVersion":"x","responseId":"r"}
        {"candidates":[{"content":{"parts":[{"text":"世界 \ud83d\ude00"}],"role":"model"},"index":0}],"modelVersion":"x","responseId":"r"}
        {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"x":{"y":[1,2.5,null]}}},"thoughtSignature":"Y2FsbGVk"},{"functionCall":{"id":"b","name":"g"}}],"role":"model"},"index":0}],"modelVersion":"x","responseId":"r"}
        {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"thoughtsTokenCount":3,"cachedContentTokenCount":2,"toolUsePromptTokenCount":1},"modelVersion":"x","responseId":"r"}"#,
    ),
    (
        "a prompt that is blocked",
        r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":9},"modelVersion":"x"}"#,
    ),
    (
        "an error behind some text",
        r#"{"candidates":[{"content":{"parts":[{"text":"So far"}],"role":"model"},"index":0}],"modelVersion":"x"}
        {"error":{"code":503,"message":"Later.","status":"UNAVAILABLE"}}"#,
    ),
    (
        "a text that was stopped",
        r#"{"candidates":[{"content":{"parts":[{"text":"So f"}],"role":"model"},"index":0}],"modelVersion":"x"}
        {"candidates":[{"finishReason":"SAFETY","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2}}"#,
    ),
];

const CONVERSE_STREAMS: &[Stream] = &[
    (
        "signed and hidden thoughts, a text, calls that interleave",
        r#"messageStart {"p":"abc","role":"assistant"}
        contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm "}}}
        contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"\ud83e\udd14"}},"p":"ab"}
        contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2lnbmVk"}}}
        contentBlockStop {"contentBlockIndex":0}
        contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"Grüße"}}
        contentBlockStop {"contentBlockIndex":1}
        contentBlockStart {"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"a","name":"f"}}}
        contentBlockStart {"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"b","name":"g","type":"tool_use"}}}
        contentBlockDelta {"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"y\":"}}}
        contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":""}}}
        contentBlockDelta {"contentBlockIndex":3,"delta":{"toolUse":{"input":"2}"}}}
        contentBlockStop {"contentBlockIndex":3}
        contentBlockStop {"contentBlockIndex":2}
        messageStop {"stopReason":"tool_use"}
        metadata {"metrics":{"latencyMs":9},"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":15,"cacheReadInputTokens":4,"cacheWriteInputTokens":3}}"#,
    ),
    (
        "a full length",
        r#"messageStart {"role":"assistant"}
        contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"So f"}}
        contentBlockStop {"contentBlockIndex":0}
        messageStop {"stopReason":"max_tokens"}
        metadata {"usage":{"inputTokens":3,"outputTokens":5,"totalTokens":8}}"#,
    ),
    (
        "an exception behind some text",
        r#"messageStart {"role":"assistant"}
        contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"So far"}}
        throttlingException {"message":"Too many requests."}"#,
    ),
];

type Answer = (Grammar, &'static str, &'static str);

const ANSWERS: &[Answer] = &[
    (
        Grammar::Chat,
        "thoughts, a text in parts, calls of both kinds",
        r#"{"id":"c","object":"chat.completion","created":5,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm "}]},{"type":"text","text":"Grüße \ud83d\ude00"}],"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": [1, \"é\"]}"}},{"id":"b","type":"custom","custom":{"name":"shell","input":"ls \"a\"\n"}},{"id":"c","type":"function","function":{"name":"g","arguments":""}},{"id":"d","type":"function","function":{"name":"h","arguments":"{\"cut"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":4}}}"#,
    ),
    (
        Grammar::Chat,
        "a refusal, and a filter",
        r#"{"id":"c","object":"chat.completion","created":5,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":"I won't."},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":"So f"},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16}}"#,
    ),
    (
        Grammar::Responses,
        "thoughts, texts, a search of its own, a call",
        r#"{"id":"resp_1","object":"response","created_at":5,"model":"x","status":"completed","error":null,"output":[{"id":"rs_1","type":"reasoning","encrypted_content":"c2lnbmVk","summary":[{"type":"summary_text","text":"One"},{"type":"summary_text","text":"Two"}]},{"id":"ws_1","type":"web_search_call","status":"completed"},{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Grüße","annotations":[]},{"type":"output_text","text":" \ud83d\ude00","annotations":[]}]},{"id":"fc_1","type":"function_call","call_id":"a","name":"f","arguments":"{}"}],"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":16}}"#,
    ),
    (
        Grammar::Messages,
        "signed thoughts, a text, a call, a full context",
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"x","content":[{"type":"thinking","thinking":"Hm","signature":"c2lnbmVk"},{"type":"text","text":"Grüße \ud83d\ude00"},{"type":"tool_use","id":"a","name":"f","input":{"x":{"y":[1,2.5,null]}}}],"stop_reason":"model_context_window_exceeded","stop_sequence":null,"usage":{"input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":1},"cache_read_input_tokens":3,"output_tokens":9}}"#,
    ),
    (
        Grammar::Gemini,
        "a signed thought, a text, a call",
        r#"{"candidates":[{"content":{"parts":[{"text":"Hm","thought":true},{"text":"Grüße \ud83d\ude00","thoughtSignature":"c2lnbmVk"},{"functionCall":{"name":"f","args":{"x":1}},"thoughtSignature":"Y2FsbGVk"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"thoughtsTokenCount":3,"totalTokenCount":16},"modelVersion":"x","responseId":"r"}"#,
    ),
    (
        Grammar::Converse,
        "signed thoughts, a text, a call",
        r#"{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"Hm","signature":"c2lnbmVk"}}},{"text":"Grüße \ud83d\ude00"},{"toolUse":{"toolUseId":"a","name":"f","input":{"x":1},"type":"tool_use"}}]}},"stopReason":"tool_use","usage":{"inputTokens":3,"outputTokens":5,"totalTokens":15,"cacheReadInputTokens":4,"cacheWriteInputTokens":3}}"#,
    ),
];
