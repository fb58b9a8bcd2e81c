//! What packs come to, kept for a question that is asked again and again over times that go on. A pack never changes: it is
//! read once, and what it comes to stands here until the question has left it behind.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{Adding, Head, Range, damaged, read_pack, until_of};
use crate::base::limits::{PACK_SPAN_MS_MAX, PACKS_KEPT_MAX, PACKS_KEPT_MS};
use crate::offload::packs::columns::Made;
use crate::offload::store::error::StoreError;
use crate::offload::store::fold::Fold;
use crate::offload::store::query::{By, Group, Groups, Sum, Summary};
use crate::offload::store::value::Value;

/// The sums of packs, for one question at a time.
#[derive(Default)]
pub struct Kept {
    by: Vec<By>,
    sums: Vec<&'static str>,
    packs: HashMap<Place, Box<[Part]>>,
    /// What rows have in common, once for all packs.
    common: Vec<Vec<Value>>,
    places: HashMap<Vec<Value>, u32>,
}

/// Which pack it is: the number of its row and its times. The index has all of it, and no page of a pack is touched.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    row: i64,
    from_ms: i64,
    to_ms: i64,
}

/// One group of a pack.
struct Part {
    common: u32,
    rows: u64,
    sums: Box<[Sum]>,
}

impl Kept {
    /// Adds all packs of a range, of which only those are read that are not known, or lie in it in part.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        made: &Made,
        summary: &Summary,
        range: &Range,
        mut fold: Fold,
    ) -> Result<Groups, StoreError> {
        self.prepare(summary, range);
        for place in places(connection, made, range)? {
            // At an end of the range itself the question may leave something out.
            let is_inside = range.from_ms < place.from_ms && place.to_ms < range.to_ms;
            if let Some(parts) = self.packs.get(&place).filter(|_| is_inside) {
                let common = &self.common;
                parts
                    .iter()
                    .for_each(|part| fold.merge(&common[part.common as usize], part.rows, &part.sums));
                continue;
            }
            let groups = read(connection, made, summary, range, place)?;
            groups.groups.iter().for_each(|group| fold.merge(&group.by, group.rows, &group.sums));
            if is_inside && !groups.is_cut {
                self.keep(place, groups);
            }
        }
        Ok(fold.groups())
    }

    /// Lets go of what is of another question, or is left behind, or is too much.
    fn prepare(&mut self, summary: &Summary, range: &Range) {
        let is_same = self.by == summary.by && self.sums == summary.sums;
        if !is_same || self.packs.len() > PACKS_KEPT_MAX || self.common.len() > PACKS_KEPT_MAX {
            *self = Kept { by: summary.by.clone(), sums: summary.sums.clone(), ..Kept::default() };
        }
        let left_ms = range.to_ms.saturating_sub(PACKS_KEPT_MS);
        self.packs.retain(|place, _| place.to_ms >= left_ms);
    }

    fn keep(&mut self, place: Place, groups: Groups) {
        let part = |group: Group| {
            let next = self.common.len() as u32;
            let common = *self.places.entry(group.by).or_insert_with_key(|by| {
                self.common.push(by.clone());
                next
            });
            Part { common, rows: group.rows, sums: group.sums.into() }
        };
        let parts = groups.groups.into_iter().map(part).collect();
        self.packs.insert(place, parts);
    }
}

/// The packs that may hold exchanges of the range.
fn places(connection: &Connection, made: &Made, range: &Range) -> Result<Vec<Place>, StoreError> {
    let span_ms = i64::try_from(PACK_SPAN_MS_MAX).unwrap_or(i64::MAX);
    let (until, index) = until_of(made);
    let text = format!(
        "SELECT rowid, from_ms, {until} FROM ringway_record_packs INDEXED BY ringway_record_packs_{index} \
         WHERE {until} >= ?1 AND {until} <= ?3 AND from_ms <= ?2"
    );
    let bounds = params![range.from_ms, range.to_ms, range.to_ms.saturating_add(span_ms)];
    let mut statement = connection.prepare_cached(&text)?;
    let places = statement
        .query_map(bounds, |row| Ok(Place { row: row.get(0)?, from_ms: row.get(1)?, to_ms: row.get(2)? }))?;
    Ok(places.collect::<rusqlite::Result<_>>()?)
}

/// What the exchanges of one pack come to that lie in the range.
fn read(
    connection: &Connection,
    made: &Made,
    summary: &Summary,
    range: &Range,
    place: Place,
) -> Result<Groups, StoreError> {
    let text = "SELECT id, data FROM ringway_record_packs WHERE rowid = ?1";
    let mut statement = connection.prepare_cached(text)?;
    let mut rows = statement.query(params![place.row])?;
    let mut adding = Adding::of(made, summary, Fold::new(summary));
    if let Some(row) = rows.next()? {
        let head = Head { id: row.get(0)?, from_ms: place.from_ms, to_ms: place.to_ms };
        let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        read_pack(made, range, data, &mut adding).map_err(|damage| damaged(&head, damage))?;
    }
    Ok(adding.fold.groups())
}
