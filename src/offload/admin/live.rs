//! The live stream of what is stored: server-sent events, for as long as somebody reads them.

use std::rc::Rc;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::fields::{Asked, wrong};
use super::view;
use super::{Desk, Reply};
use crate::base::limits::LIVE_HEARTBEAT_MS;
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
        let mut goes_on = self.write_own(first, None).await;
        for event in std::mem::take(&mut watching.missed) {
            goes_on = goes_on && self.write(&event).await;
        }
        while goes_on {
            let beat = Duration::from_millis(LIVE_HEARTBEAT_MS);
            goes_on = match tokio::time::timeout(beat, watching.events.recv()).await {
                Ok(Some(event)) => self.write(&event).await,
                Ok(None) => {
                    self.write_own("closed", Some(json!({"reason": watching.why.get().word()}))).await;
                    false
                }
                Err(_) => self.write_own("heartbeat", None).await,
            };
        }
    }

    /// False when the reader has left.
    async fn write(&self, event: &LiveEvent) -> bool {
        if !self.kinds.contains(&event.kind) || !event.place.is_within(&self.place) {
            return !self.send.is_closed();
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
        self.write_event(event.number, name, &document).await
    }

    /// Writes what is of the stream itself.
    async fn write_own(&self, name: &str, data: Option<Json>) -> bool {
        let number = self.live.last_number();
        let now_ms = i64::try_from(clock::wall_ms()).unwrap_or(i64::MAX);
        let mut document = json!({"seq": number, "type": name, "timestamp": view::time(now_ms)});
        if let Some(data) = data {
            document["data"] = data;
        }
        self.write_event(number, name, &document).await
    }

    async fn write_event(&self, number: u64, name: &str, document: &Json) -> bool {
        let id = if number > 0 { format!("id: {number}\n") } else { String::new() };
        let text = format!("{id}event: {name}\ndata: {document}\n\n");
        self.send.send(Bytes::from(text)).await.is_ok()
    }
}
