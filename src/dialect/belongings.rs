//! Which objects that a provider keeps a request speaks of, and which ones an answer brings: files, responses,
//! conversations, items, vector stores, containers, prompts. Whose they are is not decided here.

use super::collection;
use super::words::{self, Word};
use crate::wire::json::{Kind, Node};

/// An object that a request speaks of, by the id that stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    File(String),
    Response(String),
    Conversation(String),
    /// An item of a response or of a conversation.
    Item(String),
    VectorStore(String),
    /// Where code runs that a model has written, with its files.
    Container(String),
    /// A prompt that somebody has stored with the provider.
    Prompt(String),
}

/// What a path below `/v1` has to do with vector stores and containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InPath<'p> {
    Nothing,
    /// All of them: what is posted there makes one.
    Collection,
    /// One of them, or what is in it.
    Object(&'p str),
}

pub fn in_path(path: &str) -> InPath<'_> {
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("vector_stores" | "containers"), None) => InPath::Collection,
        (Some("vector_stores" | "containers"), Some(id)) if !id.is_empty() => InPath::Object(id),
        _ => InPath::Nothing,
    }
}

/// Files that a request's body speaks of. Nearly all bodies speak of none, and end with one look.
pub fn files(document: Node<'_>, found: &mut Vec<Mention>) {
    if !may_name_files(document.raw()) {
        return;
    }
    let mut nodes = Vec::new();
    collection::file_ids(document, &mut nodes);
    let texts = nodes.into_iter().filter_map(Node::text);
    found.extend(texts.map(|text| Mention::File(text.into_owned())));
}

/// Vector stores, containers and prompts that a request's body speaks of (OpenAI's API reference: `tools[].vector_store_ids`,
/// `tools[].container`, `prompt.id`; Anthropic's: `container`).
pub fn stores(document: Node<'_>, found: &mut Vec<Mention>) {
    let has = |word: &Word| word.find(document.raw()).is_some();
    let has_any = has(&words::VECTOR_STORE) || has(&words::CONTAINER) || has(&words::PROMPT);
    if has_any || may_be_escaped(document.raw()) {
        walk_stores(document, found);
    }
}

fn walk_stores(value: Node<'_>, found: &mut Vec<Mention>) {
    for item in value.items() {
        walk_stores(item, found);
    }
    for (key, member) in value.members() {
        let own = || texts_of(member, b"id").into_iter().chain(member.text().map(|id| id.into_owned()));
        match (&*key, member.kind()) {
            (b"vector_store_ids", Kind::Array) => {
                found.extend(
                    member.items().filter_map(Node::text).map(|id| Mention::VectorStore(id.into_owned())),
                );
            }
            (b"vector_store_id", Kind::String) => found.extend(own().map(Mention::VectorStore)),
            (b"container" | b"container_id", Kind::String) => found.extend(own().map(Mention::Container)),
            (b"container", Kind::Object) => {
                found.extend(own().map(Mention::Container));
                walk_stores(member, found);
            }
            (b"prompt", Kind::Object) => found.extend(own().map(Mention::Prompt)),
            // What a tool was called with, and what it takes.
            (b"input", Kind::Object) => {}
            (key, Kind::Object | Kind::Array) if !collection::is_callers_own(key) => {
                walk_stores(member, found)
            }
            _ => {}
        }
    }
}

/// What a request of the Responses API refers to. A member that stands twice counts twice: which one the provider takes
/// is not known.
pub fn responses(document: Node<'_>, found: &mut Vec<Mention>) {
    for (key, value) in document.members() {
        match &*key {
            b"previous_response_id" => {
                found.extend(value.text().map(|id| Mention::Response(id.into_owned())));
            }
            b"conversation" => {
                let ids = texts_of(value, b"id").into_iter().chain(value.text().map(|id| id.into_owned()));
                found.extend(ids.map(Mention::Conversation));
            }
            b"input" | b"items" => value.items().for_each(|item| item_reference(item, found)),
            _ => {}
        }
    }
}

/// What one line of a batch's input, or one of its inline requests, refers to.
pub fn line(line: Node<'_>, found: &mut Vec<Mention>) {
    files(line, found);
    stores(line, found);
    for (key, value) in line.members() {
        if matches!(&*key, b"body" | b"params") {
            responses(value, found);
        }
    }
}

/// An item that only refers to another one; its type may be left out (the API's `ItemReferenceParam`).
fn item_reference(item: Node<'_>, found: &mut Vec<Mention>) {
    let kinds = texts_of(item, b"type");
    let has_role = item.members().any(|(key, _)| &*key == b"role");
    let is_reference = kinds.iter().any(|kind| kind == "item_reference") || (kinds.is_empty() && !has_role);
    if is_reference {
        found.extend(texts_of(item, b"id").into_iter().map(Mention::Item));
    }
}

fn texts_of(object: Node<'_>, name: &[u8]) -> Vec<String> {
    let named = object.members().filter(|(key, _)| &**key == name);
    named.filter_map(|(_, value)| value.text()).map(|text| text.into_owned()).collect()
}

/// Whether a name that ids of files stand under can be in it, spelled plainly or with escapes.
fn may_name_files(document: &[u8]) -> bool {
    // Many bodies do not have what both have.
    let has = |word: &Word| word.find(document).is_some();
    let has_name = has(&words::FILE) && (has(&words::FILE_ID) || has(&words::OF_FILE));
    has_name || may_be_escaped(document)
}

/// Whether a letter of a name may be spelled with an escape.
fn may_be_escaped(document: &[u8]) -> bool {
    let Some(first) = memchr::memchr(b'\\', document) else { return false };
    let document = &document[first..];
    let is_letter = |at: usize| document.get(at + 4).is_some_and(|digit| (b'2'..=b'7').contains(digit));
    words::LOW_ESCAPE.find_iter(document).any(is_letter)
}

/// The ids that an answer of the Responses API brings: the response's own and those of its output. `event` is an event of
/// a stream, or the response itself.
pub fn of_response(event: Node<'_>) -> Vec<String> {
    let response = event.get("response").filter(|node| node.kind() == Kind::Object).unwrap_or(event);
    let own = response.get("id").filter(|_| is_response(response));
    let output = || response.get("output").into_iter().flat_map(Node::items);
    let items = output().filter_map(|item| item.get("id"));
    // Code that the model ran has made a container, which later requests may go on with.
    let containers = output().chain(event.get("item")).filter_map(|item| item.get("container_id"));
    own.into_iter()
        .chain(items)
        .chain(containers)
        .filter_map(Node::text)
        .map(|text| text.into_owned())
        .collect()
}

fn is_response(object: Node<'_>) -> bool {
    let is_kept = |kind: &str| matches!(kind, "response" | "conversation" | "vector_store" | "container");
    object.get("object").and_then(Node::text).is_none_or(|kind| is_kept(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(document: &str, look: fn(Node<'_>, &mut Vec<Mention>)) -> Vec<Mention> {
        let mut found = Vec::new();
        look(Node::scanned(document.as_bytes()), &mut found);
        found
    }

    #[test]
    fn what_a_request_refers_to_is_found_however_it_is_spelled() {
        let check = |document: &str, want: &[Mention]| {
            assert_eq!(mentions(document, responses), want, "{document}");
        };
        let item = |id: &str| Mention::Item(id.to_owned());
        check(r#"{"input":"x","previous_response_id":"resp_1"}"#, &[Mention::Response("resp_1".into())]);
        check(r#"{"previous\u005fresponse_id":"r"}"#, &[Mention::Response("r".into())]);
        check(r#"{"conversation":"c"}"#, &[Mention::Conversation("c".into())]);
        check(
            r#"{"conversation":{"id":"c","id":"d"}}"#,
            &["c", "d"].map(|id| Mention::Conversation(id.into())),
        );
        check(r#"{"input":[{"type":"item_reference","id":"i"},{"id":"j"}]}"#, &[item("i"), item("j")]);
        check(
            r#"{"input":[{"type":"message","type":"item_reference","id":"i","id":"j"}]}"#,
            &[item("i"), item("j")],
        );
        check(r#"{"input":[{"role":"user","id":"i"},{"type":"reasoning","id":"j"}]}"#, &[]);
        check(r#"{"previous_response_id":null,"conversation":null}"#, &[]);
    }

    #[test]
    fn files_are_found_in_bodies_and_in_lines_of_a_batch() {
        let file = |id: &str| Mention::File(id.to_owned());
        assert_eq!(mentions(r#"{"input":[{"content":[{"file_id":"f"}]}]}"#, files), [file("f")]);
        assert_eq!(mentions(r#"{"input":[{"content":[{"fil\u0065_id":"f"}]}]}"#, files), [file("f")]);
        assert_eq!(mentions(r#"{"tool_call_id":"\u00e9"}"#, files), []);
        let of_line =
            r#"{"url":"/v1/responses","body":{"previous_response_id":"r","input":[{"file_id":"f"}]}}"#;
        assert_eq!(mentions(of_line, line), [file("f"), Mention::Response("r".into())]);
    }

    #[test]
    fn vector_stores_containers_and_prompts_are_found_where_the_apis_have_them() {
        let store = |id: &str| Mention::VectorStore(id.to_owned());
        let container = |id: &str| Mention::Container(id.to_owned());
        let check =
            |document: &str, want: &[Mention]| assert_eq!(mentions(document, stores), want, "{document}");
        check(
            r#"{"tools":[{"type":"file_search","vector_store_ids":["a","b"]}]}"#,
            &[store("a"), store("b")],
        );
        check(r#"{"tool_resources":{"file_search":{"vector_store\u005fids":["a"]}}}"#, &[store("a")]);
        check(r#"{"tools":[{"type":"code_interpreter","container":"c"}]}"#, &[container("c")]);
        check(r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}"#, &[]);
        check(r#"{"container":{"id":"c","skills":[]}}"#, &[container("c")]);
        check(r#"{"input":[{"type":"code_interpreter_call","container_id":"c"}]}"#, &[container("c")]);
        check(r#"{"prompt":{"id":"p","version":"2"}}"#, &[Mention::Prompt("p".into())]);
        check(r#"{"prompt":"write of a container","vector_store":1}"#, &[]);
        check(r#"{"messages":[{"content":[{"type":"tool_use","input":{"container":"x"}}]}]}"#, &[]);
        check(r#"{"tools":[{"function":{"parameters":{"container":"x"}}}]}"#, &[]);
    }

    #[test]
    fn the_object_in_a_path_is_told_from_all_of_them() {
        assert_eq!(in_path("/vector_stores"), InPath::Collection);
        assert_eq!(in_path("/vector_stores/vs_1/files/f"), InPath::Object("vs_1"));
        assert_eq!(in_path("/containers/c"), InPath::Object("c"));
        for path in ["/vector_stores/", "/vector_storesx/a", "/assistants/a", ""] {
            assert_eq!(in_path(path), InPath::Nothing, "{path}");
        }
    }

    #[test]
    fn an_answer_brings_its_own_id_and_those_of_its_output() {
        let check = |document: &str, want: &[&str]| {
            assert_eq!(of_response(Node::scanned(document.as_bytes())), want, "{document}");
        };
        check(r#"{"id":"r","object":"response","output":[{"id":"m"},{"type":"x"}]}"#, &["r", "m"]);
        check(r#"{"type":"response.created","response":{"id":"r","object":"response","output":[]}}"#, &["r"]);
        check(r#"{"type":"response.output_text.delta","item_id":"m","delta":"x"}"#, &[]);
        check(r#"{"id":"conv_1","object":"conversation"}"#, &["conv_1"]);
        check(r#"{"id":"vs_1","object":"vector_store","file_counts":{}}"#, &["vs_1"]);
        check(r#"{"id":"r","output":[{"id":"ci","container_id":"c"}]}"#, &["r", "ci", "c"]);
        check(r#"{"type":"response.output_item.done","item":{"id":"ci","container_id":"c"}}"#, &["c"]);
        check(r#"{"id":"i","object":"list"}"#, &[]);
    }
}
