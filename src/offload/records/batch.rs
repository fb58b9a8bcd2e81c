//! One batch of a journal on its way into the store: beginnings are joined with ends, and what comes of it goes into packs or
//! into rows.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Records;
use super::rows::{Bodies, Rows};
use crate::base::clock;
use crate::base::limits::PACK_SPAN_MS_MAX;
use crate::config::RecordsAs;
use crate::journal::Batch;
use crate::ledger::record::{self, BegunGlance, Glance, Record, RecordId};
use crate::offload::packs::bytes::{Packs, Pair};
use crate::offload::store::{ErrorKind, News, Store, StoreError, tables};

/// Beginnings without an end yet, as their records came.
#[derive(Default)]
pub struct Open {
    pub begun: HashMap<RecordId, Box<[u8]>, RandomState>,
    /// Pieces of headers and bodies, which stand right in front of an end: those of one exchange for each shard.
    pub parts: Parts,
}

type Parts = HashMap<RecordId, Vec<Box<[u8]>>, RandomState>;

/// Puts a batch into the store. Beginnings wait in `open` for their ends. What may be in the store already goes as rows.
pub async fn store_batch(
    store: &Store,
    batch: &Batch,
    open: &mut Open,
    records: &Records,
    news: News,
) -> Result<(), StoreError> {
    let mut sorted = Sorted::new(records, news);
    for bytes in batch.records() {
        sorted.add(bytes, open);
    }
    let Sorted { rows, packs, is_watched, watched, fresh, parts, late, ended, lost, unreadable, .. } = sorted;
    let mut told = watched.as_ref().map_or_else(Vec::new, Rows::told);
    if is_watched {
        told.extend(rows.told());
    }
    let unfit = rows.store(store, news).await? as u64;
    let packs = packs.map_or_else(Vec::new, Packs::rows);
    let count = packs.len() as u64;
    if store.insert_known(&tables::RECORD_PACKS, packs, News::Sure).await? < count {
        // It cannot be; if it is, what is in them goes as rows.
        return Err(StoreError::new(ErrorKind::Conflict, "a pack of these records is there already"));
    }
    for (at, told) in told.into_iter().enumerate() {
        told.tell(&records.live);
        if at % TOLD_AT_ONCE == TOLD_AT_ONCE - 1 {
            // Who watches gets its turn.
            tokio::task::yield_now().await;
        }
    }
    let counts = &records.counts;
    counts.lost.set(counts.lost.get() + lost);
    counts.unreadable.set(counts.unreadable.get() + unreadable + unfit);
    counts.stored.set(counts.stored.get() + ended);
    for id in &late {
        open.begun.remove(id);
        open.parts.remove(id);
    }
    for (id, mut pieces) in parts {
        open.parts.entry(id).or_default().append(&mut pieces);
    }
    open.begun.extend(fresh.into_iter().map(|(id, (_, bytes))| (id, bytes.into())));
    Ok(())
}

/// What the records of a batch come to.
struct Sorted<'b> {
    news: News,
    now_ms: u64,
    rows: Rows,
    packs: Option<Packs>,
    is_watched: bool,
    /// The exchanges in packs as rows, while somebody watches.
    watched: Option<Rows>,
    /// Most exchanges begin and end within one batch: those are never copied on their own.
    fresh: HashMap<RecordId, (BegunGlance, &'b [u8]), RandomState>,
    parts: Parts,
    /// Ends of what began in an earlier batch.
    late: Vec<RecordId>,
    ended: u64,
    lost: u64,
    unreadable: u64,
}

impl<'b> Sorted<'b> {
    fn new(records: &Records, news: News) -> Sorted<'b> {
        let audits = records.audits();
        let has_packs = news == News::Sure && records.kept_as() == RecordsAs::Packs;
        let is_watched = records.live.is_heard();
        Sorted {
            news,
            now_ms: clock::wall_ms(),
            rows: Rows::new(audits),
            packs: has_packs.then(|| Packs::new(audits)),
            is_watched,
            watched: (has_packs && is_watched).then(|| Rows::new(audits)),
            fresh: HashMap::default(),
            parts: Parts::default(),
            late: Vec::new(),
            ended: 0,
            lost: 0,
            unreadable: 0,
        }
    }

    fn add(&mut self, bytes: &'b [u8], open: &Open) {
        // What another version may have written is read to its end before anything is built on it.
        let is_readable = self.news == News::Sure || record::read(bytes).is_some();
        match record::glance(bytes).filter(|_| is_readable) {
            Some(Glance::Begun(id, glance)) => drop(self.fresh.insert(id, (glance, bytes))),
            Some(Glance::Ended(id)) => self.end(id, bytes, open),
            Some(Glance::Part(id)) => self.parts.entry(id).or_default().push(bytes.into()),
            Some(Glance::Other) => match record::read(bytes) {
                Some(Record::Owned(owned)) => self.rows.own(&owned),
                Some(Record::Lost(count)) => self.lost += count,
                _ => self.unreadable += 1,
            },
            None => self.unreadable += 1,
        }
    }

    fn end(&mut self, id: RecordId, ended: &[u8], open: &Open) {
        self.ended += 1;
        let begun = self.fresh.remove(&id).or_else(|| {
            self.late.push(id);
            let begun = open.begun.get(&id)?;
            match record::glance(begun)? {
                Glance::Begun(_, glance) => Some((glance, &**begun)),
                _ => None,
            }
        });
        let has_parts = self.parts.contains_key(&id) || open.parts.contains_key(&id);
        match (begun, &mut self.packs) {
            (Some((glance, begun)), Some(packs))
                if !has_parts
                    && is_packable(self.now_ms, glance)
                    && let Some(pair) = Pair::of(id, begun, glance, ended) =>
            {
                packs.add(self.now_ms, glance, pair);
                if let Some(watched) = &mut self.watched {
                    add_row(watched, id, Some(begun), ended, Bodies::default());
                }
            }
            (begun, _) => self.end_as_row(id, begun.map(|(_, bytes)| bytes), ended, open),
        }
    }

    fn end_as_row(&mut self, id: RecordId, begun: Option<&[u8]>, ended: &[u8], open: &Open) {
        let own = self.parts.remove(&id);
        if open.parts.contains_key(&id) {
            self.late.push(id);
        }
        let pieces = open.parts.get(&id).into_iter().chain(&own).flatten();
        let bodies = Bodies::of(pieces.filter_map(|bytes| as_part(bytes)));
        add_row(&mut self.rows, id, begun, ended, bodies);
    }
}

/// Whether an exchange may stand in a pack: its time is that of its id, which is like no other, and not long ago.
fn is_packable(now_ms: u64, glance: BegunGlance) -> bool {
    glance.is_request && now_ms.saturating_sub(glance.at_ms) <= PACK_SPAN_MS_MAX
}

/// Adds an exchange by its records. Ones without a beginning that can be read have what is known.
fn add_row(rows: &mut Rows, id: RecordId, begun: Option<&[u8]>, ended: &[u8], bodies: Bodies) {
    if let Some(Record::Ended(_, ended)) = record::read(ended) {
        rows.add(id, begun.and_then(as_begun).as_ref(), &ended, bodies);
    }
}

pub fn as_begun(bytes: &[u8]) -> Option<record::Begun<'_>> {
    match record::read(bytes)? {
        Record::Begun(_, begun) => Some(*begun),
        _ => None,
    }
}

pub fn as_part(bytes: &[u8]) -> Option<record::Part<'_>> {
    match record::read(bytes)? {
        Record::Part(_, part) => Some(part),
        _ => None,
    }
}

/// Rows that are told to those who watch before these get a turn.
const TOLD_AT_ONCE: usize = 128;
