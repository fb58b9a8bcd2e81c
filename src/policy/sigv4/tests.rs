//! Signatures: examples that were worked out by another program (Python's `hmac` and `hashlib`), those of AWS's own
//! library where they stand beside the project, and the calendar.

use super::*;

struct Example {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    token: Option<&'static str>,
    region: &'static str,
    date: &'static str,
    time_s: u64,
    signed: &'static str,
    signature: &'static str,
}

const FRANKFURT: &[(&str, &str)] =
    &[("host", "bedrock-runtime.eu-central-1.amazonaws.com"), ("content-type", "application/json")];

const EXAMPLES: &[Example] = &[
    Example {
        method: "POST",
        path: "/model/eu.vendor.model-v1%3A0/converse",
        query: "",
        headers: FRANKFURT,
        body: r#"{"messages":[]}"#,
        token: None,
        region: "eu-central-1",
        date: "20260228T235959Z",
        time_s: 1_772_323_199,
        signed: "content-type;host;x-amz-date",
        signature: "65baacdaf264e5a842ddd97bf59b54268731f8bc77927e35fc98a0be0db9350f",
    },
    Example {
        method: "POST",
        path: "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A000000000000%3Ainference-profile%2Fm/converse-stream",
        query: "",
        headers: FRANKFURT,
        body: r#"{"text":"Grüße"}"#,
        token: None,
        region: "eu-central-1",
        date: "20240229T000000Z",
        time_s: 1_709_164_800,
        signed: "content-type;host;x-amz-date",
        signature: "4344d1188e46a056e1a240fbbb15a9c2d2cb20910ab768e30600eae0f612c90f",
    },
    Example {
        method: "POST",
        path: "/model/m/invoke",
        query: "",
        headers: &[("host", "bedrock-runtime.us-west-2.amazonaws.com"), ("content-type", "application/json")],
        body: "",
        token: Some("tok/en+with=signs=="),
        region: "us-west-2",
        date: "19700101T000000Z",
        time_s: 0,
        signed: "content-type;host;x-amz-date;x-amz-security-token",
        signature: "dc988bb6dbe1ab53037a4ac61458ea9721bb552fbc17dcd4d1dfc1fb42d95c4f",
    },
    Example {
        method: "GET",
        path: "/foundation-models",
        query: "a=1&b%3ac=&Z=+&a=%20b",
        headers: &[("host", "bedrock.us-east-1.amazonaws.com")],
        body: "",
        token: None,
        region: "us-east-1",
        date: "20991231T120001Z",
        time_s: 4_102_401_601,
        signed: "host;x-amz-date",
        signature: "e09228bd623c8f094fb82f449088a061cf25e87b656104954995abcc44b7f955",
    },
    Example {
        method: "POST",
        path: "/m%20x/~y",
        query: "",
        headers: &[("x-custom", "1"), ("host", "h"), ("accept", "  a   b ")],
        body: "x",
        token: None,
        region: "r",
        date: "20000301T010203Z",
        time_s: 951_872_523,
        signed: "accept;host;x-amz-date;x-custom",
        signature: "ec967394428ac64355376173ccc888913c9f5c7b8eb95f0df69a8ee5c9969017",
    },
];

#[test]
fn the_examples_get_the_signatures_of_another_program() {
    for example in EXAMPLES {
        let secret_key = Secret::new("example/secret+key");
        let session_token = example.token.map(Secret::new);
        let credentials = Credentials {
            access_key: "EXAMPLEKEYID",
            secret_key: &secret_key,
            session_token: session_token.as_ref(),
        };
        let signing = Signing {
            method: example.method,
            path: example.path,
            query: example.query,
            headers: example.headers,
            body_hash: body_hash([example.body.as_bytes()]),
            region: example.region,
            service: "bedrock",
            time_s: example.time_s,
        };
        let token = example.token.map(|token| format!("x-amz-security-token: {token}\r\n"));
        let want = format!(
            "x-amz-date: {}\r\n{}authorization: AWS4-HMAC-SHA256 Credential=EXAMPLEKEYID/{}/{}/bedrock/aws4_request, \
             SignedHeaders={}, Signature={}\r\n",
            example.date,
            token.unwrap_or_default(),
            &example.date[..8],
            example.region,
            example.signed,
            example.signature
        );
        assert_eq!(header_lines(&signing, &credentials).reveal(), want, "{}", example.path);
    }
}

#[test]
fn a_body_hashes_the_same_in_any_pieces() {
    let body = b"some bytes of a body";
    for cut in 0..=body.len() {
        let (front, back) = body.split_at(cut);
        assert_eq!(body_hash([front, back]), body_hash([&body[..]]));
    }
    assert_eq!(body_hash([]), body_hash([&b""[..]]));
}

#[test]
fn what_is_signed_shows_no_key() {
    let (secret_key, token) = (Secret::new("hidden-key"), Secret::new("hidden-token"));
    let credentials = Credentials { access_key: "A", secret_key: &secret_key, session_token: Some(&token) };
    let shown = format!("{credentials:?}");
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn days_are_counted_as_the_calendar_has_them() {
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for days in 0..200_000 {
        assert_eq!(date_of(days), (year, month, day));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let month_days = match month {
            2 => 28 + u64::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        day += 1;
        if day > month_days {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
}

/// Runs where AWS's examples stand beside the project.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads recordings")]
fn the_signatures_are_those_of_the_makers_library() {
    let file =
        format!("{}/../shared/fixtures/vectors/sigv4-bedrock-vectors.json", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(file) else { return };
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let vectors = vectors.as_array().unwrap();
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().unwrap_or_default();
        let url = text("url").strip_prefix("https://").unwrap();
        let (host, rest) = url.split_at(url.find('/').unwrap());
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut headers = vec![("host", host)];
        headers.extend(vector["headers"]["Content-Type"].as_str().map(|kind| ("content-type", kind)));
        let secret_key = Secret::new(text("secret_key"));
        let session_token = vector["session_token"].as_str().map(Secret::new);
        let credentials = Credentials {
            access_key: text("access_key"),
            secret_key: &secret_key,
            session_token: session_token.as_ref(),
        };
        let date = seconds_of(text("amz_date"));
        let signing = Signing {
            method: text("method"),
            path,
            query,
            headers: &headers,
            body_hash: body_hash([text("body").as_bytes()]),
            region: text("region"),
            service: text("service"),
            time_s: date,
        };
        let lines = header_lines(&signing, &credentials);
        let want = format!("authorization: {}\r\n", text("authorization"));
        assert!(lines.reveal().ends_with(&want), "{}: {}", text("name"), lines.reveal());
    }
    assert_eq!(vectors.len(), 5);
}

/// The seconds of a date such as `20260102T030405Z`, found by trying.
fn seconds_of(date: &str) -> u64 {
    let is_day = |days: &u64| amz_date(days * DAY_S)[..8] == date[..8];
    let day = (0..100_000).find(is_day).expect("a day of this age");
    let part = |at: usize| date[at..at + 2].parse::<u64>().expect("digits");
    day * DAY_S + part(9) * 3600 + part(11) * 60 + part(13)
}
