//! What packs come to, kept for a question that is asked again and again over times that go on. A pack never changes: it is
//! read once, and what it comes to stands here until the question has left it behind.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{Adding, Head, Range, damaged, read_pack, read_pair, until_of};
use crate::base::limits::{PACK_GROUPS_KEPT_MAX, PACK_SPAN_MS_MAX, PACKS_KEPT_MS};
use crate::ledger::record;
use crate::offload::packs::bytes::{self, Damage};
use crate::offload::packs::columns::{self, Made, USAGE};
use crate::offload::store::error::StoreError;
use crate::offload::store::fold::Fold;
use crate::offload::store::query::{By, Filter, Group, Groups, Op, Sum, Summary, Test};
use crate::offload::store::value::Value;

/// The sums of packs, for one question at a time.
#[derive(Default)]
pub struct Kept {
    table: &'static str,
    by: Vec<By>,
    sums: Vec<&'static str>,
    packs: HashMap<PackKey, Box<[Part]>>,
    /// How many groups the packs have.
    parts_count: usize,
    /// What rows have in common, once for all packs, and the number of each.
    common: Vec<Arc<[Value]>>,
    numbers: HashMap<Arc<[Value]>, u32>,
}

/// Which pack it is: the number of its row and its times. The index has all of it, and no page of a pack is touched. A row's number
/// may come again when the newest pack has gone, and then the times are others: whoever made way for rows held what began before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct PackKey {
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
    /// Whether what packs come to can be kept for this question: that is so where nothing but time is asked for.
    pub fn is_for(summary: &Summary) -> bool {
        let is_range =
            |test: &Test| matches!(test, Test::Compare(op, _) if *op != Op::Equal && *op != Op::NotEqual);
        let of_time = |filter: &Filter| {
            filter.conditions.iter().all(|one| one.column == "at_ms" && is_range(&one.test))
        };
        summary.is_asked_again && of_time(&summary.filter)
    }

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
        let span_ms = i64::try_from(PACK_SPAN_MS_MAX).unwrap_or(i64::MAX);
        let bounds = params![range.from_ms, range.to_ms, range.to_ms.saturating_add(span_ms)];
        let mut statement = connection.prepare_cached(&keys_text(made))?;
        // It stays open while packs are read, so that it is what a call that is given up is interrupted in.
        let mut rows = statement.query(bounds)?;
        while let Some(row) = rows.next()? {
            let key = PackKey { row: row.get(0)?, from_ms: row.get(1)?, to_ms: row.get(2)? };
            // At an end of the range itself the question may leave something out.
            let is_inside = range.from_ms < key.from_ms && key.to_ms < range.to_ms;
            if let Some(parts) = self.packs.get(&key).filter(|_| is_inside) {
                let common = &self.common;
                parts
                    .iter()
                    .for_each(|part| fold.merge(&common[part.common as usize], part.rows, &part.sums));
                continue;
            }
            let way = if is_inside && is_of_common(summary) { Way::Costs } else { Way::Rows };
            let groups = read(connection, made, summary, range, key, way)?;
            groups.groups.iter().for_each(|group| fold.merge(&group.by, group.rows, &group.sums));
            let has_room = self.parts_count + groups.groups.len() <= PACK_GROUPS_KEPT_MAX;
            if is_inside && has_room && !groups.is_cut {
                self.keep(key, groups);
            }
        }
        Ok(fold.groups())
    }

    /// Lets go of what is of another question, or is left behind.
    fn prepare(&mut self, summary: &Summary, range: &Range) {
        let is_same = self.table == summary.table.name && self.by == summary.by && self.sums == summary.sums;
        if !is_same || self.common.len() > PACK_GROUPS_KEPT_MAX {
            let (by, sums) = (summary.by.clone(), summary.sums.clone());
            *self = Kept { table: summary.table.name, by, sums, ..Kept::default() };
        }
        let left_ms = range.to_ms.saturating_sub(PACKS_KEPT_MS);
        self.packs.retain(|key, parts| {
            let stays = key.to_ms >= left_ms;
            self.parts_count -= if stays { 0 } else { parts.len() };
            stays
        });
    }

    fn keep(&mut self, key: PackKey, groups: Groups) {
        let part = |group: Group| {
            let known = self.numbers.get(&*group.by).copied();
            let common = known.unwrap_or_else(|| {
                let (common, number) = (Arc::<[Value]>::from(group.by), self.common.len() as u32);
                self.common.push(common.clone());
                self.numbers.insert(common, number);
                number
            });
            Part { common, rows: group.rows, sums: group.sums.into() }
        };
        let parts: Box<[Part]> = groups.groups.into_iter().map(part).collect();
        self.parts_count += parts.len();
        self.packs.insert(key, parts);
    }
}

/// Asks for the packs that may hold exchanges of a range.
fn keys_text(made: &Made) -> String {
    let (until, index) = until_of(made);
    format!(
        "SELECT rowid, from_ms, {until} FROM ringway_record_packs INDEXED BY ringway_record_packs_{index} \
         WHERE {until} >= ?1 AND {until} <= ?3 AND from_ms <= ?2"
    )
}

/// How a pack is added up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As if each exchange had its row.
    Rows,
    /// All of it, by the costs alone.
    Costs,
}

/// Whether the groups of a question are those of second parts of beginnings, and their costs all that is asked for.
fn is_of_common(summary: &Summary) -> bool {
    let is_common = |by: &By| matches!(by, By::Column(column) if columns::is_common(column));
    summary.table.name == USAGE.table.name
        && summary.sums == ["total_cost"]
        && summary.by.iter().all(is_common)
}

/// What the exchanges of one pack come to that lie in the range.
fn read(
    connection: &Connection,
    made: &Made,
    summary: &Summary,
    range: &Range,
    key: PackKey,
    way: Way,
) -> Result<Groups, StoreError> {
    let text = "SELECT id, data FROM ringway_record_packs WHERE rowid = ?1";
    let mut statement = connection.prepare_cached(text)?;
    let mut rows = statement.query(params![key.row])?;
    let mut adding = Adding::of(made, summary, Fold::new(summary));
    if let Some(row) = rows.next()? {
        let head = Head { id: row.get(0)?, from_ms: key.from_ms, to_ms: key.to_ms };
        let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let result = match way {
            Way::Rows => read_pack(made, range, data, &mut adding),
            Way::Costs => add_costs(data, &mut adding),
        };
        result.map_err(|damage| damaged(&head, damage))?;
    }
    Ok(adding.fold.groups())
}

/// Adds up the costs of all exchanges of a pack by the second parts of their beginnings: of each of those one exchange is read, and of
/// all others the cost.
fn add_costs(data: &[u8], adding: &mut Adding<'_>) -> Result<(), Damage> {
    let (mut held, mut sums) = (bytes::open(data)?, Vec::<Option<Costs>>::new());
    while let Some((pair, number)) = held.next_pair()? {
        if record::glance_own(pair.own).ok_or(Damage::Changed)?.skips_usage {
            continue;
        }
        if sums.len() <= number {
            sums.resize_with(number + 1, || None);
        }
        let costs = match &mut sums[number] {
            Some(costs) => costs,
            none => {
                let mut by = Vec::new();
                read_pair(&USAGE, &pair, |exchange, number| by = adding.by_of(exchange, number))?;
                none.insert(Costs { by, rows: 0, sum: Sum::default() })
            }
        };
        costs.rows += 1;
        if let Some(cost) = pair.end.cost().ok_or(Damage::Changed)? {
            costs.sum.known += 1;
            costs.sum.total += i128::from(Value::Money(cost).clamped_number());
        }
    }
    sums.iter().flatten().for_each(|costs| adding.fold.merge(&costs.by, costs.rows, &[costs.sum]));
    Ok(())
}

/// What exchanges with the same second part come to.
struct Costs {
    by: Vec<Value>,
    rows: u64,
    sum: Sum,
}
