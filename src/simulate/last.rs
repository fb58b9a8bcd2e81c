//! The last request that this event loop was sent, for tests that look at what reached the provider.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::connection::Request;
use crate::wire::request::{RequestHead, read_request};

/// The last request, and how many there were.
#[derive(Default)]
pub struct Last {
    count: Cell<u64>,
    request: RefCell<Option<Rc<Request>>>,
}

impl Last {
    pub fn remember(&self, request: &Rc<Request>) {
        self.count.set(self.count.get() + 1);
        // A body that is too large to be shown is not kept either.
        let kept = Some(request).filter(|request| request.body.len() <= BODY_BYTES_MAX).cloned();
        self.request.replace(Some(kept.unwrap_or_else(|| Rc::new(request.without_body()))));
    }

    /// The page that shows it.
    pub fn page(&self) -> Vec<u8> {
        let mut page = json!({"count": self.count.get()});
        let mut head = RequestHead::default();
        let request = self.request.borrow();
        if let Some(request) =
            request.as_ref().filter(|request| read_request(&request.head, &mut head).is_ok())
        {
            let text = |span: crate::base::Span| String::from_utf8_lossy(span.of(&request.head)).into_owned();
            page["method"] = json!(request.method.as_str());
            page["path"] = json!(text(head.path));
            page["query"] = json!(text(head.query));
            let mut headers = Map::new();
            for field in &head.headers.fields {
                let name = text(field.name).to_ascii_lowercase();
                let value = match headers.get(&name).and_then(Value::as_str) {
                    Some(before) => format!("{before}, {}", text(field.value)),
                    None => text(field.value),
                };
                headers.insert(name, json!(value));
            }
            page["headers"] = Value::Object(headers);
            page["body"] = serde_json::from_slice(&request.body).unwrap_or_default();
            page["body_text"] = json!(String::from_utf8_lossy(&request.body));
            page["body_bytes"] = json!(request.body_len);
        }
        page.to_string().into_bytes()
    }
}

/// What is kept of one request beside its head.
const BODY_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: Vec<u8>) -> Value {
        let head = b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\n\r\n";
        let last = Last::default();
        last.remember(&Rc::new(Request::read_whole(head, body)));
        serde_json::from_slice(&last.page()).unwrap()
    }

    #[test]
    fn the_last_request_is_shown_as_it_came() {
        let page = shown(b"{\"a\": 1}".to_vec());
        let want = json!({"count": 1, "method": "POST", "path": "/v1/messages", "query": "beta=true",
            "headers": {"host": "x", "x-a": "1, 2"}, "body": {"a": 1}, "body_text": "{\"a\": 1}", "body_bytes": 8});
        assert_eq!(page, want);
        assert_eq!(serde_json::from_slice::<Value>(&Last::default().page()).unwrap(), json!({"count": 0}));
    }

    #[test]
    fn a_body_that_is_no_json_or_too_large_is_not_parsed() {
        assert_eq!(shown(b"text".to_vec())["body"], Value::Null);
        let large = shown(vec![b' '; BODY_BYTES_MAX + 1]);
        assert_eq!((&large["body_text"], &large["body_bytes"]), (&json!(""), &json!(BODY_BYTES_MAX + 1)));
    }
}
