//! Usage and the audit log out of packs and rows together, on SQLite: the same answers as if every exchange had rows. One pack is
//! read at a time; what is held beside it is the answer. A pack that cannot be read makes the question an error that names
//! it, and never a smaller number.

mod change;
mod kept;

pub use change::{insert, sweep, unpack_ids, unpack_matching};
pub use kept::Kept;

use std::cmp::Ordering;

use rusqlite::{Connection, params};

use super::error::{ErrorKind, StoreError};
use super::fold::{Fold, common};
use super::query::{By, Direction, Filter, Groups, Op, Select, Summary, Test};
use super::value::{Columns, Row, Value};
use crate::base::limits::PACK_SPAN_MS_MAX;
use crate::ledger::record::{RecordId, Remarks};
use crate::offload::packs::bytes::{self, Damage, Pair};
use crate::offload::packs::columns::{Exchange, Made, Make, is_verbatim};

/// The rows of packs that are meant, joined with those that the table has. `rows` asks the table.
pub fn select(
    connection: &Connection,
    made: &'static Made,
    select: &Select,
    rows: impl FnOnce(&Select) -> Result<Vec<Row>, StoreError>,
) -> Result<Vec<Row>, StoreError> {
    if select.limit == 0 {
        return Ok(Vec::new());
    }
    // The order is needed to find the place of a row among the others.
    let mut names: Vec<&'static str> = select.columns.iter().map(|column| column.name).collect();
    let wanted = names.len();
    names.extend(
        select.order.iter().filter(|name| !select.columns.iter().any(|column| column.name == **name)),
    );
    let columns = Columns::named(select.table, &names);
    let found = rows(&Select { columns, ..select.clone() })?;
    let mut held = Held::new(made, select, &names);
    held.kept.extend(found.into_iter().map(|row| (select.cursor(&row), row.into_values())));
    held.settle();
    let walk = Walk::of(made, select);
    let range = Range::of(connection, made, &select.filter)?.behind(made, select);
    scan(connection, made, &range, walk, &mut held)?;
    held.settle();
    let row = |(_, mut values): (Vec<Value>, Vec<Value>)| {
        values.truncate(wanted);
        Row::of(select.table, &select.columns, values)
    };
    Ok(held.kept.into_iter().map(row).collect())
}

/// Sums over packs, beginning with those that the table gave. Of a question that is asked again, what packs come to is kept for the
/// next time.
pub fn summarise(
    connection: &Connection,
    made: &'static Made,
    summary: &Summary,
    of_rows: Groups,
    kept: &mut Kept,
) -> Result<Groups, StoreError> {
    let range = Range::of(connection, made, &summary.filter)?;
    let fold = Fold::over(summary, of_rows);
    if Kept::is_for(summary) {
        return kept.add(connection, made, summary, &range, fold);
    }
    let mut adding = Adding::of(made, summary, fold);
    scan(connection, made, &range, Walk::Anyhow, &mut adding)?;
    Ok(adding.fold.groups())
}

/// The times that exchanges must have, both ends included, and texts that must stand in their records, or the id that one is of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    from_ms: i64,
    to_ms: i64,
    texts: Vec<(String, Option<RecordId>)>,
}

impl Range {
    /// What the conditions on time and id leave, above the floor below which everything was swept.
    fn of(connection: &Connection, made: &Made, filter: &Filter) -> Result<Range, StoreError> {
        let mut range = Range { from_ms: floor(connection, made)?, to_ms: i64::MAX, texts: Vec::new() };
        for condition in &filter.conditions {
            let is_id = condition.column == made.table.key[0];
            let is_time = condition.column == "at_ms";
            match &condition.test {
                Test::Compare(op, value) if is_time => range.narrow(*op, value.clamped_number()),
                Test::Compare(Op::Equal, value) if is_id => range.keep(std::slice::from_ref(value)),
                Test::In(values) if is_id => range.keep(values),
                Test::Compare(Op::Equal, Value::Text(text)) if is_verbatim(condition.column) => {
                    range.texts.push((text.clone(), bytes::id_of(text)));
                }
                _ => {}
            }
        }
        Ok(range)
    }

    fn narrow(&mut self, op: Op, ms: i64) {
        if matches!(op, Op::Equal | Op::AtLeast | Op::Greater) {
            self.from_ms = self.from_ms.max(ms);
        }
        if matches!(op, Op::Equal | Op::AtMost | Op::Less) {
            self.to_ms = self.to_ms.min(ms);
        }
    }

    fn holds(&self, id: RecordId) -> bool {
        i64::try_from(id.made_ms()).is_ok_and(|ms| (self.from_ms..=self.to_ms).contains(&ms))
    }

    /// Only exchanges of these ids, whose times stand in them.
    fn keep(&mut self, ids: &[Value]) {
        let times = || ids.iter().filter_map(made_ms);
        self.from_ms = self.from_ms.max(times().min().unwrap_or(i64::MAX));
        self.to_ms = self.to_ms.min(times().max().unwrap_or(i64::MIN));
    }

    /// Only what may come behind a cursor.
    fn behind(mut self, made: &Made, select: &Select) -> Range {
        let place = select.after.as_ref().and_then(|cursor| place_ms(made, select, cursor));
        match (place, select.direction) {
            (Some(ms), Direction::Ascending) => self.narrow(Op::AtLeast, ms),
            (Some(ms), Direction::Descending) => self.narrow(Op::AtMost, ms),
            (None, _) => {}
        }
        self
    }
}

/// The time in the id of an exchange that may stand in a pack: those of others are another one than theirs.
fn made_ms(id: &Value) -> Option<i64> {
    i64::try_from(bytes::id_of(id.as_text()?)?.made_ms()).ok()
}

/// The time of a place in an order that goes by time, or by ids, which begin with it.
fn place_ms(made: &Made, select: &Select, place: &[Value]) -> Option<i64> {
    match select.order[0] {
        "at_ms" => place[0].as_integer(),
        first if first == made.table.key[0] => made_ms(&place[0]),
        _ => None,
    }
}

fn floor(connection: &Connection, made: &Made) -> Result<i64, StoreError> {
    let text = "SELECT before_ms FROM ringway_record_floors WHERE name = ?1";
    let mut statement = connection.prepare_cached(text)?;
    let mut found = statement.query(params![made.table.name])?;
    Ok(found.next()?.map_or(Ok(i64::MIN), |row| row.get(0))?)
}

/// In which order packs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    Newest,
    Oldest,
    Anyhow,
}

impl Walk {
    fn of(made: &Made, select: &Select) -> Walk {
        match select.direction {
            _ if select.order[0] != "at_ms" && select.order[0] != made.table.key[0] => Walk::Anyhow,
            Direction::Ascending => Walk::Oldest,
            Direction::Descending => Walk::Newest,
        }
    }
}

/// Which pack is read now.
struct Head {
    id: String,
    from_ms: i64,
    to_ms: i64,
}

/// Who reads packs.
trait Reads {
    /// Whether this pack is needed. After a no comes no other one.
    fn wants(&mut self, _pack: &Head) -> bool {
        true
    }

    /// A row of an exchange.
    fn take(&mut self, exchange: &Exchange<'_>, number: usize);
}

/// Reads the packs that may hold exchanges of this range, and of them what lies in it.
fn scan(
    connection: &Connection,
    made: &Made,
    range: &Range,
    walk: Walk,
    reader: &mut impl Reads,
) -> Result<(), StoreError> {
    let span_ms = i64::try_from(PACK_SPAN_MS_MAX).unwrap_or(i64::MAX);
    // No pack spans more, so that both ends of a range are found by an index.
    let bounds = params![
        range.from_ms,
        range.to_ms,
        range.from_ms.saturating_sub(span_ms),
        range.to_ms.saturating_add(span_ms)
    ];
    let mut statement = connection.prepare_cached(&scan_text(made, walk))?;
    let mut rows = statement.query(bounds)?;
    while let Some(row) = rows.next()? {
        let head = Head { id: row.get(0)?, from_ms: row.get(1)?, to_ms: row.get(2)? };
        if !reader.wants(&head) {
            break;
        }
        let data = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        read_pack(made, range, data, reader).map_err(|damage| damaged(&head, damage))?;
    }
    Ok(())
}

fn scan_text(made: &Made, walk: Walk) -> String {
    let (until, index) = until_of(made);
    // Named, because any other way would sort whole packs.
    let (index, order) = match walk {
        Walk::Newest => (index, format!(" ORDER BY {until} DESC")),
        Walk::Oldest => ("from", " ORDER BY from_ms".to_owned()),
        Walk::Anyhow => (index, String::new()),
    };
    format!(
        "SELECT id, from_ms, {until}, data FROM ringway_record_packs \
         INDEXED BY ringway_record_packs_{index} WHERE {until} >= ?1 AND {until} <= ?4 \
         AND from_ms >= ?3 AND from_ms <= ?2{order}"
    )
}

/// The column that says until when a pack counts for the table, and its index.
fn until_of(made: &Made) -> (&'static str, &'static str) {
    if made.table.name == "usage" { ("usage_to_ms", "usage_to") } else { ("audit_to_ms", "audit_to") }
}

fn read_pack(made: &Made, range: &Range, data: &[u8], reader: &mut impl Reads) -> Result<(), Damage> {
    let mut held = bytes::open(data)?;
    // Far faster than to look at each exchange, where few have what is looked for.
    let holds = |part: &[u8]| memchr::memmem::find(held.bytes(), part).is_some();
    let is_there = |(text, id): &(String, Option<RecordId>)| {
        holds(text.as_bytes()) || id.is_some_and(|id| holds(&id.0.to_le_bytes()))
    };
    if !range.texts.iter().all(is_there) {
        return Ok(());
    }
    while let Some((pair, _)) = held.next_pair()? {
        if range.holds(pair.id) {
            read_pair(made, &pair, |exchange, number| reader.take(exchange, number))?;
        }
    }
    Ok(())
}

/// The rows that an exchange comes to.
fn read_pair(made: &Made, pair: &Pair<'_>, mut take: impl FnMut(&Exchange<'_>, usize)) -> Result<(), Damage> {
    let (begun, ended) = pair.read()?;
    let exchange = Exchange { id: pair.id, begun: &begun, ended: &ended, remarks: Remarks::default() };
    (0..(made.rows)(&exchange)).for_each(|number| take(&exchange, number));
    Ok(())
}

fn damaged(pack: &Head, damage: Damage) -> StoreError {
    let Head { id, from_ms, to_ms } = pack;
    let what = format!("the pack {id} of records from {from_ms} to {to_ms} (milliseconds) {damage}");
    StoreError::new(ErrorKind::Broken, what)
}

/// A filter that looks at exchanges.
struct Probe<'f> {
    tests: Vec<(Make, &'f Test)>,
}

impl<'f> Probe<'f> {
    fn of(made: &Made, filter: &'f Filter) -> Probe<'f> {
        Probe { tests: filter.conditions.iter().map(|one| (made.of(one.column), &one.test)).collect() }
    }

    fn holds(&self, exchange: &Exchange<'_>, number: usize) -> bool {
        self.tests.iter().all(|(make, test)| test.holds(&make(exchange, number)))
    }
}

/// The rows that are best so far: their places in the order, and their values.
struct Held<'s> {
    made: &'static Made,
    select: &'s Select,
    probe: Probe<'s>,
    order: Vec<Make>,
    columns: Vec<Make>,
    kept: Vec<(Vec<Value>, Vec<Value>)>,
    /// There are as many as are wanted, and this is the place of the last.
    last: Option<Vec<Value>>,
}

impl<'s> Held<'s> {
    fn new(made: &'static Made, select: &'s Select, names: &[&'static str]) -> Held<'s> {
        Held {
            made,
            select,
            probe: Probe::of(made, &select.filter),
            order: select.order.iter().map(|name| made.of(name)).collect(),
            columns: names.iter().map(|name| made.of(name)).collect(),
            kept: Vec::new(),
            last: None,
        }
    }

    fn is_before(&self, one: &[Value], other: &[Value]) -> bool {
        let order = places(one, other);
        match self.select.direction {
            Direction::Ascending => order.is_lt(),
            Direction::Descending => order.is_gt(),
        }
    }

    /// Lets go of those that are too many.
    fn settle(&mut self) {
        match self.select.direction {
            Direction::Ascending => self.kept.sort_by(|one, other| places(&one.0, &other.0)),
            Direction::Descending => self.kept.sort_by(|one, other| places(&other.0, &one.0)),
        }
        self.kept.truncate(self.select.limit);
        let is_full = self.kept.len() == self.select.limit;
        self.last = self.kept.last().filter(|_| is_full).map(|(place, _)| place.clone());
    }
}

/// Which of two places comes first.
fn places(one: &[Value], other: &[Value]) -> Ordering {
    let orders = one.iter().zip(other).map(|(one, other)| one.order(other));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

impl Reads for Held<'_> {
    fn wants(&mut self, pack: &Head) -> bool {
        let limit = self.select.limit;
        if self.kept.len() > limit || self.kept.len() == limit && self.last.is_none() {
            self.settle();
        }
        let last_ms = self.last.as_ref().and_then(|last| place_ms(self.made, self.select, last));
        match (last_ms, self.select.direction) {
            (Some(ms), Direction::Ascending) => pack.from_ms <= ms,
            (Some(ms), Direction::Descending) => pack.to_ms >= ms,
            (None, _) => true,
        }
    }

    fn take(&mut self, exchange: &Exchange<'_>, number: usize) {
        if !self.probe.holds(exchange, number) {
            return;
        }
        let place: Vec<Value> = self.order.iter().map(|make| make(exchange, number)).collect();
        let is_behind = self.select.after.as_ref().is_none_or(|cursor| self.is_before(cursor, &place));
        if is_behind && self.last.as_ref().is_none_or(|last| self.is_before(&place, last)) {
            self.kept.push((place, self.columns.iter().map(|make| make(exchange, number)).collect()));
        }
        if self.kept.len() >= self.select.limit.saturating_mul(2).max(KEPT_MIN) {
            self.settle();
        }
    }
}

/// Rows that are gathered before those that are too many go.
const KEPT_MIN: usize = 1_024;

/// Sums as they are put together.
struct Adding<'s> {
    probe: Probe<'s>,
    by: Vec<(By, Make)>,
    sums: Vec<Make>,
    fold: Fold,
}

impl<'s> Adding<'s> {
    fn of(made: &Made, summary: &'s Summary, fold: Fold) -> Adding<'s> {
        Adding {
            probe: Probe::of(made, &summary.filter),
            by: summary.by.iter().map(|by| (*by, made.of(by.column()))).collect(),
            sums: summary.sums.iter().map(|name| made.of(name)).collect(),
            fold,
        }
    }

    /// What a row has in common with those of its group.
    fn by_of(&self, exchange: &Exchange<'_>, number: usize) -> Vec<Value> {
        self.by.iter().map(|(by, make)| common(*by, make(exchange, number))).collect()
    }
}

impl Reads for Adding<'_> {
    fn take(&mut self, exchange: &Exchange<'_>, number: usize) {
        if self.probe.holds(exchange, number) {
            let by = self.by_of(exchange, number);
            self.fold.add(by, self.sums.iter().map(|make| make(exchange, number)));
        }
    }
}
