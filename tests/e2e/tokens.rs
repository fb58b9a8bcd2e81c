//! Access tokens of service accounts, against a scripted source of tokens: what is asked, when it is asked again, what
//! follows when there is none. The account's key is made for each run.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use crate::support::*;

const ANSWER: &str = r#"{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}]}"#;
const ASK_IT: &str = r#"{"model":"vertex/gemini-x","messages":[{"role":"user","content":"hi"}]}"#;

/// A service account with a key of its own.
struct Account {
    pem: String,
    json: String,
    file: PathBuf,
}

impl Drop for Account {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn account(port: u16) -> Account {
    let mut command = Command::new("openssl");
    command.args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let output = command.output().expect("openssl runs");
    let pem = String::from_utf8(output.stdout).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"), "{}", String::from_utf8_lossy(&output.stderr));
    let json = serde_json::json!({
        "type": "service_account",
        "project_id": "of-the-file",
        "private_key_id": "key-1",
        "private_key": pem,
        "client_email": "robot@tests.example",
        "token_uri": format!("http://127.0.0.1:{port}/token"),
    });
    let json = json.to_string();
    Account { file: temp_file(&json), pem, json }
}

/// A source of tokens: its script gives status and body for each question by its number.
fn source(script: impl Fn(usize) -> (u16, String) + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |number, _, stream| {
        let (status, body) = script(number);
        let _ = stream.write_all(&json_answer(status, "", &body));
        After::Close
    })
}

fn token(number: usize, seconds: u32) -> (u16, String) {
    let body = format!(
        r#"{{"access_token":"token-{number}-0123456789","expires_in":{seconds},"token_type":"Bearer"}}"#
    );
    (200, body)
}

fn provider() -> Upstream {
    Upstream::answering(json_answer(200, "", ANSWER), After::KeepAlive)
}

fn gateway(provider: &Upstream, account: &Account) -> Gateway {
    let base = format!("http://127.0.0.1:{}/v1/projects/p/locations/l", provider.port);
    let file = account.file.display().to_string();
    let env = [("VERTEX_CREDENTIALS", file.as_str()), ("VERTEX_BASE_URL", base.as_str())];
    Gateway::start_with("log:\n  level: debug\nserver:\n  shards: 2\n", &env)
}

fn shown(provider: &Upstream) -> Vec<String> {
    provider.requests().iter().map(|seen| seen.header("authorization").unwrap_or_default()).collect()
}

fn unbase64_url(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes() {
        bits = bits << 6 | DIGITS.iter().position(|&digit| digit == byte).expect("a digit") as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

#[test]
fn a_signed_question_gets_the_token_that_requests_show() {
    let (tokens, provider) = (source(|number| token(number, 3600)), provider());
    let account = account(tokens.port);
    let gateway = gateway(&provider, &account);
    for _ in 0..4 {
        let answer = gateway.chat(ASK_IT);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let lines = "content-type: text/plain\r\n";
    let streamed = format!(
        "POST /p/vertex/x HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{lines}content-length: 1\r\n\r\nx"
    );
    assert_eq!(gateway.call(streamed.as_bytes()).status, 200);
    assert_eq!(shown(&provider), vec!["Bearer token-0-0123456789"; 5]);

    let asked = tokens.requests();
    assert_eq!(asked.len(), 1, "one token serves all shards");
    assert!(asked[0].head.starts_with("POST /token HTTP/1.1\r\n"), "{}", asked[0].head);
    assert_eq!(asked[0].header("content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    let body = String::from_utf8(asked[0].body.clone()).unwrap();
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let assertion = body.strip_prefix(grant).expect(&body);
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    let json = |part: &str| serde_json::from_slice::<serde_json::Value>(&unbase64_url(part)).unwrap();
    assert_eq!(json(head), serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"}));
    let claims = json(claims);
    assert_eq!(claims["iss"], "robot@tests.example");
    assert_eq!(claims["aud"], format!("http://127.0.0.1:{}/token", tokens.port));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let issued = claims["iat"].as_u64().unwrap();
    assert!(issued <= now && now - issued < 60 && claims["exp"] == issued + 3600, "{claims}");
    let der = PrivatePkcs8KeyDer::from_pem_slice(account.pem.as_bytes()).unwrap();
    let key = KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref());
    public.verify(signed.as_bytes(), &unbase64_url(signature)).expect("the signature is good");

    let key_line = account.pem.lines().nth(1).unwrap();
    for secret in ["token-0", key_line, assertion] {
        assert!(!gateway.stderr().contains(secret), "{}", gateway.stderr());
    }
}

#[test]
fn a_token_is_replaced_before_its_end() {
    let (tokens, provider) = (source(|number| token(number, 2)), provider());
    let account = account(tokens.port);
    let gateway = gateway(&provider, &account);
    let begun = Instant::now();
    eventually("a third token", || {
        assert_eq!(gateway.chat(ASK_IT).status, 200);
        shown(&provider).last().is_some_and(|shown| shown.starts_with("Bearer token-2-"))
    });
    assert!(begun.elapsed().as_millis() >= 3_000, "a token serves for most of its life");
    assert_eq!(gateway.metric("ringway_token_refreshes_total{provider=\"vertex\",outcome=\"failed\"}"), 0.0);
    assert!(gateway.metric("ringway_token_refreshes_total{provider=\"vertex\",outcome=\"good\"}") >= 3.0);
}

#[test]
fn a_failed_refresh_keeps_the_old_token_until_its_end() {
    let number = Arc::new(AtomicUsize::new(0));
    let copy = number.clone();
    let tokens = source(move |_| match copy.fetch_add(1, Ordering::SeqCst) {
        0 => token(0, 10),
        1..3 => (503, r#"{"error":"temporarily_unavailable","hint":"secret-hint"}"#.to_owned()),
        later => token(later, 3600),
    });
    let provider = provider();
    let account = account(tokens.port);
    let mut gateway = gateway(&provider, &account);
    let line = gateway.wait_for_line("no access token for vertex");
    assert!(line.contains("status 503 temporarily_unavailable; the old one stays in use"), "{line}");
    assert_eq!(gateway.chat(ASK_IT).status, 200);
    assert_eq!(shown(&provider), ["Bearer token-0-0123456789"]);
    // Later tokens come, with requests in between or without.
    eventually("a new token", || {
        assert_eq!(gateway.chat(ASK_IT).status, 200);
        shown(&provider).last().is_some_and(|shown| !shown.starts_with("Bearer token-0-"))
    });
    assert!(gateway.metric("ringway_token_refreshes_total{provider=\"vertex\",outcome=\"failed\"}") >= 2.0);
    for secret in ["token-", "secret-hint", account.pem.lines().nth(1).unwrap()] {
        assert!(!gateway.stderr().contains(secret), "{}", gateway.stderr());
    }
}

#[test]
fn without_any_token_a_request_waits_and_is_told() {
    let tokens = source(|_| (400, r#"{"error":"invalid_grant"}"#.to_owned()));
    let provider = provider();
    let account = account(tokens.port);
    let gateway = gateway(&provider, &account);
    let begun = Instant::now();
    let answer = gateway.chat(ASK_IT);
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "upstream_token_missing"));
    assert!(begun.elapsed().as_millis() >= 2_900, "{:?}", begun.elapsed());
    assert!(
        gateway.stderr().contains("status 400 invalid_grant; requests to it get 503"),
        "{}",
        gateway.stderr()
    );
    assert_eq!(provider.requests().len(), 0);
}

#[test]
fn an_account_may_stand_in_the_settings_and_a_broken_one_stops_the_start() {
    let (tokens, provider) = (source(|number| token(number, 3600)), provider());
    let account = account(tokens.port);
    let json = temp_file(&account.json);
    let settings = |content: &str| {
        format!(
            "providers:\n  vertex:\n    base_url: http://127.0.0.1:{}/v1\n    credentials: '{content}'\n",
            provider.port
        )
    };
    let gateway = Gateway::start_with(&settings(&format!("${{file:{}}}", json.display())), &[]);
    assert_eq!(gateway.chat(ASK_IT).status, 200);
    std::fs::remove_file(json).unwrap();

    let config = temp_file(&settings("{\"type\":\"authorized_user\",\"refresh_token\":\"hidden\"}"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    let output = command.args(["check", "--config"]).arg(&config).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        !output.status.success() && text.contains("the account is of the type `authorized_user`"),
        "{text}"
    );
    assert!(!text.contains("hidden"), "{text}");
    std::fs::remove_file(config).unwrap();
}
