//! The body of the fuzz target for what providers say of batches.

use serde::de::IgnoredAny;

use super::{Api, Form, Results, pages};
use crate::dialect::batches::billed;
use crate::dialect::middle::Rules;
use crate::wire::fuzz::cuts;
use crate::wire::json::Node;

/// Whatever a provider says of a batch, a list of them or their results, what is written of it is JSON, each result in a line
/// of its own; where lines come in pieces, the cuts change nothing.
pub fn batches(input: &[u8]) {
    if std::str::from_utf8(input).is_err() {
        return;
    }
    for form in [Form::Chat, Form::Responses] {
        let whole = results(form, &[input]);
        assert_lines(&whole.0);
        for cut in cuts(input) {
            assert_eq!(
                whole,
                results(form, &[&input[..cut], &input[cut..]]),
                "a cut at {cut} changes results"
            );
        }
    }
    let mut members = Vec::new();
    let Ok(document) = Node::document(input, &mut members) else { return };
    for form in [Form::Chat, Form::Responses] {
        of_document(document, form);
    }
}

fn of_document(document: Node<'_>, form: Form) {
    for api in [Api::Messages, Api::Operations, Api::Jobs, Api::Pages] {
        let mut out = Vec::new();
        api.write_batch(document, form, "~p", &mut out);
        assert_json(&out);
        out.clear();
        api.write_list(document, "~p", &mut out);
        assert_json(&out);
        out.clear();
        let billed = api.write_results(document, form, &Rules::default(), &mut out);
        let lines = assert_lines(&out);
        assert!(billed.is_none_or(|billed| billed.len() <= lines), "what costs has a line");
    }
    let (mut out, mut count) = (Vec::new(), 7);
    let is_page = pages::write_results(document, form, &Rules::default(), &mut count, &mut out);
    let lines = assert_lines(&out);
    assert!(is_page || lines == 0, "what is no page has no results");
    assert_eq!(count, 7 + lines as u64, "results are counted");
    assert!(billed::of_page(document).len() <= lines, "what costs has a line");
    assert!(pages::next(document).is_none_or(|token| !token.is_empty()));
}

/// The lines that leave, and what is known of them.
fn results(form: Form, pieces: &[&[u8]]) -> (Vec<u8>, bool, usize) {
    let (mut results, mut out) = (Results::new(form, Rules::default(), usize::MAX), Vec::new());
    for piece in pieces {
        assert_eq!(results.take(piece, &mut out), Ok(()));
    }
    results.finish(&mut out);
    (out, results.is_good(), results.found.len())
}

/// How many lines there are, each of them JSON.
fn assert_lines(out: &[u8]) -> usize {
    assert!(out.is_empty() || out.ends_with(b"\n"), "the last line ends");
    out.strip_suffix(b"\n").map_or(0, |lines| lines.split(|&byte| byte == b'\n').map(assert_json).count())
}

/// JSON for any reader, but for how deep one goes.
pub(in crate::dialect) fn assert_json(out: &[u8]) {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(out) {
        let is_deep = error.to_string().starts_with("recursion limit");
        assert!(is_deep, "{error}: {}", String::from_utf8_lossy(out));
    }
}
