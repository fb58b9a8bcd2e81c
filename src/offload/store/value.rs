//! Values and rows on their way between the house and a store.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::schema::{Column, Kind, Table};
use crate::base::limits::STORE_INDEXED_TEXT_BYTES_MAX;
use crate::base::money::Pico;

/// One value of one column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Not known. Never the same as 0 or an empty text.
    Null,
    Text(String),
    Integer(i64),
    Money(Pico),
    Flag(bool),
    Json(String),
    Names(Vec<String>),
    /// Milliseconds since the Unix epoch.
    TimeMs(i64),
    Bytes(Vec<u8>),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// A count; those beyond 63 bits, which no exchange reaches, stand as the largest.
    pub fn count(count: u64) -> Value {
        Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub fn time_ms(ms: u64) -> Value {
        Value::TimeMs(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// The value inside, or `Null` for nothing.
    pub fn maybe<T>(inner: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
        inner.map_or(Value::Null, make)
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Json(text) => Some(text),
            _ => None,
        }
    }

    /// Integers and times.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) | Value::TimeMs(number) => Some(*number),
            _ => None,
        }
    }

    pub fn as_money(&self) -> Option<Pico> {
        match self {
            Value::Money(money) => Some(*money),
            _ => None,
        }
    }

    pub fn as_flag(&self) -> Option<bool> {
        match self {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    pub fn as_names(&self) -> Option<&[String]> {
        match self {
            Value::Names(names) => Some(names),
            _ => None,
        }
    }

    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Integers, times and money as the number that a store holds. Money beyond 64 bits, which no row holds, becomes the
    /// largest or least number; other kinds have none and give 0.
    pub(super) fn clamped_number(&self) -> i64 {
        match self {
            Value::Integer(number) | Value::TimeMs(number) => *number,
            Value::Money(money) => {
                i64::try_from(money.0).unwrap_or(if money.0 < 0 { i64::MIN } else { i64::MAX })
            }
            _ => 0,
        }
    }

    /// Which comes first of two values of one column: texts by their UTF-8 bytes, what is not known before all else.
    pub(super) fn order(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Text(one) | Value::Json(one), Value::Text(two) | Value::Json(two)) => one.cmp(two),
            (Value::Bytes(one), Value::Bytes(two)) => one.cmp(two),
            (Value::Flag(one), Value::Flag(two)) => one.cmp(two),
            // As the text of a list, which is what SQLite holds.
            (Value::Names(one), Value::Names(two)) => {
                let text = |names: &[String]| serde_json::Value::from(names).to_string();
                text(one).cmp(&text(two))
            }
            (Value::Null, _) | (_, Value::Null) => other.is_null().cmp(&self.is_null()),
            _ => self.clamped_number().cmp(&other.clamped_number()),
        }
    }

    /// The value of a column of numbers.
    pub(super) fn of_number(kind: Kind, number: i64) -> Value {
        match kind {
            Kind::Money => Value::Money(Pico(i128::from(number))),
            Kind::TimeMs => Value::TimeMs(number),
            _ => Value::Integer(number),
        }
    }

    /// A text for a column that rows are found by: what does not fit is cut off, at a whole character.
    pub fn short_text(text: &str) -> Value {
        if is_surely_short(text) {
            return Value::text(text);
        }
        let mut end = text.len().min(STORE_INDEXED_TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) || escaped_len(&text[..end]) > STORE_INDEXED_TEXT_BYTES_MAX {
            end -= 1;
        }
        Value::text(&text[..end])
    }

    /// Why it cannot stand in the column; `None` when it can.
    pub(super) fn misfit(&self, table: &Table, column: &Column) -> Option<&'static str> {
        match (self, column.kind) {
            (Value::Text(text), Kind::Text)
                if !is_surely_short(text)
                    && escaped_len(text) > STORE_INDEXED_TEXT_BYTES_MAX
                    && table.is_indexed(column.name) =>
            {
                Some("is too long for a text that rows are found by")
            }
            (Value::Null, _) if column.is_nullable => None,
            (Value::Null, _) => Some("is missing"),
            (Value::Money(money), Kind::Money) if i64::try_from(money.0).is_err() => {
                Some("is more money than 64 bits of pico-dollars hold")
            }
            (Value::Text(_), Kind::Text)
            | (Value::Integer(_), Kind::Integer)
            | (Value::Money(_), Kind::Money)
            | (Value::Flag(_), Kind::Flag)
            | (Value::Json(_), Kind::Json)
            | (Value::Names(_), Kind::Names)
            | (Value::TimeMs(_), Kind::TimeMs)
            | (Value::Bytes(_), Kind::Bytes) => None,
            _ => Some("is of another kind"),
        }
    }
}

/// A row: whole, or those of its columns that were asked for.
#[derive(Clone)]
pub struct Row {
    table: &'static str,
    columns: Columns,
    values: Vec<Value>,
    /// The place behind the value that was set last. Who fills a row does so in the order of its columns, mostly.
    next: usize,
}

/// The columns of the rows of one answer, shared between them.
#[derive(Clone, Debug)]
pub struct Columns(Listed);

#[derive(Clone, Debug)]
enum Listed {
    All(&'static [Column]),
    Some(Arc<[&'static Column]>),
}

impl Columns {
    pub fn all(table: &'static Table) -> Columns {
        Columns(Listed::All(table.columns))
    }

    /// Those of these names; panics like [`Table::place`].
    pub fn named(table: &'static Table, names: &[&str]) -> Columns {
        Columns(Listed::Some(names.iter().map(|name| table.column(name)).collect()))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'static Column> + '_ {
        (0..self.len()).map(|place| self.at(place))
    }

    fn len(&self) -> usize {
        match &self.0 {
            Listed::All(columns) => columns.len(),
            Listed::Some(columns) => columns.len(),
        }
    }

    fn at(&self, place: usize) -> &'static Column {
        match &self.0 {
            Listed::All(columns) => &columns[place],
            Listed::Some(columns) => columns[place],
        }
    }
}

impl PartialEq for Columns {
    fn eq(&self, other: &Columns) -> bool {
        self.iter().map(|column| column.name).eq(other.iter().map(|column| column.name))
    }
}

impl Eq for Columns {}

impl Row {
    /// A row without values: every one of them is `Null` until it is set.
    pub fn new(table: &'static Table) -> Row {
        let columns = Columns::all(table);
        let values = columns.iter().map(|_| Value::Null).collect();
        Row { table: table.name, columns, values, next: 0 }
    }

    /// A whole row by its values, in the order of the table's columns.
    pub fn of_values(table: &'static Table, values: Vec<Value>) -> Row {
        assert_eq!(values.len(), table.columns.len(), "a row of {} has all of its columns", table.name);
        Row { table: table.name, columns: Columns::all(table), values, next: 0 }
    }

    /// The same row with this value; panics when there is no such column.
    #[must_use]
    pub fn with(mut self, column: &str, value: Value) -> Row {
        self.set(column, value);
        self
    }

    pub fn set(&mut self, column: &str, value: Value) {
        let place = self.place(column);
        self.values[place] = value;
        self.next = place + 1;
    }

    /// A value; panics when the column was not asked for or does not exist, which only a mistake in the program can
    /// bring about.
    pub fn get(&self, column: &str) -> &Value {
        &self.values[self.place(column)]
    }

    /// Columns and values, side by side.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Column, &Value)> {
        self.columns.iter().zip(&self.values)
    }

    pub(super) fn of(table: &'static Table, columns: &Columns, values: Vec<Value>) -> Row {
        Row { table: table.name, columns: columns.clone(), values, next: 0 }
    }

    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values of the key, which names the row.
    pub(super) fn key(&self, table: &Table) -> Vec<&Value> {
        table.key.iter().map(|name| self.get(name)).collect()
    }

    fn place(&self, name: &str) -> usize {
        let place = match &self.columns.0 {
            Listed::All(columns) => place_in(columns, self.next, |column| is_called(column, name)),
            Listed::Some(columns) => place_in(columns, self.next, |column| is_called(column, name)),
        };
        place.unwrap_or_else(|| panic!("a row of {} has no column {name}", self.table))
    }
}

/// The place of what is looked for, at `next` or behind it if it is there.
fn place_in<C>(columns: &[C], next: usize, is_it: impl Fn(&C) -> bool) -> Option<usize> {
    let (before, behind) = columns.split_at(next.min(columns.len()));
    let place = behind.iter().position(&is_it).map(|place| before.len() + place);
    place.or_else(|| before.iter().position(is_it))
}

fn is_called(column: &Column, name: &str) -> bool {
    // A name is mostly the very same piece of memory.
    std::ptr::eq(column.name, name) || column.name == name
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self.table == other.table && self.columns == other.columns && self.values == other.values
    }
}

impl Eq for Row {}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.iter().filter(|(_, value)| !value.is_null());
        f.debug_map().entries(known.map(|(column, value)| (column.name, value))).finish()
    }
}

/// Text for stores that cannot hold or compare NUL. NUL and the sign after it become two characters, which keeps equality,
/// order and beginnings: the text that begins with `a` still does when both are written this way.
pub(super) fn escaped(text: &str) -> String {
    if !text.contains(['\0', '\u{1}']) {
        return text.to_owned();
    }
    text.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0")
}

/// Whether the text fits an index whatever stands in it: an escaped character takes two bytes.
fn is_surely_short(text: &str) -> bool {
    text.len() <= STORE_INDEXED_TEXT_BYTES_MAX / 2
}

/// How long the text is when it is escaped.
fn escaped_len(text: &str) -> usize {
    text.len() + memchr::memchr2_iter(0, 1, text.as_bytes()).count()
}

/// The text that was [`escaped`].
pub(super) fn unescaped(text: String) -> String {
    if !text.contains('\u{1}') {
        return text;
    }
    text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_fits_an_index_and_ends_with_a_whole_character() {
        let check = |text: &str, want: usize| {
            let value = Value::short_text(text);
            let kept = value.as_text().expect("a text");
            assert!(text.starts_with(kept) && kept.len() == want, "{}", kept.len());
        };
        check("", 0);
        check("ab", 2);
        check(&"a".repeat(600), 512);
        check(&"é".repeat(300), 512);
        check(&format!("a{}", "é".repeat(300)), 511);
        check(&"\0".repeat(300), 256);
    }

    #[test]
    fn escaped_text_has_no_nul_and_keeps_equality_order_and_beginnings() {
        let texts = [
            "", "\0", "\u{1}", "\u{2}", "0", "\u{1}0", "\u{1}1", "\0\0", "\u{1}\0", "a", "a\0", "a\u{1}",
            "ab",
        ];
        for one in texts {
            assert!(!escaped(one).contains('\0'), "{one:?}");
            assert_eq!(unescaped(escaped(one)), one);
            for other in texts {
                assert_eq!(one.cmp(other), escaped(one).cmp(&escaped(other)), "{one:?} {other:?}");
                assert_eq!(
                    one.starts_with(other),
                    escaped(one).starts_with(&escaped(other)),
                    "{one:?} {other:?}"
                );
            }
        }
    }
}
