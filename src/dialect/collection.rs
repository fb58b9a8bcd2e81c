//! Files and batches: where in their objects, and in requests that speak of them, ids and models stand. Places only; what
//! becomes of them is not decided here.

use crate::base::Span;
use crate::wire::json::{Kind, Node};

/// The places in an object of the API, or in a list of them, of what is another's to a client.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Strings that are ids, quotes included.
    pub ids: Vec<Span>,
    /// Strings with the URL of a batch's results, each with the place of the batch's id.
    pub results_urls: Vec<(Span, Span)>,
}

/// The places in a scanned answer.
pub fn places(document: &[u8]) -> Places {
    let mut places = Places::default();
    let top = Node::scanned(document);
    places.add(document, top);
    for item in top.get("data").into_iter().flat_map(Node::items) {
        places.add(document, item);
    }
    places
}

impl Places {
    fn add(&mut self, document: &[u8], object: Node<'_>) {
        const IDS: [&[u8]; 6] =
            [b"id", b"input_file_id", b"output_file_id", b"error_file_id", b"first_id", b"last_id"];
        let (mut id, mut url) = (None, None);
        for (key, value) in object.members().filter(|(_, value)| value.kind() == Kind::String) {
            let place = value.place_in(document);
            if IDS.contains(&&*key) && place.len() > 2 {
                self.ids.push(place);
            }
            match &*key {
                b"id" => id = Some(place),
                b"results_url" => url = Some(place),
                _ => {}
            }
        }
        self.results_urls.extend(url.zip(id));
    }
}

/// The strings in a request that are ids of files, wherever the API has them: `file_id`, `file_ids`, and the names that
/// batches and fine-tuning have for them. What a tool was called with, and schemas, are the caller's own and not looked at.
pub fn file_ids<'d>(value: Node<'d>, found: &mut Vec<Node<'d>>) {
    for item in value.items() {
        file_ids(item, found);
    }
    for (key, member) in value.members() {
        match (&*key, member.kind()) {
            (b"file_id" | b"input_file_id" | b"training_file" | b"validation_file", Kind::String) => {
                found.push(member);
            }
            (b"file_ids", Kind::Array) => {
                found.extend(member.items().filter(|item| item.kind() == Kind::String));
            }
            // What a tool was called with.
            (b"input", Kind::Object) => {}
            (key, Kind::Object | Kind::Array) if !is_callers_own(key) => file_ids(member, found),
            _ => {}
        }
    }
}

/// Members below which names mean what the caller wants them to.
pub fn is_callers_own(key: &[u8]) -> bool {
    const OWN: [&[u8]; 6] =
        [b"arguments", b"parameters", b"input_schema", b"schema", b"metadata", b"function"];
    OWN.contains(&key)
}

/// The model of each request that a batch brings with it: `requests[].params.model` of messages, `requests[].body.model` of
/// others.
pub fn batch_models(request: Node<'_>) -> Vec<Node<'_>> {
    let requests = request.get("requests").into_iter().flat_map(Node::items);
    let models = requests.filter_map(|one| one.get("params").or_else(|| one.get("body"))?.get("model"));
    models.filter(|model| model.kind() == Kind::String).collect()
}

/// The model of one line of a batch's input; `None` when it is no such line (OpenAI's batch guide: `custom_id`, `method`,
/// `url`, `body`).
pub fn line_model(line: Node<'_>) -> Option<Node<'_>> {
    let [id, url, body] = line.pick(["custom_id", "url", "body"]);
    let body = body.filter(|_| id.is_some() && url.is_some())?;
    body.get("model").filter(|model| model.kind() == Kind::String)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_objects_and_lists() {
        let check = |document: &str, want: &[&str]| {
            let found = places(document.as_bytes());
            let ids: Vec<&str> =
                found.ids.iter().map(|at| &document[at.start as usize..at.end as usize]).collect();
            assert_eq!(ids, want, "{document}");
        };
        check(
            r#" {"id" : "file-1", "object":"file","other_id":"x","error_file_id":null,"first_id":""}"#,
            &[r#""file-1""#],
        );
        check(
            r#"{"object":"list","data":[{"id":"a","input_file_id":"b","output_file_id":"c","error_file_id":"d"}],"first_id":"e","last_id":"f"}"#,
            &[r#""e""#, r#""f""#, r#""a""#, r#""b""#, r#""c""#, r#""d""#],
        );
        check(r#"{"data":{"id":"x"},"id":7}"#, &[]);
        let document = br#"{"data":[{"results_url":"https://a/b","id":"m"},{"results_url":null,"id":"n"}]}"#;
        let found = places(document);
        assert_eq!(found.results_urls.len(), 1);
        assert_eq!(found.results_urls[0].0.of(document), br#""https://a/b""#);
        assert_eq!(found.results_urls[0].1.of(document), br#""m""#);
    }

    #[test]
    fn file_ids_are_found_where_the_apis_have_them_and_nowhere_else() {
        let check = |document: &str, want: &[&str]| {
            let mut found = Vec::new();
            file_ids(Node::scanned(document.as_bytes()), &mut found);
            let texts: Vec<String> =
                found.iter().filter_map(|node| node.text()).map(|t| t.into_owned()).collect();
            assert_eq!(texts, want, "{document}");
        };
        check(r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#, &["f"]);
        check(r#"{"input":[{"content":[{"type":"input_file","file_id":"f"}]}]}"#, &["f"]);
        check(r#"{"messages":[{"content":[{"source":{"type":"file","file_id":"f"}}]}]}"#, &["f"]);
        check(r#"{"tools":[{"container":{"type":"auto","file_ids":["f","g"]}}]}"#, &["f", "g"]);
        check(r#"{"input_file_id":"f","metadata":{"file_id":"x"}}"#, &["f"]);
        check(r#"{"messages":[{"content":[{"type":"tool_use","input":{"file_id":"x"}}]}]}"#, &[]);
        check(r#"{"tools":[{"function":{"parameters":{"file_id":"x"}}}]}"#, &[]);
    }

    #[test]
    fn a_line_of_a_batch_is_told_from_others() {
        let model = |line: &str| {
            line_model(Node::scanned(line.as_bytes())).and_then(|m| Some(m.text()?.into_owned()))
        };
        let line = r#"{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"a/m"}}"#;
        assert_eq!(model(line).as_deref(), Some("a/m"));
        assert_eq!(model(r#"{"messages":[],"body":{"model":"m"}}"#), None);
        assert_eq!(model(r#"{"custom_id":"1","url":"/v1/x","body":{"model":7}}"#), None);
    }
}
