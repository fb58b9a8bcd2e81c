//! The live stream of what is stored: server-sent events, for as long as somebody reads them.

use std::rc::Rc;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::fields::{Asked, wrong};
use super::view;
use super::{Desk, Reply};
use crate::base::limits::{LIVE_HEARTBEAT_MS, LIVE_PIECE_BYTES};
use crate::base::{Refusal, RefusalKind, clock};
use crate::identity::UserPath;
use crate::offload::live::{Live, LiveEvent, LiveKind, Watching};

/// Exchanges as they are stored, from now on or behind the event that the reader knows.
pub async fn logs(desk: Rc<Desk>, asked: Asked) -> Result<Reply, Refusal> {
    let mut query = asked.query(&["types", "cursor"])?;
    let types = query.name("types")?;
    let cursor = query.name("cursor")?.map_or(Ok(0), |text| text.parse::<u64>());
    let cursor = cursor.map_err(|_| wrong("cursor", "must be the number of an event"))?;
    query.end()?;
    let kinds = match types {
        None => vec![LiveKind::Audit, LiveKind::Usage],
        Some(types) => types.split(',').map(|word| kind(word.trim())).collect::<Result<_, _>>()?,
    };
    let Some(live) = desk.manager.live() else {
        return Err(unavailable("There are no records to be watched."));
    };
    let Some(watching) = live.watch(cursor) else {
        return Err(unavailable("There are as many readers already as there may be."));
    };
    let (send, receive) = mpsc::channel(1);
    let pump = Pump { live, kinds, place: asked.who.scope.path.clone(), send };
    tokio::task::spawn_local(pump.run(watching));
    Ok(Reply::stream(receive))
}

fn kind(word: &str) -> Result<LiveKind, Refusal> {
    match word {
        "audit" => Ok(LiveKind::Audit),
        "usage" => Ok(LiveKind::Usage),
        _ => Err(wrong("types", "must be audit, usage or both")),
    }
}

fn unavailable(message: &'static str) -> Refusal {
    let mut refusal = Refusal::new(503, RefusalKind::Server, "live_unavailable", message);
    refusal.retry_after_s = Some(10);
    refusal
}

/// Carries events from the gateway to one reader.
struct Pump {
    live: Rc<Live>,
    kinds: Vec<LiveKind>,
    /// The part of the tree of users that the reader may see.
    place: UserPath,
    send: mpsc::Sender<Bytes>,
}

impl Pump {
    async fn run(self, mut watching: Watching) {
        // The head of the answer leaves with the first of its bytes.
        let first = if watching.is_reset { "reset" } else { "heartbeat" };
        let mut text = self.of_stream(first, None);
        watching.missed.iter().for_each(|event| self.add(event, &mut text));
        let mut goes_on = self.send(text).await;
        while goes_on {
            let beat = Duration::from_millis(LIVE_HEARTBEAT_MS);
            goes_on = match tokio::time::timeout(beat, watching.events.recv()).await {
                Ok(Some(event)) => {
                    let mut text = String::new();
                    self.add(&event, &mut text);
                    // What waits goes along: a batch of rows is told at once.
                    while text.len() < LIVE_PIECE_BYTES
                        && let Ok(event) = watching.events.try_recv()
                    {
                        self.add(&event, &mut text);
                    }
                    self.send(text).await
                }
                Ok(None) => {
                    let reason = json!({"reason": watching.why.get().word()});
                    self.send(self.of_stream("closed", Some(reason))).await;
                    false
                }
                Err(_) => self.send(self.of_stream("heartbeat", None)).await,
            };
        }
    }

    /// Appends an event, if the reader has asked for such and may see it.
    fn add(&self, event: &LiveEvent, out: &mut String) {
        if !self.kinds.contains(&event.kind) || !event.place.is_within(&self.place) {
            return;
        }
        let name = match event.kind {
            LiveKind::Audit => "audit.flushed",
            LiveKind::Usage => "usage.flushed",
        };
        let data: Json = serde_json::from_str(&event.data).unwrap_or_default();
        let at_ms = i64::try_from(event.at_ms).unwrap_or(i64::MAX);
        let document = json!({
            "seq": event.number,
            "type": name,
            "request_id": event.request_id,
            "timestamp": view::time(at_ms),
            "data": data,
        });
        write_event(event.number, name, &document, out);
    }

    /// What is of the stream itself.
    fn of_stream(&self, name: &str, data: Option<Json>) -> String {
        let number = self.live.last_number();
        let now_ms = i64::try_from(clock::wall_ms()).unwrap_or(i64::MAX);
        let mut document = json!({"seq": number, "type": name, "timestamp": view::time(now_ms)});
        if let Some(data) = data {
            document["data"] = data;
        }
        let mut out = String::new();
        write_event(number, name, &document, &mut out);
        out
    }

    /// False when the reader has left.
    async fn send(&self, text: String) -> bool {
        match text.is_empty() {
            true => !self.send.is_closed(),
            false => self.send.send(Bytes::from(text)).await.is_ok(),
        }
    }
}

fn write_event(number: u64, name: &str, document: &Json, out: &mut String) {
    let id = if number > 0 { format!("id: {number}\n") } else { String::new() };
    out.push_str(&format!("{id}event: {name}\ndata: {document}\n\n"));
}
