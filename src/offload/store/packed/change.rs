//! What changes packs: rows beside them, rows instead of them, and time. Every function is part of a transaction of its caller.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::{Head, Probe, Range, Reads, Walk, damaged, floor, read_pair, scan, until_of};
use crate::base::limits::{PACK_SPAN_MS_MAX, PACKS_SWEPT_MAX};
use crate::ledger::record::{self, Glance, RecordId};
use crate::offload::packs::bytes::{self, Damage, Pack};
use crate::offload::packs::columns::{ATTEMPTS, AUDIT, Exchange, Made, USAGE};
use crate::offload::store::error::StoreError;
use crate::offload::store::query::Filter;
use crate::offload::store::sql::OnConflict;
use crate::offload::store::sqlite::insert_all;
use crate::offload::store::value::Row;

/// Inserts the rows whose exchange stands in no pack and whose key is not there.
pub fn insert(connection: &Connection, made: &Made, rows: &[Row]) -> Result<u64, StoreError> {
    let id_of = |row: &Row| bytes::id_of(row.values()[0].as_text()?);
    let wanted: HashSet<RecordId> = rows.iter().filter_map(id_of).collect();
    let packed = packed_ids(connection, &wanted)?;
    if packed.is_empty() {
        return Ok(insert_all(connection, made.table, rows, OnConflict::Keep)?);
    }
    let is_new = |row: &&Row| id_of(row).is_none_or(|id| !packed.contains(&id));
    let new: Vec<Row> = rows.iter().filter(is_new).cloned().collect();
    Ok(insert_all(connection, made.table, &new, OnConflict::Keep)?)
}

/// Those of the ids that stand in packs.
fn packed_ids(connection: &Connection, wanted: &HashSet<RecordId>) -> Result<HashSet<RecordId>, StoreError> {
    let mut found = HashSet::new();
    packs_of(connection, wanted, |_, ids| found.extend(ids))?;
    Ok(found)
}

/// Gives the packs that hold any of these exchanges, with the ids of those; a pack may come twice. One that cannot be read holds
/// none: it must not keep new records out for ever.
fn packs_of(
    connection: &Connection,
    wanted: &HashSet<RecordId>,
    mut give: impl FnMut(String, Vec<RecordId>),
) -> Result<(), StoreError> {
    let span_ms = i64::try_from(PACK_SPAN_MS_MAX).unwrap_or(i64::MAX);
    let text = "SELECT id, data FROM ringway_record_packs INDEXED BY ringway_record_packs_from \
                WHERE from_ms >= ?1 AND from_ms <= ?2 AND to_ms >= ?3";
    let mut statement = connection.prepare_cached(text)?;
    let mut times: Vec<i64> = wanted.iter().filter_map(|id| i64::try_from(id.made_ms()).ok()).collect();
    times.sort_unstable();
    // Few of them may be far from the others: what lies between is not read.
    for near in times.chunk_by(|one, next| next - one < NEAR_MS) {
        let (first_ms, last_ms) = (near[0], near[near.len() - 1]);
        let mut rows = statement.query(params![first_ms.saturating_sub(span_ms), last_ms, first_ms])?;
        while let Some(row) = rows.next()? {
            let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let ids = bytes::read(data).unwrap_or_default().into_iter().map(|pair| pair.id);
            let held: Vec<RecordId> = ids.filter(|id| wanted.contains(id)).collect();
            if !held.is_empty() {
                give(row.get(0)?, held);
            }
        }
    }
    Ok(())
}

/// Exchanges that began so close to each other are looked for together.
const NEAR_MS: i64 = 1_000;

/// Turns the packs into rows that hold any of these rows' exchanges.
pub fn unpack_ids(connection: &Connection, rows: &[Row]) -> Result<(), StoreError> {
    let wanted = rows.iter().filter_map(|row| bytes::id_of(row.values()[0].as_text()?)).collect();
    let mut packs = HashSet::new();
    packs_of(connection, &wanted, |pack, _| {
        packs.insert(pack);
    })?;
    packs.iter().try_for_each(|pack| unpack(connection, pack))
}

/// Turns the packs into rows that hold an exchange which is meant.
pub fn unpack_matching(connection: &Connection, made: &Made, filter: &Filter) -> Result<(), StoreError> {
    let mut matching = Matching { probe: Probe::of(made, filter), now: String::new(), packs: Vec::new() };
    let range = Range::of(connection, made, filter)?;
    scan(connection, made, &range, Walk::Anyhow, &mut matching)?;
    matching.packs.iter().try_for_each(|pack| unpack(connection, pack))
}

/// Packs that hold what is meant.
struct Matching<'f> {
    probe: Probe<'f>,
    now: String,
    packs: Vec<String>,
}

impl Reads for Matching<'_> {
    fn wants(&mut self, pack: &Head) -> bool {
        self.now.clone_from(&pack.id);
        true
    }

    fn take(&mut self, exchange: &Exchange<'_>, number: usize) {
        if self.packs.last() != Some(&self.now) && self.probe.holds(exchange, number) {
            self.packs.push(self.now.clone());
        }
    }
}

/// Puts rows in the place of a pack, those that were swept left out.
fn unpack(connection: &Connection, pack: &str) -> Result<(), StoreError> {
    let text =
        "SELECT from_ms, to_ms, usage_to_ms, audit_to_ms, data FROM ringway_record_packs WHERE id = ?1";
    let (head, counts, data) = connection.prepare_cached(text)?.query_row(params![pack], |row| {
        let head = Head { id: pack.to_owned(), from_ms: row.get(0)?, to_ms: row.get(1)? };
        let counts: [Option<i64>; 2] = [row.get(2)?, row.get(3)?];
        Ok((head, counts, row.get::<_, Vec<u8>>(4)?))
    })?;
    let [usage, audit] = counts.map(|until| until.is_some());
    for (made, is_held) in [(&ATTEMPTS, audit), (&AUDIT, audit), (&USAGE, usage)] {
        if is_held {
            let floor_ms = floor(connection, made)?;
            let rows = rows_of(made, &data, floor_ms).map_err(|damage| damaged(&head, damage))?;
            insert_all(connection, made.table, &rows, OnConflict::Keep)?;
        }
    }
    connection.prepare_cached("DELETE FROM ringway_record_packs WHERE id = ?1")?.execute(params![pack])?;
    Ok(())
}

fn rows_of(made: &Made, data: &[u8], floor_ms: i64) -> Result<Vec<Row>, Damage> {
    let mut rows = Vec::new();
    for pair in bytes::read(data)? {
        if i64::try_from(pair.id.made_ms()).is_ok_and(|ms| ms >= floor_ms) {
            read_pair(made, &pair, |exchange, number| rows.push(made.row(exchange, number)))?;
        }
    }
    Ok(rows)
}

/// Notes that nothing in a pack before this time counts for the table any more; takes away what counts for none, and what only
/// the audit log had needed.
pub fn sweep(connection: &Connection, made: &Made, before_ms: i64) -> Result<(), StoreError> {
    if !has_older(connection, made, before_ms)? {
        return Ok(());
    }
    let raise = "INSERT INTO ringway_record_floors (name, before_ms) VALUES (?1, ?2) \
                 ON CONFLICT (name) DO UPDATE SET before_ms = MAX(before_ms, excluded.before_ms)";
    connection.prepare_cached(raise)?.execute(params![made.table.name, before_ms])?;
    let usage_ms = floor(connection, &USAGE)?;
    let audit_ms = floor(connection, &AUDIT)?.min(floor(connection, &ATTEMPTS)?);
    for (own, own_ms, other, other_ms) in [
        ("usage_to_ms", usage_ms, "audit_to_ms", audit_ms),
        ("audit_to_ms", audit_ms, "usage_to_ms", usage_ms),
    ] {
        let delete = format!(
            "DELETE FROM ringway_record_packs WHERE id IN (SELECT id FROM ringway_record_packs \
             WHERE {own} < ?1 AND ({other} IS NULL OR {other} < ?2) LIMIT ?3)"
        );
        connection.prepare_cached(&delete)?.execute(params![own_ms, other_ms, PACKS_SWEPT_MAX])?;
    }
    let spent = "UPDATE ringway_record_packs SET usage_to_ms = NULL WHERE id IN \
                 (SELECT id FROM ringway_record_packs WHERE usage_to_ms < ?1 LIMIT ?2)";
    connection.prepare_cached(spent)?.execute(params![usage_ms, PACKS_SWEPT_MAX])?;
    strip_old(connection, audit_ms)
}

/// Whether a pack that counts for the table holds anything from before this time. Mostly none does, and nothing is written.
fn has_older(connection: &Connection, made: &Made, before_ms: i64) -> Result<bool, StoreError> {
    let (until, index) = until_of(made);
    let text = format!(
        "SELECT 1 FROM ringway_record_packs INDEXED BY ringway_record_packs_{index} \
         WHERE {until} < ?1 AND from_ms < ?2 LIMIT 1"
    );
    let span_ms = i64::try_from(PACK_SPAN_MS_MAX).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&text)?;
    Ok(statement.exists(params![before_ms.saturating_add(span_ms), before_ms])?)
}

/// Takes what only the audit log shows out of packs that are too old for it, addresses of clients among it.
fn strip_old(connection: &Connection, audit_ms: i64) -> Result<(), StoreError> {
    let text = "SELECT id FROM ringway_record_packs WHERE audit_to_ms < ?1 LIMIT ?2";
    let old: Vec<String> = connection
        .prepare_cached(text)?
        .query_map(params![audit_ms, PACKS_SWEPT_MAX], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for pack in old {
        let text = "SELECT data FROM ringway_record_packs WHERE id = ?1";
        let data: Vec<u8> = connection.prepare_cached(text)?.query_row(params![pack], |row| row.get(0))?;
        // What cannot be read stays as it is, and shows up when somebody asks for usage of its time.
        let data = stripped(&data).unwrap_or(data);
        let text = "UPDATE ringway_record_packs SET audit_to_ms = NULL, data = ?2 WHERE id = ?1";
        connection.prepare_cached(text)?.execute(params![pack, data])?;
    }
    Ok(())
}

/// The pack with what usage needs of it.
fn stripped(data: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut pack = Pack::default();
    for pair in bytes::read(data)? {
        let bare = pair.without_audit()?;
        let begun = [bare.pair().own, bare.pair().common].concat();
        let Some(Glance::Begun(_, glance)) = record::glance(&begun) else { return Err(Damage::Changed) };
        if !glance.skips_usage {
            pack.add(glance, bare.pair());
        }
    }
    Ok(pack.row().get("data").as_bytes().unwrap_or_default().to_vec())
}
