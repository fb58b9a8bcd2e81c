//! What can be asked of a table: which rows, in which order, how many, and sums of them. Values never become part of a
//! text; columns are those of the table's description.

use std::cmp::Ordering;

use super::schema::{Kind, Table};
use super::value::{Columns, Row, Value};

/// Which rows are meant: those for which every condition holds. Without a condition it is all of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub column: &'static str,
    pub test: Test,
}

/// `Null` fails every one of them but [`Test::Null`].
#[derive(Clone, Debug)]
pub(super) enum Test {
    Compare(Op, Value),
    In(Vec<Value>),
    Null,
    Present,
    /// Begins with this text.
    Prefix(String),
    /// Is this path or lies below it.
    Within(String),
    /// The list holds this name.
    Lists(String),
}

impl Test {
    /// Whether a value passes, as every engine has it.
    pub fn holds(&self, value: &Value) -> bool {
        if value.is_null() {
            return matches!(self, Test::Null);
        }
        let text = || value.as_text().unwrap_or_default();
        match self {
            Test::Compare(_, Value::Null) | Test::Null => false,
            Test::Compare(op, other) => op.holds(value.order(other)),
            Test::In(values) => {
                values.iter().any(|other| !other.is_null() && value.order(other) == Ordering::Equal)
            }
            Test::Present => true,
            Test::Prefix(prefix) => text().starts_with(&**prefix),
            Test::Within(path) => text() == path || text().starts_with(&below(path)),
            Test::Lists(name) => value.as_names().is_some_and(|names| names.contains(name)),
        }
    }
}

/// How values are compared. Texts by their UTF-8 bytes, in every engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Op {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Op::Equal => order.is_eq(),
            Op::NotEqual => order.is_ne(),
            Op::Less => order.is_lt(),
            Op::AtMost => order.is_le(),
            Op::Greater => order.is_gt(),
            Op::AtLeast => order.is_ge(),
        }
    }
}

impl Filter {
    pub fn all() -> Filter {
        Filter::default()
    }

    #[must_use]
    pub fn compare(self, column: &'static str, op: Op, value: Value) -> Filter {
        self.and(column, Test::Compare(op, value))
    }

    #[must_use]
    pub fn equal(self, column: &'static str, value: Value) -> Filter {
        self.compare(column, Op::Equal, value)
    }

    /// From this time on and before that one, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn between_ms(self, column: &'static str, from_ms: i64, to_ms: i64) -> Filter {
        self.compare(column, Op::AtLeast, Value::TimeMs(from_ms)).compare(
            column,
            Op::Less,
            Value::TimeMs(to_ms),
        )
    }

    /// One of these. An empty list means no row.
    #[must_use]
    pub fn one_of(self, column: &'static str, values: Vec<Value>) -> Filter {
        self.and(column, Test::In(values))
    }

    #[must_use]
    pub fn null(self, column: &'static str) -> Filter {
        self.and(column, Test::Null)
    }

    #[must_use]
    pub fn present(self, column: &'static str) -> Filter {
        self.and(column, Test::Present)
    }

    /// The text begins with this one. No character in it has a meaning of its own.
    #[must_use]
    pub fn prefix(self, column: &'static str, prefix: impl Into<String>) -> Filter {
        self.and(column, Test::Prefix(prefix.into()))
    }

    /// The user path is this one or lies below it: `/team` means `/team` and `/team/alpha`, and not `/teams`.
    #[must_use]
    pub fn within(self, column: &'static str, path: impl Into<String>) -> Filter {
        self.and(column, Test::Within(path.into()))
    }

    /// The list of names holds this one.
    #[must_use]
    pub fn lists(self, column: &'static str, name: impl Into<String>) -> Filter {
        self.and(column, Test::Lists(name.into()))
    }

    /// Whether a row is meant that has these values.
    pub fn holds(&self, value: impl Fn(&'static str) -> Value) -> bool {
        self.conditions.iter().all(|one| one.test.holds(&value(one.column)))
    }

    fn and(mut self, column: &'static str, test: Test) -> Filter {
        self.conditions.push(Condition { column, test });
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

/// A question for rows.
#[derive(Clone, Debug)]
pub struct Select {
    pub(super) table: &'static Table,
    pub(super) filter: Filter,
    pub(super) columns: Columns,
    /// The wanted columns and then the key, so that every row has its place.
    pub(super) order: Vec<&'static str>,
    pub(super) direction: Direction,
    pub(super) after: Option<Vec<Value>>,
    pub(super) limit: usize,
}

impl Select {
    /// All columns of the rows, in the order of the key, at most so many.
    pub fn new(table: &'static Table, filter: Filter, limit: usize) -> Select {
        Select {
            table,
            filter,
            columns: Columns::all(table),
            order: table.key.to_vec(),
            direction: Direction::Ascending,
            after: None,
            limit,
        }
    }

    /// Ordered by this column, which must not be nullable; equal ones by the key, in the same direction.
    #[must_use]
    pub fn ordered(mut self, by: &'static str, direction: Direction) -> Select {
        assert!(!self.table.column(by).is_nullable, "{by} may be null: rows have no place by it");
        let key = self.table.key.iter().copied().filter(|name| *name != by);
        self.order = std::iter::once(by).chain(key).collect();
        self.direction = direction;
        self
    }

    /// Reads these columns only.
    #[must_use]
    pub fn only(mut self, columns: &[&'static str]) -> Select {
        self.columns = Columns::named(self.table, columns);
        self
    }

    /// Goes on behind the row that had this cursor.
    #[must_use]
    pub fn after(mut self, cursor: Vec<Value>) -> Select {
        assert_eq!(cursor.len(), self.order.len(), "the cursor is of another order");
        self.after = Some(cursor);
        self
    }

    /// The place of a row in this order, for [`Select::after`]. Its columns must be among those that are read.
    pub fn cursor(&self, row: &Row) -> Vec<Value> {
        self.order.iter().map(|column| row.get(column).clone()).collect()
    }
}

/// A reading of a whole table, a page at a time, in the order in which its engine has its rows at hand.
#[derive(Debug)]
pub struct Scan {
    /// The columns, how many rows make a page, and, for engines that keep rows by their key, the place that was reached.
    pub(super) select: Select,
    /// The same for an engine that numbers rows as they come.
    pub(super) row_number: i64,
    pub(super) is_over: bool,
}

impl Scan {
    pub fn new(table: &'static Table, columns: &[&'static str], page_rows: usize) -> Scan {
        let select = Select::new(table, Filter::all(), page_rows).only(columns);
        Scan { select, row_number: i64::MIN, is_over: false }
    }
}

/// A question for sums.
#[derive(Clone, Debug)]
pub struct Summary {
    pub(super) table: &'static Table,
    pub(super) filter: Filter,
    pub(super) by: Vec<By>,
    pub(super) sums: Vec<&'static str>,
    pub(super) limit: usize,
    pub(super) is_asked_again: bool,
}

/// What rows of one group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Column(&'static str),
    /// The time, rounded down to a multiple of the width (milliseconds, not 0) counted from the epoch.
    Span {
        column: &'static str,
        width_ms: i64,
    },
}

impl By {
    pub(super) fn column(self) -> &'static str {
        match self {
            By::Column(column) | By::Span { column, .. } => column,
        }
    }
}

impl Summary {
    /// Counts of rows and sums of columns (integers or money) for each group, at most so many groups. Without a group it is
    /// one for all rows.
    pub fn new(
        table: &'static Table,
        filter: Filter,
        by: &[By],
        sums: &[&'static str],
        limit: usize,
    ) -> Summary {
        let is_summable = |name: &&str| matches!(table.column(name).kind, Kind::Integer | Kind::Money);
        assert!(sums.iter().all(is_summable), "only numbers have sums");
        Summary { table, filter, by: by.to_vec(), sums: sums.to_vec(), limit, is_asked_again: false }
    }

    /// The same, by somebody who asks it again and again over times that go on: what need not be read twice is kept.
    #[must_use]
    pub fn asked_again(mut self) -> Summary {
        self.is_asked_again = true;
        self
    }
}

/// One group of a summary. Groups come in no particular order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What its rows have in common, in the order of the question.
    pub by: Vec<Value>,
    pub rows: u64,
    /// In the order of the question.
    pub sums: Vec<Sum>,
}

/// The sum of the values that are known, and how many those are: 0 of 0 is unknown, not free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub total: i128,
    pub known: u64,
}

/// Groups, and whether there were more than were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    pub groups: Vec<Group>,
    pub is_cut: bool,
}

/// The least text that is greater than every text with this prefix; `None` when there is no such text. A prefix becomes a
/// range with it, which every engine can answer from an index and in which no character has a meaning of its own.
pub(super) fn prefix_end(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        // Surrogates lie between these two and are no characters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}

/// The prefix of everything below a path: with one slash at its end.
pub(super) fn below(path: &str) -> String {
    format!("{}/", path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_above_all_that_begins_with_it_and_below_all_else() {
        let check =
            |prefix: &str, want: Option<&str>| assert_eq!(prefix_end(prefix).as_deref(), want, "{prefix:?}");
        check("", None);
        check("a", Some("b"));
        check("/team/", Some("/team0"));
        check("%", Some("&"));
        check("\u{d7ff}", Some("\u{e000}"));
        check("a\u{10ffff}", Some("b"));
        check("\u{10ffff}\u{10ffff}", None);
        check("\u{7f}", Some("\u{80}"));
        assert_eq!(
            (below("/"), below("/team"), below("/team/")),
            ("/".into(), "/team/".into(), "/team/".into())
        );
    }
}
