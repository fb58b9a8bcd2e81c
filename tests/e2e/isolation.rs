//! Two tenants at one gateway and one account of a provider: what one of them makes is not there for the other, by whatever
//! path it is asked for, and lists hold one's own.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::admin::{admin, code, make_key};
use crate::support::*;

/// What a provider keeps: collection, id and the object, oldest first.
type Kept = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A provider of OpenAI's and Anthropic's files and batches, and of responses and conversations that it keeps. Lists have
/// two objects a page.
fn provider() -> Upstream {
    let kept = Kept::default();
    Upstream::start(move |_, seen, stream| {
        let target = seen.head.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let method = seen.head.split(' ').next().unwrap_or_default();
        let answer = answer_to(&kept, method, &parts, query, &seen.body);
        let _ = stream.write_all(&answer);
        After::KeepAlive
    })
}

fn answer_to(kept: &Kept, method: &str, parts: &[&str], query: &str, body: &[u8]) -> Vec<u8> {
    let mut kept = kept.lock().unwrap();
    let of_messages = parts.starts_with(&["messages", "batches"]);
    let parts = if of_messages { &parts[1..] } else { parts };
    let number = kept.len() + 1;
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let find = |id: &str| kept.iter().find(|(_, own, _)| own == id).map(|(.., object)| object.clone());
    let answer = match (method, parts) {
        ("POST", ["files"]) => json!({"id": format!("file-{number}"), "object": "file"}),
        ("POST", ["batches"]) => json!({
            "id": format!("batch_{number}"), "object": "batch", "input_file_id": asked["input_file_id"],
            "output_file_id": format!("file-out-{number}"),
        }),
        ("POST", ["responses"]) => json!({
            "id": format!("resp_{number}"), "object": "response", "status": "completed",
            "output": [{"type": "message", "id": format!("msg_{number}"), "role": "assistant", "content": []}],
        }),
        ("POST", ["vector_stores"]) => json!({"id": format!("vs_{number}"), "object": "vector_store"}),
        ("POST", ["containers"]) => json!({"id": format!("cntr_{number}"), "object": "container"}),
        ("POST", ["conversations"]) => json!({"id": format!("conv_{number}"), "object": "conversation"}),
        ("GET", ["files" | "batches"]) => return json_answer(200, "", &page(&kept, parts[0], query)),
        ("POST", ["chat", "completions"]) => return json_answer(200, "", CHAT),
        ("POST", ["responses", "compact"]) => json!({"object": "response.compaction"}),
        ("GET", ["fine_tuning", ..]) => json!({"data": []}),
        (_, [_, id, ..]) => match find(id) {
            Some(object) => return json_answer(200, "", &object.to_string()),
            None => return json_answer(404, "", r#"{"error":{"message":"none","code":"gone"}}"#),
        },
        _ => return json_answer(404, "", r#"{"error":{"message":"what?","code":"what"}}"#),
    };
    if let Some(id) = answer["id"].as_str() {
        kept.push((parts[0].to_owned(), id.to_owned(), answer.clone()));
    }
    if asked["stream"] == true {
        let event =
            |kind: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"response\":{answer}}}\n\n");
        let events = event("response.created") + &event("response.completed");
        return stream_answer(events.as_bytes(), &[7, 100]);
    }
    json_answer(200, "", &answer.to_string())
}

fn page(kept: &[(String, String, Value)], collection: &str, query: &str) -> String {
    let after =
        query.split('&').find_map(|pair| pair.strip_prefix("after=").or(pair.strip_prefix("after_id=")));
    let all: Vec<&Value> =
        kept.iter().filter(|(name, ..)| name == collection).map(|(.., object)| object).collect();
    let start = after.map_or(0, |id| all.iter().position(|object| object["id"] == id).map_or(0, |at| at + 1));
    let some: Vec<&Value> = all[start..].iter().take(2).copied().collect();
    let id = |object: Option<&&Value>| object.map(|object| object["id"].clone());
    let has_more = start + some.len() < all.len();
    json!({"object": "list", "data": some, "first_id": id(some.first()), "last_id": id(some.last()), "has_more": has_more})
        .to_string()
}

fn start(data: &Path, upstream: &Upstream, settings: &str) -> Gateway {
    let at = |kind: &str| {
        format!(
            "{{type: {kind}, base_url: 'http://127.0.0.1:{}/v1', api_key: {UPSTREAM_KEY}}}",
            upstream.port
        )
    };
    let (openai, anthropic, chat) = (at("openai"), at("anthropic"), at("cerebras"));
    let config = temp_file(&format!(
        "models: {{default_provider: up}}\nserver: {{shards: 2}}\n\
         providers:\n  up: {openai}\n  ant: {anthropic}\n  chat: {chat}\n{settings}"
    ));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["serve", "--config"]).arg(&config).env("RINGWAY_SERVER_LISTEN", "127.0.0.1:0");
    command.env("RINGWAY_MASTER_KEY", KEY).env("RINGWAY_DATA_DIR", data);
    Gateway::from(command, config)
}

/// One request with this key, on a connection of its own; status and JSON.
fn ask(gateway: &Gateway, key: &str, method: &str, target: &str, lines: &str, body: &str) -> (u16, Value) {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{lines}content-length: {}\r\n\r\n",
        body.len()
    );
    let answer = gateway.call((head + body).as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

fn send(gateway: &Gateway, key: &str, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    ask(gateway, key, method, target, "content-type: application/json\r\n", &body)
}

fn upload(gateway: &Gateway, key: &str, purpose: &str, file: &str) -> (u16, Value) {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--b\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n{file}\r\n--b--\r\n"
    );
    ask(
        gateway,
        key,
        "POST",
        "/v1/files?provider=up",
        "content-type: multipart/form-data; boundary=b\r\n",
        &body,
    )
}

fn made(answer: (u16, Value)) -> String {
    assert_eq!(answer.0, 200, "{}", answer.1);
    answer.1["id"].as_str().expect("an id").to_owned()
}

/// The objects of one tenant.
struct Things {
    file: String,
    batch: String,
    messages: String,
    response: String,
    streamed: String,
    item: String,
    conversation: String,
}

fn make_things(gateway: &Gateway, key: &str) -> Things {
    let file = made(upload(gateway, key, "user_data", "data"));
    let batch =
        json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let batch = made(send(gateway, key, "POST", "/v1/batches", &batch));
    let messages = json!({"requests": [{"custom_id": "1", "params": {"model": "m", "messages": []}}]});
    let messages = made(send(gateway, key, "POST", "/v1/messages/batches?provider=ant", &messages));
    let (status, response) =
        send(gateway, key, "POST", "/v1/responses", &json!({"model": "up/m", "input": "x"}));
    assert_eq!(status, 200, "{response}");
    let stream = json!({"model": "up/m", "input": "x", "stream": true}).to_string();
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{stream}",
        stream.len()
    );
    let text = gateway.call(head.as_bytes()).text();
    let streamed =
        text.split("\"id\":\"resp_").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
    Things {
        file,
        batch,
        messages,
        item: response["output"][0]["id"].as_str().expect("an item").to_owned(),
        response: response["id"].as_str().expect("an id").to_owned(),
        streamed: format!("resp_{streamed}"),
        conversation: made(send(gateway, key, "POST", "/v1/conversations", &json!({}))),
    }
}

/// Every way to ask for them, but for those that take them away.
fn questions(things: &Things) -> Vec<(&'static str, String, Value)> {
    let Things { file, batch, messages, response, streamed, item, conversation } = things;
    let get = |target: String| ("GET", target, Value::Null);
    let respond = |mut body: Value| {
        body["model"] = json!("up/m");
        ("POST", "/v1/responses".to_owned(), body)
    };
    let bare = |id: &str| id.split('~').next().unwrap_or_default().to_owned();
    let content = json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": file}}]}]);
    let bare_content =
        json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": bare(file)}}]}]);
    vec![
        get(format!("/v1/files/{file}")),
        get(format!("/v1/files/{}", file.replace('~', "%7E"))),
        get(format!("/v1/files/{}?provider=up", bare(file))),
        get(format!("/v1/files/{}", bare(file))),
        get(format!("/v1/files/{file}/content")),
        get(format!("/v1/batches/{batch}")),
        ("POST", format!("/v1/batches/{batch}/cancel"), Value::Null),
        get(format!("/v1/messages/batches/{messages}")),
        get(format!("/v1/messages/batches/{messages}/results")),
        ("POST", format!("/v1/messages/batches/{messages}/cancel"), Value::Null),
        get(format!("/v1/responses/{response}")),
        get(format!("/v1/responses/{streamed}")),
        get(format!("/v1/responses/{response}?provider=up")),
        get(format!("/v1/responses/{response}/input_items")),
        ("POST", format!("/v1/responses/{response}/cancel"), Value::Null),
        get(format!("/v1/conversations/{conversation}")),
        get(format!("/v1/conversations/{conversation}/items")),
        ("POST", format!("/v1/conversations/{conversation}/items"), json!({"items": []})),
        respond(json!({"input": "y", "previous_response_id": response})),
        respond(json!({"input": "y", "stream": true, "previous_response_id": streamed})),
        respond(json!({"input": "y", "conversation": conversation})),
        respond(json!({"input": "y", "conversation": {"id": conversation}})),
        respond(json!({"input": [{"type": "item_reference", "id": item}]})),
        respond(json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]})),
        ("POST", "/v1/responses/compact?provider=up".to_owned(), json!({"previous_response_id": response})),
        ("POST", "/v1/chat/completions".to_owned(), json!({"model": "up/m", "messages": content})),
        ("POST", "/v1/chat/completions".to_owned(), json!({"model": "up/m", "messages": bare_content})),
        ("POST", "/v1/batches".to_owned(), json!({"input_file_id": file, "endpoint": "/v1/responses"})),
        (
            "POST",
            "/v1/batches?provider=up".to_owned(),
            json!({"input_file_id": bare(file), "endpoint": "/v1/responses"}),
        ),
    ]
}

fn check_all(gateway: &Gateway, key: &str, things: &Things, is_own: bool) {
    for (method, target, body) in questions(things) {
        let (status, answer) = send(gateway, key, method, &target, &body);
        let is_found = (200..300).contains(&status);
        assert_eq!(is_found, is_own, "{method} {target} {body}: {status} {answer}");
        // OpenAI's own status for the one of them.
        let is_missing = status == 404 || (status == 400 && code(&answer) == "previous_response_not_found");
        assert!(is_own || is_missing, "{method} {target}: {status} {answer}");
    }
}

fn listed(gateway: &Gateway, key: &str, target: &str) -> Vec<String> {
    let (status, answer) = send(gateway, key, "GET", target, &Value::Null);
    assert_eq!(status, 200, "{target}: {answer}");
    let ids =
        answer["data"].as_array().expect("a list").iter().map(|object| object["id"].as_str().expect("an id"));
    ids.map(str::to_owned).collect()
}

#[test]
fn a_tenants_objects_are_there_for_its_keys_and_the_operator_and_for_nobody_else() {
    let (data, upstream) = (TempFolder::new(), provider());
    let mut gateway = start(&data.0, &upstream, "");
    let key = |name: &str, path: Option<&str>| make_key(&gateway, json!({"name": name, "user_path": path})).1;
    let (one, same, two, alone) = (
        key("one", Some("/team/a")),
        key("same", Some("/team/a")),
        key("two", Some("/team/b")),
        key("alone", None),
    );
    let things = make_things(&gateway, &one);
    let others = [make_things(&gateway, &two), make_things(&gateway, &alone), make_things(&gateway, KEY)];
    for round in 0..2 {
        for key in [&one, &same, KEY] {
            check_all(&gateway, key, &things, true);
        }
        for key in [&two, &alone] {
            check_all(&gateway, key, &things, false);
        }
        others.iter().for_each(|others| check_all(&gateway, &one, others, false));
        if round == 0 {
            // What the process knew by itself is gone with it.
            gateway.signal(9);
            gateway.child.wait().expect("its end");
            gateway = start(&data.0, &upstream, "");
        }
    }
    assert_eq!(send(&gateway, &two, "DELETE", &format!("/v1/files/{}", things.file), &Value::Null).0, 404);
    assert_eq!(
        send(&gateway, &two, "DELETE", &format!("/v1/responses/{}", things.response), &Value::Null).0,
        404
    );
    assert_eq!(send(&gateway, &one, "DELETE", &format!("/v1/files/{}", things.file), &Value::Null).0, 200);
    let asked = upstream.requests().iter().filter(|seen| seen.head.starts_with("DELETE")).count();
    assert_eq!(asked, 1, "the provider hears nothing of what is refused");
}

#[test]
fn lists_hold_ones_own_whatever_lies_between() {
    let (data, upstream) = (TempFolder::new(), provider());
    let gateway = start(&data.0, &upstream, "");
    let key = |path: &str| make_key(&gateway, json!({"name": path, "user_path": path})).1;
    let (one, two, none) = (key("/team/a"), key("/team/b"), key("/team/c"));
    let mut own = Vec::new();
    for number in 0..9 {
        let id = made(upload(&gateway, if number % 4 == 3 { &one } else { &two }, "user_data", "data"));
        if number % 4 == 3 {
            own.push(id);
        }
    }
    assert_eq!(listed(&gateway, &one, "/v1/files?provider=up"), own);
    assert_eq!(listed(&gateway, &one, "/v1/files?provider=up&limit=1"), own[..1]);
    assert_eq!(listed(&gateway, &one, &format!("/v1/files?limit=9&after={}", own[0])), own[1..]);
    assert_eq!(listed(&gateway, &two, "/v1/files?provider=up&limit=100").len(), 7);
    assert_eq!(listed(&gateway, &none, "/v1/files?provider=up"), [""; 0]);
    assert_eq!(
        listed(&gateway, KEY, "/v1/files?provider=up").len(),
        2,
        "the operator gets the provider's own page"
    );
    let batch = |key: &str| {
        let body = json!({"requests": [{"custom_id": "1", "params": {"model": "m", "messages": []}}]});
        made(send(&gateway, key, "POST", "/v1/messages/batches?provider=ant", &body))
    };
    let (_, mine, _) = (batch(&two), batch(&one), batch(&two));
    assert_eq!(listed(&gateway, &one, "/v1/messages/batches?provider=ant"), [mine]);
}

#[test]
fn a_batch_may_not_speak_of_anothers_file_in_its_lines() {
    let (data, upstream) = (TempFolder::new(), provider());
    let gateway = start(&data.0, &upstream, "");
    let key = |path: &str| make_key(&gateway, json!({"name": path, "user_path": path})).1;
    let (one, two) = (key("/team/a"), key("/team/b"));
    let file = made(upload(&gateway, &one, "user_data", "data"));
    let (_, response) =
        send(&gateway, &one, "POST", "/v1/responses", &json!({"model": "up/m", "input": "x"}));
    let line = |body: Value| {
        json!({"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": body}).to_string() + "\n"
    };
    let lines = [
        line(json!({"model": "m", "input": [{"content": [{"type": "input_file", "file_id": file}]}]})),
        line(json!({"model": "m", "input": "x", "previous_response_id": response["id"]})),
    ];
    // Behind what is looked at before the body streams.
    let long = line(json!({"model": "m", "input": "x".repeat(200_000)}));
    for lines in [lines[0].clone(), lines[1].clone(), long.clone() + &lines[0], long + &lines[1]] {
        assert_eq!(upload(&gateway, &one, "batch", &lines).0, 200);
        let (status, answer) = upload(&gateway, &two, "batch", &lines);
        assert!(matches!(status, 400 | 404), "{status} {answer}");
    }
}

#[test]
fn paths_that_show_everybodys_objects_take_a_key_that_is_trusted_with_them() {
    let (data, upstream) = (TempFolder::new(), provider());
    let gateway = start(&data.0, &upstream, "");
    let usual = make_key(&gateway, json!({"name": "usual"})).1;
    let trusted = make_key(&gateway, json!({"name": "trusted", "endpoints": ["other"]})).1;
    for (method, target) in [
        ("GET", "/p/up/files"),
        ("POST", "/p/up/chat/completions"),
        ("GET", "/v1/fine_tuning/jobs"),
        ("POST", "/v1/assistants"),
        ("GET", "/v1/vector_stores"),
        ("GET", "/v1/containers"),
        ("GET", "/v1//files"),
    ] {
        let (status, answer) = send(&gateway, &usual, method, target, &json!({}));
        assert_eq!((status, code(&answer)), (403, "endpoint_access_denied"), "{method} {target}: {answer}");
    }
    for target in ["/p/up/files", "/v1/fine_tuning/jobs"] {
        assert_eq!(send(&gateway, &trusted, "GET", target, &Value::Null).0, 200, "{target}");
    }
    let (status, answer) = send(&gateway, &usual, "GET", "/v1/conversations", &Value::Null);
    assert_eq!((status, code(&answer)), (404, "unknown_url"), "{answer}");
}

#[test]
fn vector_stores_containers_and_prompts_are_their_makers_in_paths_and_bodies() {
    let (data, upstream) = (TempFolder::new(), provider());
    let gateway = start(&data.0, &upstream, "");
    let usual = |name: &str| make_key(&gateway, json!({"name": name})).1;
    let (one, two) = (usual("one"), usual("two"));
    let trusted = make_key(&gateway, json!({"name": "trusted", "endpoints": ["other", "responses"]})).1;
    let store = made(send(&gateway, &one, "POST", "/v1/vector_stores", &json!({"name": "mine"})));
    let container = made(send(&gateway, &one, "POST", "/v1/containers", &json!({"name": "mine"})));
    for path in [
        format!("/v1/vector_stores/{store}"),
        format!("/v1/vector_stores/{store}/files"),
        format!("/v1/containers/{container}"),
        format!("/v1/containers/{container}/files/x/content"),
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let asked = |key: &str| send(&gateway, key, method, &path, &Value::Null);
            assert_eq!(asked(&one).0, 200, "{method} {path}");
            for key in [&two, &trusted] {
                let (status, answer) = asked(key);
                assert_eq!((status, code(&answer)), (404, "not_found"), "{method} {path}: {answer}");
            }
        }
    }
    let before = upstream.requests().len();
    for (members, want) in [
        (json!({"tools": [{"type": "file_search", "vector_store_ids": [store]}]}), [200, 404, 404, 200]),
        (json!({"tools": [{"type": "code_interpreter", "container": container}]}), [200, 404, 404, 200]),
        // What the operator has made at the provider is for all.
        (json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs_operator"]}]}), [200; 4]),
        (json!({"prompt": {"id": "pmpt_1"}}), [200; 4]),
    ] {
        let mut body = json!({"model": "up/m", "input": "x"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let asked = |key: &str| send(&gateway, key, "POST", "/v1/responses", &body).0;
        assert_eq!([&*one, &*two, &*trusted, KEY].map(asked), want, "{members}");
    }
    let asked_for = upstream.requests().len() - before;
    assert_eq!(asked_for, 12, "nothing of another's reaches the provider");
    // The operator's own is changed by those who are trusted with it.
    for (key, want) in [(&two, 404), (&trusted, 404), (&KEY.to_owned(), 404)] {
        let status = send(&gateway, key, "DELETE", "/v1/vector_stores/vs_operator", &Value::Null).0;
        assert_eq!(status, want, "the provider of this test has none");
    }
    let reached = upstream.requests().into_iter().filter(|seen| seen.head.contains("vs_operator")).count();
    assert_eq!(reached, 2, "only the trusted key and the operator get that far");
}

#[test]
fn what_the_gateway_keeps_is_the_tenants_whichever_key_and_secret_it_shows() {
    let (data, upstream) = (TempFolder::new(), provider());
    let gateway = start(&data.0, &upstream, "");
    let (id, one) = make_key(&gateway, json!({"name": "one"}));
    let two = make_key(&gateway, json!({"name": "two"})).1;
    let (status, first) =
        send(&gateway, &one, "POST", "/v1/responses", &json!({"model": "chat/m", "input": "x"}));
    assert_eq!(status, 200, "{first}");
    let target = format!("/v1/responses/{}?x=1", first["id"].as_str().expect("an id"));
    let renewed = admin(&gateway, "POST", &format!("/auth-keys/{id}/rotate"), json!({}));
    let renewed = renewed["value"].as_str().expect("a key").to_owned();
    for (key, want) in [(&renewed, 200), (&two, 404)] {
        let follow = json!({"model": "chat/m", "input": "y", "previous_response_id": first["id"]});
        let want_follow = if want == 200 { 200 } else { 400 };
        assert_eq!(send(&gateway, key, "POST", "/v1/responses", &follow).0, want_follow);
        assert_eq!(send(&gateway, key, "GET", &target, &Value::Null).0, want);
    }
}

#[test]
fn usage_and_audit_show_a_tenant_its_own() {
    let (data, upstream) = (TempFolder::new(), provider());
    let gateway = start(&data.0, &upstream, "");
    let key = |path: &str, more: Value| {
        let mut fields = json!({"name": path, "user_path": path});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        make_key(&gateway, fields).1
    };
    let (one, two) = (key("/team/a", json!({})), key("/team/b", json!({})));
    for _ in 0..3 {
        let (status, answer) =
            send(&gateway, &one, "POST", "/v1/chat/completions", &json!({"model": "up/m", "messages": []}));
        assert_eq!(status, 200, "{answer}");
    }
    let used = |key: &str| send(&gateway, key, "GET", "/v1/usage", &Value::Null).1.to_string();
    eventually("its own usage", || used(&one).contains("\"requests\":3"));
    assert!(!used(&two).contains("\"requests\":3") && !used(&two).contains("/team/a"), "{}", used(&two));
    for path in ["/audit/log", "/usage/log", "/usage/summary"] {
        let (status, answer) = crate::admin::call(&gateway, &two, "GET", path, None);
        assert!(matches!(status, 401 | 403), "{path}: {status} {answer}");
    }
}

#[test]
fn a_tenants_response_that_states_no_usage_is_estimated() {
    const SAID: &str = "The quick brown fox jumps over the lazy dog.";
    let data = TempFolder::new();
    let part = json!({"type": "output_text", "text": SAID, "annotations": []});
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [part]});
    let answer = json!({"id": "resp_1", "object": "response", "status": "completed", "output": [message]});
    let upstream = Upstream::answering(json_answer(200, "", &answer.to_string()), After::KeepAlive);
    let gateway = start(&data.0, &upstream, "");
    let key = make_key(&gateway, json!({"name": "one"})).1;
    let body = json!({"model": "up/m", "input": "x"});
    assert_eq!(send(&gateway, &key, "POST", "/v1/responses", &body).0, 200);
    let sql = "SELECT usage_source, output_total FROM ringway_usage";
    eventually("its row", || {
        crate::admin::call(&gateway, KEY, "GET", "/usage/summary", None).1["requests"] == 1
    });
    let said = ringway::dialect::estimate::tokens_of(SAID);
    let want = vec!["Text(\"estimated\")".to_owned(), format!("Integer({said})")];
    assert_eq!(crate::admin::rows(&data.0, sql), [want]);
}
