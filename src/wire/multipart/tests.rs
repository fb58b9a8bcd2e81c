//! Finding a field in the first bytes of a form.

use super::*;

const BODY: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\ndata --b\r\n\
    --b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b--\r\n";

#[test]
fn a_boundary_is_read_or_refused() {
    for (content_type, want) in [
        ("multipart/form-data; boundary=abc", Some("abc")),
        ("Multipart/Form-Data; charset=x; boundary=\"a b\"", Some("a b")),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=a\u{e9}", None),
    ] {
        assert_eq!(boundary(content_type.as_bytes()), want.map(str::as_bytes), "{content_type}");
    }
    let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
    assert_eq!(boundary(long.as_bytes()), None);
}

#[test]
fn the_field_is_found_once_it_is_whole_and_never_before() {
    let value_at = BODY.find("whisper").expect("the field");
    let found = FieldSearch::Found(Span::new(value_at, value_at + "whisper-1".len()));
    let known_at = value_at + "whisper-1\r\n--b".len();
    for cut in 0..=BODY.len() {
        let want = if cut < known_at { FieldSearch::NotYet } else { found };
        assert_eq!(find_field(&BODY.as_bytes()[..cut], b"b", "model"), want, "cut at {cut}");
    }
}

#[test]
fn an_absent_or_repeated_field_is_told() {
    assert_eq!(find_field(BODY.as_bytes(), b"b", "prompt"), FieldSearch::Absent);
    let twice = BODY.replace("--b--", "--b\r\nContent-Disposition: form-data; name=model\r\n\r\nx\r\n--b--");
    assert_eq!(find_field(twice.as_bytes(), b"b", "model"), FieldSearch::Twice);
    let empty = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\r\n--b--";
    assert!(
        matches!(find_field(empty.as_bytes(), b"b", "model"), FieldSearch::Found(place) if place.is_empty())
    );
}
