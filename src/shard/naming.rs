//! Answers about files and batches as the client gets them: ids with their provider's name, results to be had here, and
//! batches of other APIs in the caller's. What needs no change keeps its bytes.

use super::active::Active;
use super::collection::Reads;
use super::work::Work;
use crate::dialect::batches::generate;
use crate::dialect::collection;
use crate::wire::json::{self, Node};
use crate::wire::path::percent_encode;
use crate::wire::splice::Edits;

/// How the ids of an answer are spelled for the client.
#[derive(Clone)]
pub struct Naming {
    /// What stands behind every id.
    pub ending: String,
    /// The id in the path, for an answer that says none.
    pub own_id: String,
    /// What stands before the id in the URL of results: this gateway, as the client calls it.
    pub results_base: String,
}

impl Naming {
    /// Writes a scanned answer as the caller's API has it.
    pub fn write(&self, reads: Reads, document: &[u8], out: &mut Vec<u8>) {
        match reads {
            Reads::Batch(api, form) => api.write_batch(Node::scanned(document), form, &self.ending, out),
            Reads::Batches(api) => api.write_list(Node::scanned(document), &self.ending, out),
            Reads::Cancelled(form) => generate::write_cancelled(&self.own_id, form, &self.ending, out),
            _ => self.write_answer(document, out),
        }
    }

    /// Writes a scanned answer with our ids in the place of the provider's.
    fn write_answer(&self, document: &[u8], out: &mut Vec<u8>) {
        let places = collection::places(document);
        let mut edits = Edits::default();
        for id in &places.ids {
            edits.insert(id.end as usize - 1, self.ending.as_bytes());
        }
        for (url, id) in &places.results_urls {
            let Some(id) = Node::scanned(id.of(document)).text() else { continue };
            let mut segment = Vec::new();
            percent_encode(format!("{id}{}", self.ending).as_bytes(), &mut segment);
            let segment = String::from_utf8_lossy(&segment).into_owned();
            let mut spelled = Vec::new();
            json::write_string(&format!("{}{segment}/results", self.results_base), &mut spelled);
            edits.replace(*url, &spelled);
        }
        edits.append_to(document, out);
    }
}

/// Where the client finds results here. It called us by the host in its head; a proxy that took its TLS off says so.
pub fn results_base(active: &Active, head: &[u8], work: &Work) -> String {
    let is_tls = active.compiled.server_tls.is_some();
    let value = |name: &str| work.request.headers.get(head, name).map(|span| span.of(head));
    let first = |value: &[u8]| value.split(|&b| b == b',').next().unwrap_or_default().trim_ascii().to_vec();
    let scheme = match value("x-forwarded-proto").map(first).as_deref() {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ if is_tls => "https",
        _ => "http",
    };
    let host = value("x-forwarded-host").map(first).unwrap_or_else(|| work.request.host.of(head).to_vec());
    let is_good = |b: &u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(b);
    let host =
        if host.iter().all(is_good) { String::from_utf8_lossy(&host).into_owned() } else { String::new() };
    // Without a host the place is told below the client's own base URL.
    let origin = if host.is_empty() { String::new() } else { format!("{scheme}://{host}") };
    format!("{origin}/v1/messages/batches/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_every_byte_but_ids_and_the_url_of_results() {
        let results_base = "http://h/v1/messages/batches/".to_owned();
        let naming = Naming { ending: "~own".to_owned(), own_id: String::new(), results_base };
        let check = |document: &str, want: &str| {
            let mut out = Vec::new();
            naming.write_answer(document.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        };
        check(
            "{ \"id\" :\"file-1\",\"n\":1.0e0 , \"u\":\"\\u00e9\"}\n",
            "{ \"id\" :\"file-1~own\",\"n\":1.0e0 , \"u\":\"\\u00e9\"}\n",
        );
        check(
            r#"{"data":[{"id":"m","results_url":"https://x/m/results"}],"last_id":"m"}"#,
            r#"{"data":[{"id":"m~own","results_url":"http://h/v1/messages/batches/m~own/results"}],"last_id":"m~own"}"#,
        );
    }
}
