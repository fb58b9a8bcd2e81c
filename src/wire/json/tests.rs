//! The scanner against serde_json: the same documents, the same members, at every cut.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::*;
use crate::wire::fuzz::Random;

const CASES: &[&str] = &[
    r#"{}"#,
    r#" { } "#,
    r#"{"model":"gpt-4o","stream":true,"n":1}"#,
    r#"{"a":[1,2,{"b":[]}],"c":{"d":{"e":null}},"f":"\"\\\/\b\f\n\r\tA😀"}"#,
    r#"{"a":-0.0e+10,"b":1E5,"c":123456789012345678901234567890,"d":0}"#,
    "{\"ü\":\"é漢字😀\",\n\t\"x\" : false\r\n}",
    r#"{"mod\u0065l":"x","model2":1}"#,
    r#"{"a":"\ud800"}"#,
    r#"{"a":01}"#,
    r#"{"a":1.}"#,
    r#"{"a":.5}"#,
    r#"{"a":-}"#,
    r#"{"a":1e}"#,
    r#"{"a":tru}"#,
    r#"{"a":nul"#,
    r#"{"a":"b}"#,
    r#"{"a" "b"}"#,
    r#"{"a":1,}"#,
    r#"{,"a":1}"#,
    r#"{"a":[1,]}"#,
    r#"{"a":[}"#,
    r#"{"a":{]}}"#,
    r#"{"a":1}}"#,
    r#"{"a":1} x"#,
    r#"[1]"#,
    r#""a""#,
    r#"{"a":"\x"}"#,
    r#"{"a":"\u12g4"}"#,
    "{\"a\":\"\u{1}\"}",
    r#"{'a':1}"#,
    r#"{"a":NaN}"#,
    "",
];

/// What serde_json makes of a document, less what our own bounds refuse.
fn twin(document: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(document) else { return false };
    let Ok(keys) = serde_json::from_str::<Keys>(text) else { return false };
    let distinct: HashSet<&String> = keys.0.iter().collect();
    distinct.len() == keys.0.len()
        && crate::wire::fuzz::twin::depth(document) <= crate::base::limits::JSON_DEPTH_MAX
}

/// The top-level keys of an object, repetitions included; values are checked and forgotten.
struct Keys(Vec<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn check(document: &[u8]) {
    let mut members = Vec::new();
    let whole = scan_object(document, &mut members);
    assert_eq!(whole.is_ok(), twin(document), "{:?}: {whole:?}", String::from_utf8_lossy(document));
    if whole.is_err() {
        return;
    }
    crate::wire::fuzz::check_quick_finds(document, &members);
    let value: serde_json::Map<String, serde_json::Value> = match serde_json::from_slice(document) {
        Ok(value) => value,
        // Numbers beyond f64, and halves of surrogate pairs, are no values for serde_json.
        Err(_) => return,
    };
    assert_eq!(members.len(), value.len());
    for (key, want) in &value {
        let member = find(&members, document, key).unwrap_or_else(|| panic!("{key} is missing"));
        let got: serde_json::Value = serde_json::from_slice(member.value.of(document)).expect("a value");
        assert_eq!(&got, want);
    }
}

/// The fast way and the scanner: the same documents, members and ends.
fn check_twins(document: &[u8]) {
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    let scanned = whole::scan(document, &mut fast);
    if scanned.as_ref().is_some_and(|scanned| scanned.keys_differ) {
        assert_eq!(refuse_duplicates(document, &fast), Ok(()), "{}", document.escape_ascii());
    }
    let used = scanned.map(|scanned| scanned.end);
    match Scanner::default().step(document, &mut slow) {
        JsonStep::Done { used: wanted } => {
            assert_eq!((used, fast), (Some(wanted), slow), "{:?}", String::from_utf8_lossy(document));
        }
        _ => assert_eq!(used, None, "{:?}", String::from_utf8_lossy(document)),
    }
}

#[test]
fn the_fast_way_and_the_scanner_agree_on_texts_and_numbers_of_any_length() {
    for key in 0..70 {
        for value in 1..70 {
            let (key, digits) = ("k".repeat(key), "1".repeat(value));
            check_twins(format!("{{\"{key}\":{digits},\"s\":1}}").as_bytes());
            check_twins(format!("{{\"{key}\":\"{digits}\",\"s\":[\"{digits}\",\"{key}\"]}}").as_bytes());
            check_twins(format!("{{\"a\":{{\"{key}\":\"{digits}\",\"s\":{digits}}}}}").as_bytes());
        }
    }
}

#[test]
fn the_fast_way_and_the_scanner_agree_at_every_cut_and_after_every_change_of_a_byte() {
    for case in CASES.iter().map(|case| case.as_bytes()) {
        for cut in 0..=case.len() {
            check_twins(&case[..cut]);
        }
        for at in 0..case.len() {
            for byte in b"\"\\{}[],: 0.-eu\x00\x1F\x80\xC3\xE2\xFF".iter() {
                let mut changed = case.to_vec();
                changed[at] = *byte;
                check_twins(&changed);
                changed.insert(at, *byte);
                check_twins(&changed);
            }
        }
    }
    for depth in 60..70 {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            check_twins(format!("{{\"a\":{}0{}}}", open.repeat(depth), close.repeat(depth)).as_bytes());
        }
    }
    for count in [1023, 1024, 1025] {
        let members: Vec<String> = (0..count).map(|index| format!("\"k{index}\":0")).collect();
        check_twins(format!("{{{}}}", members.join(",")).as_bytes());
    }
}

#[test]
fn an_object_found_from_behind_is_the_one_that_the_scanner_finds() {
    let cases = [
        (r#"{"a":1,"usage":{"x":1}}"#, Some(r#"{"x":1}"#)),
        (r#"{"usage" : {"x":[{}]} , "b":[1,{"c":"}"}]} "#, Some(r#"{"x":[{}]}"#)),
        (r#"{"usage":{"x":1},"b":{"usage":{"y":1}}}"#, Some(r#"{"x":1}"#)),
        (r#"{"b":{"usage":{"y":1}}}"#, None),
        (r#"{"b":[{"usage":{"y":1}}]}"#, None),
        (r#"{"b":"\"usage\":{\"y\":1}"}"#, None),
        (r#"{"b":"usage"}"#, None),
        (r#"{"usage":{"x":1},"b":"\"usage\":{}"}"#, Some(r#"{"x":1}"#)),
        (r#"{"usage":null}"#, None),
        (r#"{"usage":7,"c":{"usage":{}}}"#, None),
        (r#"{"us\u0061ge":{"x":1}}"#, Some(r#"{"x":1}"#)),
        (r#"{}"#, None),
        (r#""#, None),
    ];
    for (document, want) in cases {
        let found = object_value(document.as_bytes(), "usage", &mut Vec::new());
        assert_eq!(found.map(String::from_utf8_lossy).as_deref(), want, "{document}");
    }
}

#[test]
fn the_members_of_an_object_that_was_found_are_its_own() {
    let keys = |document: &str| {
        let mut members = Vec::new();
        let object = object_value(document.as_bytes(), "usage", &mut members).expect("an object");
        members
            .iter()
            .map(|member| String::from_utf8_lossy(member.key.of(object)).into_owned())
            .collect::<Vec<_>>()
    };
    // The coarse filter takes the first two for the same.
    let alike = r#"{"completion_tokens":1,"is_byok":false,"x":{"y":[1]}}"#;
    for document in [format!(r#"{{"usage":{alike}}}"#), format!(r#"{{"us\u0061ge":{alike}}}"#)] {
        assert_eq!(keys(&document), ["completion_tokens", "is_byok", "x"], "{document}");
    }
    assert!(keys(r#"{"usage":{"a":1,"a":2}}"#).is_empty());
    assert!(keys(r#"{"us\u0061ge":{"a":1,"a":2}}"#).is_empty());
}

#[test]
fn the_scanner_and_serde_json_agree() {
    CASES.iter().for_each(|case| check(case.as_bytes()));
    check(b"{\"a\":\"\xFF\"}");
    check(b"{\"a\":\"\xC3\"}");
    check(b"{\"a\":\"\xED\xA0\x80\"}");
}

#[test]
fn they_agree_on_mutations() {
    let mut random = Random::new(5);
    for _ in 0..60_000 {
        let mut bytes = CASES[random.below(9)].as_bytes().to_vec();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = b"\"\\{}[]:,0e-. tu\xC3\xA9\n"[random.below(18)];
        }
        check(&bytes);
    }
}

#[test]
fn every_cut_gives_the_same_members() {
    for case in CASES.iter().map(|case| case.as_bytes()) {
        let mut members = Vec::new();
        let is_good = scan_object(case, &mut members).is_ok();
        for cut in 0..=case.len() {
            let (mut scanner, mut in_two) = (Scanner::new(), Vec::new());
            let mut step = scanner.step(&case[..cut], &mut in_two);
            if step == JsonStep::More {
                step = scanner.step(&case[cut..], &mut in_two);
            }
            if is_good {
                assert!(matches!(step, JsonStep::Done { .. }), "{case:?} cut at {cut}");
                assert_eq!(in_two, members, "cut at {cut}");
            }
        }
    }
}

#[test]
fn keys_that_stand_twice_are_refused_however_they_are_spelled() {
    for (document, key) in [
        (r#"{"model":1,"model":2}"#, "model"),
        (r#"{"model":1,"a":0,"mod\u0065l":2}"#, "model"),
        (r#"{"":1,"":2}"#, ""),
    ] {
        let want = Err(JsonFault::DuplicateKey { key: key.to_owned() });
        assert_eq!(scan_object(document.as_bytes(), &mut Vec::new()), want);
        let step = Scanner::new().step(document.as_bytes(), &mut Vec::new());
        assert_eq!(step, JsonStep::Bad(JsonFault::DuplicateKey { key: key.to_owned() }));
    }
    let many: Vec<String> = (0..500).map(|index| format!("\"k{index}\":0")).collect();
    let document = format!("{{{}}}", many.join(","));
    assert_eq!(scan_object(document.as_bytes(), &mut Vec::new()), Ok(()));
    let document = format!("{{{},\"k7\":1}}", many.join(","));
    assert!(scan_object(document.as_bytes(), &mut Vec::new()).is_err());
}

#[test]
fn depth_and_keys_are_bounded() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert_eq!(scan_object(nested(64).as_bytes(), &mut Vec::new()), Ok(()));
    assert!(matches!(scan_object(nested(65).as_bytes(), &mut Vec::new()), Err(JsonFault::TooDeep { .. })));
    let keys: Vec<String> = (0..1025).map(|index| format!("\"k{index}\":0")).collect();
    let document = format!("{{{}}}", keys.join(","));
    assert_eq!(scan_object(document.as_bytes(), &mut Vec::new()), Err(JsonFault::TooManyKeys));
}

#[test]
fn a_text_survives_writing_and_reading() {
    for text in ["", "plain", "\"\\/\u{8}\u{C}\n\r\t\u{1}\u{1F}", "é漢字😀", &"x".repeat(100)] {
        let mut out = Vec::new();
        write_string(text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
    }
}

#[test]
fn a_capture_keeps_its_values_at_every_cut() {
    let document = br#"{"id":"x","usage":{"a":[1,"}"],"b":2},"choices":[{"usage":0}],"error":null}"#;
    for cut in 0..=document.len() {
        let mut capture = Capture::new(&["usage", "error", "none"]);
        capture.step(&document[..cut]);
        assert!(!capture.ended_well() || cut == document.len());
        capture.step(&document[cut..]);
        capture.step(b" \n");
        assert!(capture.ended_well(), "cut at {cut}");
        assert_eq!(capture.value("usage"), Some((&br#"{"a":[1,"}"],"b":2}"#[..], Kind::Object)));
        assert_eq!(capture.value("error"), Some((&b"null"[..], Kind::Null)));
        assert_eq!(capture.value("none"), None);
    }
    let mut capture = Capture::new(&["usage"]);
    capture.step(br#"{"usage":""#);
    (0..100).for_each(|_| capture.step(&[b'x'; 1000]));
    capture.step(br#""}"#);
    assert!(capture.ended_well());
    assert_eq!(capture.value("usage"), None);
}

#[test]
fn keys_are_bounded_in_their_bytes_too_and_a_long_one_is_not_kept() {
    let keys = |count: usize, bytes: usize| {
        let keys: Vec<String> =
            (0..count).map(|index| format!("\"{index:04}{}\":0", "k".repeat(bytes - 4))).collect();
        format!("{{{}}}", keys.join(","))
    };
    for (document, want) in [
        (keys(64, 1024), Ok(())),
        (keys(65, 1024), Err(JsonFault::TooManyKeys)),
        (keys(1, 64 * 1024 + 1), Err(JsonFault::TooManyKeys)),
    ] {
        assert_eq!(scan_object(document.as_bytes(), &mut Vec::new()), want);
        let mut capture = Capture::new(&["usage"]);
        document.as_bytes().chunks(1000).for_each(|piece| capture.step(piece));
        assert_eq!(capture.ended_well(), want.is_ok());
    }
}

#[test]
fn a_text_is_found_wherever_it_stands_at_the_top_level() {
    let check = |document: &str, want: Option<&str>| {
        let found = first_text(document.as_bytes(), "model", &mut Vec::new());
        assert_eq!(found.as_deref(), want, "{document}");
    };
    let fill = "x".repeat(300);
    for (before, after) in [("", ""), (&*fill, ""), ("", &*fill), (&fill, &*fill)] {
        let document = |text: &str| {
            format!(r#"{{"a":[{{"model":"inner"}}],"b":"{before}","model":{text},"c":"{after}"}}"#)
        };
        check(&document(r#""m-1""#), Some("m-1"));
        check(&document(r#""m\u00e9""#), Some("m\u{e9}"));
        check(&document("7"), None);
        check(&document("null"), None);
        check(&document("{}"), None);
    }
    check(r#"{"mod\u0065l":"m"}"#, Some("m"));
    check(r#"{"model":"m","model":"n"}"#, Some("m"));
    check(r#"{"model":"m","a":tru"#, Some("m"));
    check(r#"{"a":1,"model":"m"#, None);
    check(r#"{"a":"model","model" : "m"}"#, Some("m"));
    check(r#"{"a":"model"}"#, None);
    check(r#"{"a":"\"model\":","model":"m"}"#, Some("m"));
    check(r#"{"a":"{","model":"m"}"#, Some("m"));
    check(r#"{"a":{"model":"inner"},"model":"m"}"#, Some("m"));
    check(r#"{"a":[1,"model"],"b":2}"#, None);
    check(r#"["model","m"]"#, None);
    check("{}", None);
    check("no JSON", None);
}
