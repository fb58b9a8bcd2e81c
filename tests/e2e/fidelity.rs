//! Bytes that need no change are not changed: requests to the upstream, answers to the client.

use std::io::Write;

use crate::support::*;

/// Bodies in pieces around the model: `{M}` stands for the model's text, which is the only thing that may change.
fn bodies() -> Vec<String> {
    let mut bodies: Vec<String> = [
        r#"{"model":"{M}","messages":[]}"#,
        r#"{"messages":[],"model":"{M}"}"#,
        r#"{ "model" : "{M}" , "messages" : [ ] }"#,
        "{\n\t\"model\":\t\"{M}\",\r\n\"messages\":[]\n}",
        "  {\"model\":\"{M}\",\"messages\":[]}  \n",
        r#"{"model":"{M}","temperature":1.0}"#,
        r#"{"model":"{M}","temperature":1e0}"#,
        r#"{"model":"{M}","temperature":1E+00}"#,
        r#"{"model":"{M}","temperature":0.10000000000000000000000001}"#,
        r#"{"model":"{M}","seed":123456789012345678901234567890}"#,
        r#"{"model":"{M}","seed":-0}"#,
        r#"{"model":"{M}","x":1e400}"#,
        r#"{"model":"{M}","x":-1.5E-300}"#,
        r#"{"model":"{M}","unknown_field":{"a":[1,{"b":null}]}}"#,
        r#"{"zzz":1,"aaa":2,"model":"{M}","mmm":3}"#,
        r#"{"model":"{M}","":"empty key"}"#,
        r#"{"model":"{M}","k e y":1,"k\te\ty":2}"#,
        r#"{"model":"{M}","a\"b":1}"#,
        r#"{"model":"{M}","text":"\u00e9\u0041\/\b\f\n\r\t\"\\"}"#,
        r#"{"model":"{M}","text":"é漢字😀\ud83d\ude00"}"#,
        r#"{"model":"{M}","text":"\ud800 lone"}"#,
        r#"{"model":"{M}","text":"\u0000"}"#,
        r#"{"model":"{M}","text":"</script>&amp;'"}"#,
        r#"{"model":"{M}","text":"data: [DONE]\n\n"}"#,
        r#"{"model":"{M}","text":"{\"model\":\"other\"}"}"#,
        r#"{"nested":{"model":"other/x"},"model":"{M}"}"#,
        r#"{"model":"{M}","nested":{"model":"a","model":"b"}}"#,
        r#"{"model":"{M}","n":null,"t":true,"f":false}"#,
        r#"{"model":"{M}","empty":{},"list":[],"deep":[[[[[]]]]]}"#,
        r#"{"model":"{M}","stream":false}"#,
        r#"{"model":"{M}","stream":null}"#,
        r#"{"model":"{M}","stream_options":{"include_usage":false}}"#,
        r#"{"model":"{M}","stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"model":"{M}","stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
        r#"{"model":"{M}","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}"#,
        r#"{"model":"{M}","tool_choice":"required"}"#,
        r#"{"model":"{M}","max_tokens":7,"max_completion_tokens":8}"#,
        r#"{"model":"{M}","logit_bias":{"50256":-100}}"#,
        r#"{"model":"{M}","metadata":{"user_id":"a"},"user":"u"}"#,
        r#"{"model":"{M}","cache_control":{"type":"ephemeral"}}"#,
        r#"{"model":"{M}","stop":["\n",""]}"#,
        r#"{"model":"{M}","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}}}"#,
        r#"{"model":"{M}","audio":{"data":"AAAA////++++=="}}"#,
        r#"{"MODEL":"x","model":"{M}","Model":"y"}"#,
        r#"{"mod\u0065l2":"x","model":"{M}"}"#,
    ]
    .iter()
    .map(|body| (*body).to_owned())
    .collect();
    for depth in [10, 40, 60] {
        bodies.push(format!(r#"{{"model":"{{M}}","deep":{}0{}}}"#, "[".repeat(depth), "]".repeat(depth)));
        bodies.push(format!(
            r#"{{"deep":{}0{},"model":"{{M}}"}}"#,
            "{\"a\":".repeat(depth),
            "}".repeat(depth)
        ));
    }
    for size in [15, 16, 17, 31, 32, 33, 1000, 16_300, 16_384, 65_536, 1 << 20] {
        bodies.push(format!(
            r#"{{"model":"{{M}}","messages":[{{"role":"user","content":"{}"}}]}}"#,
            "a\\n".repeat(size / 3)
        ));
        bodies.push(format!(r#"{{"text":"{}","model":"{{M}}"}}"#, "é".repeat(size / 2)));
    }
    bodies
}

#[test]
fn requests_reach_the_upstream_byte_for_byte_but_for_the_model() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    let bodies = bodies();
    assert!(bodies.len() >= 60, "{} bodies", bodies.len());
    let mut link = gateway.connect();
    for (turn, body) in bodies.iter().enumerate() {
        for (sent, wanted) in [("up/m", "m"), ("m", "m"), ("up/org/n", "org/n"), ("org/n", "org/n")] {
            let (sent, wanted) = (body.replace("{M}", sent), body.replace("{M}", wanted));
            if turn % 2 == 0 {
                link.send(&post("/v1/chat/completions", &sent));
            } else {
                send_in_chunks(&mut link, sent.as_bytes(), 1 + turn * 37);
            }
            let answer = link.answer(false);
            assert_eq!(answer.status, 200, "{sent:.200}: {}", answer.text());
            assert_eq!(answer.text(), CHAT);
            let got = upstream.requests().pop().expect("a request").body;
            assert!(
                got == wanted.as_bytes(),
                "{wanted:.200}\nbecame\n{:.200}",
                String::from_utf8_lossy(&got)
            );
        }
        upstream.seen.lock().unwrap().clear();
    }
}

fn send_in_chunks(link: &mut Link, body: &[u8], size: usize) {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    link.send(head.as_bytes());
    for piece in body.chunks(size) {
        link.send(&[format!("{:X};a=b\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    link.send(b"0\r\nx: y\r\n\r\n");
}

#[test]
fn a_request_cut_anywhere_arrives_the_same() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    let request = post("/v1/chat/completions", ASK);
    let mut link = gateway.connect();
    for cut in (0..request.len()).step_by(7) {
        link.send(&request[..cut]);
        link.send(&request[cut..]);
        assert_eq!(link.answer(false).text(), CHAT, "cut at {cut}");
    }
    let want = ASK.replace("up/m", "m");
    assert!(upstream.requests().iter().all(|seen| seen.body == want.as_bytes()));
}

#[test]
fn escaped_spellings_of_the_model_are_understood() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    assert_eq!(gateway.chat(r#"{"mod\u0065l":"up\/m"}"#).status, 200);
    assert_eq!(upstream.requests()[0].body, br#"{"mod\u0065l":"m"}"#);
}

#[test]
fn a_key_that_stands_twice_is_refused_with_its_name() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "");
    for body in
        [r#"{"model":"up/m","model":"up/n"}"#, r#"{"model":"up/m","stream":true,"str\u0065am":false}"#]
    {
        let answer = gateway.chat(body);
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "duplicate_key"), "{body}");
        assert!(answer.text().contains("\"param\":\""));
    }
    assert!(upstream.requests().is_empty());
}

/// Streams to replay: one of our own and, where they stand beside the project, the recordings.
fn streams() -> Vec<Vec<u8>> {
    let folder = format!("{}/../shared/fixtures", env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(format!("{folder}/manifest.jsonl")).unwrap_or_default();
    let entries = manifest.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let recorded = entries.filter(|entry| entry["format"] == "sse-or-raw" && entry["streaming"] == true);
    let recorded =
        recorded.filter_map(|entry| std::fs::read(format!("{folder}/{}", entry["file"].as_str()?)).ok());
    let own = [STREAM.as_bytes().to_vec(), STREAM.replace('\n', "\r\n").into_bytes()];
    own.into_iter().chain(recorded.filter(|stream| !stream.is_empty()).take(120)).collect()
}

#[test]
fn streams_reach_the_client_byte_for_byte_however_they_are_cut() {
    let streams = streams();
    let (index, all) = (std::sync::atomic::AtomicUsize::new(0), streams.clone());
    let upstream = Upstream::start(move |number, _, stream| {
        let body = &all[index.fetch_add(1, std::sync::atomic::Ordering::SeqCst) / 3 % all.len()];
        let sizes: &[usize] = [&[1 << 20][..], &[1, 7, 64], &[333]][number % 3];
        let bytes = stream_answer(body, if body.len() > 20_000 { &[5000] } else { sizes });
        for piece in bytes.chunks(if number % 3 == 1 { 97 } else { 1 << 20 }) {
            let _ = stream.write_all(piece);
        }
        After::KeepAlive
    });
    // Recordings of other dialects pass on an unknown path, where no end of chat is expected of them.
    let gateway = Gateway::start(upstream.port, "");
    for (turn, want) in streams.iter().enumerate() {
        for _ in 0..3 {
            let answer = gateway.call(&post("/v1/other/stream", ASK_STREAM));
            assert!(answer.is_whole && answer.status == 200, "stream {turn}: {}", answer.head);
            assert!(answer.body == *want, "stream {turn}: {:.300}", answer.text());
        }
    }
}

#[test]
fn answers_of_every_framing_come_back_as_they_were() {
    let large = format!(r#"{{"data":"{}"}}"#, "x".repeat(300_000));
    for body in [CHAT, &large] {
        let chunked = String::from_utf8(stream_answer(body.as_bytes(), &[1000, 3])).unwrap();
        let chunked = chunked.replace("text/event-stream", "application/json");
        let until_close = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{body}");
        let length = String::from_utf8(json_answer(200, "", body)).unwrap();
        for (bytes, after) in
            [(length, After::KeepAlive), (chunked, After::KeepAlive), (until_close, After::Close)]
        {
            let upstream = Upstream::answering(bytes, after);
            let gateway = Gateway::start(upstream.port, "");
            let answer = gateway.chat(ASK);
            assert!(answer.is_whole && answer.text() == body);
        }
    }
}

#[test]
fn the_extra_usage_event_is_seen_only_by_a_client_that_asked() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n";
    let body = STREAM.replace("data: [DONE]", &format!("{usage}data: [DONE]"));
    for sizes in [&[1][..], &[40], &[100_000]] {
        let upstream = Upstream::answering(stream_answer(body.as_bytes(), sizes), After::KeepAlive);
        let gateway = Gateway::start(upstream.port, "");
        eventually("the list of models", || gateway.call(&get("/v1/models/m")).status == 200);
        assert_eq!(gateway.chat(ASK_STREAM).text(), STREAM);
        let asked = ASK_STREAM.replace("true", "true,\"stream_options\":{\"include_usage\":true}");
        assert_eq!(gateway.chat(&asked).text(), body);
        let seen = upstream.requests();
        let want = r#"{"model":"m","stream":true,"messages":[],"stream_options":{"include_usage":true}}"#;
        assert_eq!(String::from_utf8_lossy(&seen[0].body), want);
        assert_eq!(gateway.metric(r#"ringway_tokens_total{provider="up",model="m",kind="in"}"#), 6.0);
        assert_eq!(gateway.metric(r#"ringway_tokens_total{provider="up",model="m",kind="out"}"#), 8.0);
    }
}
