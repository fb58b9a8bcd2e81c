//! The bodies of the fuzz targets for what a shard reads itself: streams that go by, and what a request asks for.

use super::route::{self, Asked};
use super::stream::Watcher;
use crate::dialect::endpoint::Grammar;
use crate::policy::admit;
use crate::wire::Step;
use crate::wire::fuzz::{cuts, event_data};
use crate::wire::head::EndOfHead;
use crate::wire::request::{RequestHead, read_request};

/// What leaves of a stream, and what is learnt from it, does not depend on cuts; nothing is changed, and only events
/// that the client did not ask for are left out.
pub fn stream(input: &[u8]) {
    let (all, _) = passed_on(&[input], Hides::Nothing);
    assert!(input.starts_with(&all), "the provider's bytes, in order");
    for hides in [Hides::Nothing, Hides::Usage] {
        let whole = passed_on(&[input], hides);
        for cut in cuts(input) {
            let in_two = passed_on(&[&input[..cut], &input[cut..]], hides);
            assert_eq!(whole, in_two, "a cut at {cut} changes the stream");
        }
    }
    let (shown, learnt) = passed_on(&[input], Hides::Usage);
    let mut before = event_data(&[&all]).into_iter();
    for event in event_data(&[&shown]) {
        assert!(before.any(|other| other == event), "what leaves is what came, less some events");
    }
    assert!(shown.len() == all.len() || learnt.contains("Usage { input"), "only usage is hidden");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hides {
    Nothing,
    Usage,
}

/// What leaves of a stream in pieces, and all that was learnt.
fn passed_on(pieces: &[&[u8]], hides: Hides) -> (Vec<u8>, String) {
    let mut watcher = Watcher::new(Grammar::Chat, hides == Hides::Usage, usize::MAX);
    let mut out = Vec::new();
    for piece in pieces {
        assert_eq!(watcher.take(piece, &mut out), Ok(()));
    }
    watcher.finish(&mut out);
    let flags = (watcher.is_done, watcher.has_finish, watcher.has_error, watcher.events_count);
    (out, format!("{flags:?} {:?}", watcher.usage))
}

/// What a request asks for lies inside its path, and its key inside its head.
pub fn route(input: &[u8]) {
    let Step::Done { used } = EndOfHead::default().step(input) else { return };
    let (head, mut request) = (&input[..used], RequestHead::default());
    if read_request(head, &mut request).is_err() {
        return;
    }
    if let Some(key) = admit::presented_key(head, &request.headers) {
        assert!(key.len() < head.len());
    }
    let path = request.path.of(head);
    match route::read(head, &request, "/metrics") {
        Ok(Asked::Model(Grammar::Chat, id)) => {
            assert_eq!([b"/v1/models/", id.of(head)].concat(), path);
            route::model_id(id.of(head));
        }
        Ok(Asked::Api(_, rest)) => assert_eq!([b"/v1", rest.of(head)].concat(), path),
        Ok(Asked::ApiOfModel(_, model)) => {
            let is_below = |start: &[u8]| path.starts_with(&[start, model.of(head), b":"].concat());
            let starts = [&b"/v1/models/"[..], b"/v1beta/models/", b"/v1beta/"];
            assert!(!model.is_empty() && starts.into_iter().any(is_below));
        }
        Ok(Asked::Passthrough { provider, rest }) => {
            assert_eq!([b"/p/", provider.of(head), rest.of(head)].concat(), path);
            assert!(!provider.is_empty() && rest.of(head).starts_with(b"/"));
        }
        Ok(_) => {}
        Err(allowed) => assert!(allowed.is_empty() || allowed.contains("OPTIONS")),
    }
}
