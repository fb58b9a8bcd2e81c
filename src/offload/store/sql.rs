//! SQL for both engines that speak it. A statement is text and parameters; names come from the descriptions of tables, and
//! no value ever becomes part of the text.

use super::query::{By, Condition, Direction, Filter, Op, Select, Summary, Test, below, prefix_end};
use super::schema::{Column, Index, Kind, Step, Table, Uniqueness, VERSION_TABLE};
use super::value::{Row, Value};

/// Where the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    Sqlite,
    Postgres,
}

/// A statement: its text, and the values of its parameters with the kinds that they have.
#[derive(Debug)]
pub struct Statement {
    pub text: String,
    pub params: Vec<(Kind, Value)>,
    flavour: Flavour,
}

/// What becomes of a row whose key is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    Keep,
    Replace,
}

pub fn insert(flavour: Flavour, table: &Table, rows: &[Row], on_conflict: OnConflict) -> Statement {
    insert_places(flavour, table, &places_in_use(rows), rows, on_conflict)
}

/// The places of the columns that hold something in any of the rows. Most are null in most rows, and cost when they are
/// named.
pub fn places_in_use(rows: &[Row]) -> Vec<usize> {
    let count = rows.first().map_or(0, |row| row.values().len());
    (0..count).filter(|&place| rows.iter().any(|row| !row.values()[place].is_null())).collect()
}

/// The same with the columns of these places; all others are null.
pub fn insert_places(
    flavour: Flavour,
    table: &Table,
    places: &[usize],
    rows: &[Row],
    on_conflict: OnConflict,
) -> Statement {
    let mut out = Statement::new(flavour);
    let names = list(places.iter().map(|&place| table.columns[place].name));
    // Whoever inserts gives up the whole transaction when a row does not fit. SQLite has to be told: it would keep what it
    // needs to take back one statement, which is every page that it changes.
    let verb = if flavour == Flavour::Sqlite { "INSERT OR ROLLBACK" } else { "INSERT" };
    out.push(&format!("{verb} INTO {} ({names}) VALUES ", quoted(&table.stored_name())));
    for (number, row) in rows.iter().enumerate() {
        out.push(if number == 0 { "(" } else { ", (" });
        let value = |&place: &usize| (table.columns[place].kind, row.values()[place].clone());
        out.push_list(places.iter().map(value));
        out.push(")");
    }
    out.push(&format!(" ON CONFLICT ({}) DO ", list(table.key.iter().copied())));
    let others = table.columns.iter().map(|column| column.name).filter(|name| !table.is_key(name));
    let sets: Vec<String> =
        others.map(|name| format!("{} = EXCLUDED.{}", quoted(name), quoted(name))).collect();
    match on_conflict {
        OnConflict::Replace if !sets.is_empty() => out.push(&format!("UPDATE SET {}", sets.join(", "))),
        _ => out.push("NOTHING"),
    }
    out
}

/// An insert that answers the keys of the rows that were new.
pub fn insert_answering(flavour: Flavour, table: &Table, rows: &[Row]) -> Statement {
    let mut out = insert(flavour, table, rows, OnConflict::Keep);
    out.push(&format!(" RETURNING {}", list(table.key.iter().copied())));
    out
}

pub fn select(flavour: Flavour, select: &Select) -> Statement {
    let mut out = Statement::new(flavour);
    let names = list(select.columns.iter().map(|column| column.name));
    out.push(&format!("SELECT {names} FROM {}", quoted(&select.table.stored_name())));
    out.push_where(select.table, &select.filter);
    let (order, sign, word) = match select.direction {
        Direction::Ascending => (&select.order, ">", "ASC"),
        Direction::Descending => (&select.order, "<", "DESC"),
    };
    if let Some(cursor) = &select.after {
        out.push(if select.filter.conditions.is_empty() { " WHERE " } else { " AND " });
        out.push(&format!("({}) {sign} (", list(order.iter().copied())));
        let kinds = order.iter().map(|name| select.table.column(name).kind);
        out.push_list(kinds.zip(cursor.iter().cloned()));
        out.push(")");
    }
    let order: Vec<String> = order.iter().map(|name| format!("{} {word}", quoted(name))).collect();
    out.push(&format!(" ORDER BY {} LIMIT ", order.join(", ")));
    out.push_count(select.limit);
    out
}

/// The rows behind the one of this number, as SQLite has numbered them (its `rowid`), with their numbers in front: that is the
/// order in which they lie in the file, so that each page of it is read once.
pub fn scan(select: &Select, behind: i64) -> Statement {
    let mut out = Statement::new(Flavour::Sqlite);
    let names = list(select.columns.iter().map(|column| column.name));
    out.push(&format!("SELECT rowid, {names} FROM {} WHERE rowid > ", quoted(&select.table.stored_name())));
    out.push_param(Kind::Integer, Value::Integer(behind));
    out.push(" ORDER BY rowid LIMIT ");
    out.push_count(select.limit);
    out
}

/// Answers for each group what it has in common, the count of its rows, and for each sum: how many values are known, and
/// the sums of their upper and lower 32 bits. Those fit 64 bits for up to 2³¹ rows, where the sum itself need not.
pub fn summarise(flavour: Flavour, summary: &Summary) -> Statement {
    let mut out = Statement::new(flavour);
    out.push("SELECT ");
    for by in &summary.by {
        let name = quoted(by.column());
        match by {
            By::Column(_) => out.push(&name),
            By::Span { width_ms, .. } => {
                out.push(&format!("{name} - ({name} % "));
                out.push_param(Kind::Integer, Value::Integer(*width_ms));
                out.push(")");
            }
        }
        out.push(", ");
    }
    out.push("COUNT(*)");
    for name in &summary.sums {
        let name = quoted(name);
        out.push(&format!(
            ", COUNT({name}), COALESCE(CAST(SUM({name} >> 32) AS BIGINT), 0), \
             COALESCE(CAST(SUM({name} & 4294967295) AS BIGINT), 0)"
        ));
    }
    out.push(&format!(" FROM {}", quoted(&summary.table.stored_name())));
    out.push_where(summary.table, &summary.filter);
    if !summary.by.is_empty() {
        let places: Vec<String> = (1..=summary.by.len()).map(|place| place.to_string()).collect();
        out.push(&format!(" GROUP BY {}", places.join(", ")));
    }
    out.push(" LIMIT ");
    // One more tells whether there are more.
    out.push_count(summary.limit.saturating_add(1));
    out
}

pub fn update(
    flavour: Flavour,
    table: &Table,
    filter: &Filter,
    values: &[(&'static str, Value)],
) -> Statement {
    let mut out = Statement::new(flavour);
    out.push(&format!("UPDATE {} SET ", quoted(&table.stored_name())));
    for (number, (name, value)) in values.iter().enumerate() {
        out.push(if number == 0 { "" } else { ", " });
        out.push(&format!("{} = ", quoted(name)));
        out.push_param(table.column(name).kind, value.clone());
    }
    out.push_where(table, filter);
    out
}

pub fn delete(flavour: Flavour, table: &Table, filter: &Filter) -> Statement {
    let mut out = Statement::new(flavour);
    out.push(&format!("DELETE FROM {}", quoted(&table.stored_name())));
    out.push_where(table, filter);
    out
}

pub fn sweep(flavour: Flavour, table: &Table, column: &str, before_ms: i64, rows_max: usize) -> Statement {
    let mut out = Statement::new(flavour);
    let (name, key, column) = (quoted(&table.stored_name()), list(table.key.iter().copied()), quoted(column));
    out.push(&format!("DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} WHERE {column} < "));
    out.push_param(Kind::TimeMs, Value::TimeMs(before_ms));
    out.push(&format!(" ORDER BY {column} LIMIT "));
    out.push_count(rows_max);
    out.push(")");
    out
}

/// One step of a migration.
pub fn step(flavour: Flavour, step: &Step) -> String {
    match step {
        Step::CreateTable(table, columns) => create_table(flavour, table, columns),
        Step::AddColumn(table, column) => {
            format!(
                "ALTER TABLE {} ADD COLUMN {}",
                quoted(&table.stored_name()),
                column_text(flavour, column)
            )
        }
        Step::CreateIndex(table, index) => create_index(table, index),
    }
}

/// The table of the version, and its one row.
pub fn version_table() -> [String; 2] {
    let name = quoted(VERSION_TABLE);
    [
        format!("CREATE TABLE IF NOT EXISTS {name} (\"id\" BIGINT PRIMARY KEY, \"version\" BIGINT NOT NULL)"),
        format!("INSERT INTO {name} (\"id\", \"version\") VALUES (1, 0) ON CONFLICT (\"id\") DO NOTHING"),
    ]
}

/// Asks for the version.
pub fn version() -> String {
    format!("SELECT \"version\" FROM {} WHERE \"id\" = 1", quoted(VERSION_TABLE))
}

/// Writes the version down.
pub fn set_version(version: u32) -> String {
    format!("UPDATE {} SET \"version\" = {version} WHERE \"id\" = 1", quoted(VERSION_TABLE))
}

fn create_table(flavour: Flavour, table: &Table, columns: &[&Column]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| column_text(flavour, column)).collect();
    // Without it SQLite would keep a text in a column of numbers.
    let strict = if flavour == Flavour::Sqlite { " STRICT" } else { "" };
    format!(
        "CREATE TABLE {} ({}, PRIMARY KEY ({})){strict}",
        quoted(&table.stored_name()),
        columns.join(", "),
        list(table.key.iter().copied())
    )
}

fn create_index(table: &Table, index: &Index) -> String {
    let word = if index.uniqueness == Uniqueness::Unique { "UNIQUE INDEX" } else { "INDEX" };
    let name = quoted(&format!("{}_{}", table.stored_name(), index.name));
    let part = match index.columns {
        [first, ..] if index.is_sparse => format!(" WHERE {} IS NOT NULL", quoted(first)),
        _ => String::new(),
    };
    format!(
        "CREATE {word} {name} ON {} ({}){part}",
        quoted(&table.stored_name()),
        list(index.columns.iter().copied())
    )
}

fn column_text(flavour: Flavour, column: &Column) -> String {
    let kind = match (flavour, column.kind) {
        // By bytes: the same order as SQLite's, and one in which a prefix is a range.
        (Flavour::Postgres, Kind::Text) => "TEXT COLLATE \"C\"",
        (Flavour::Postgres, Kind::Names) => "TEXT[]",
        (_, Kind::Text | Kind::Json | Kind::Names) => "TEXT",
        (Flavour::Postgres, Kind::Flag) => "BOOLEAN",
        (Flavour::Postgres, Kind::Bytes) => "BYTEA",
        (Flavour::Sqlite, Kind::Bytes) => "BLOB",
        (Flavour::Postgres, Kind::Integer | Kind::Money | Kind::TimeMs) => "BIGINT",
        (Flavour::Sqlite, _) => "INTEGER",
    };
    format!("{} {kind}{}", quoted(column.name), if column.is_nullable { "" } else { " NOT NULL" })
}

/// A name in quotes. Names are those of descriptions: small letters, digits and `_`.
fn quoted(name: &str) -> String {
    debug_assert!(!name.contains('"'), "{name}");
    format!("\"{name}\"")
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}

impl Statement {
    fn new(flavour: Flavour) -> Statement {
        Statement { text: String::new(), params: Vec::new(), flavour }
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn push_param(&mut self, kind: Kind, value: Value) {
        self.params.push((kind, value));
        self.text.push(if self.flavour == Flavour::Sqlite { '?' } else { '$' });
        self.text.push_str(&self.params.len().to_string());
    }

    fn push_list(&mut self, params: impl Iterator<Item = (Kind, Value)>) {
        for (number, (kind, value)) in params.enumerate() {
            self.push(if number == 0 { "" } else { ", " });
            self.push_param(kind, value);
        }
    }

    fn push_count(&mut self, count: usize) {
        self.push_param(Kind::Integer, Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
    }

    fn push_where(&mut self, table: &Table, filter: &Filter) {
        for (number, condition) in filter.conditions.iter().enumerate() {
            self.push(if number == 0 { " WHERE " } else { " AND " });
            self.push_condition(table, condition);
        }
    }

    fn push_condition(&mut self, table: &Table, condition: &Condition) {
        let (name, kind) = (quoted(condition.column), table.column(condition.column).kind);
        match &condition.test {
            Test::Compare(op, value) => {
                self.push(&format!("{name} {} ", sign(*op)));
                self.push_param(kind, value.clone());
            }
            Test::In(values) if values.is_empty() => self.push("1 = 0"),
            Test::In(values) => {
                self.push(&format!("{name} IN ("));
                self.push_list(values.iter().map(|value| (kind, value.clone())));
                self.push(")");
            }
            Test::Null => self.push(&format!("{name} IS NULL")),
            Test::Present => self.push(&format!("{name} IS NOT NULL")),
            Test::Prefix(prefix) => self.push_prefix(&name, prefix),
            Test::Within(path) => {
                self.push(&format!("({name} = "));
                self.push_param(Kind::Text, Value::text(path.clone()));
                self.push(" OR ");
                self.push_prefix(&name, &below(path));
                self.push(")");
            }
            Test::Lists(listed) => {
                let (before, after) = match self.flavour {
                    Flavour::Sqlite => {
                        (format!("EXISTS (SELECT 1 FROM json_each({name}) WHERE value = "), ")".to_owned())
                    }
                    Flavour::Postgres => (String::new(), format!(" = ANY({name})")),
                };
                self.push(&before);
                self.push_param(Kind::Text, Value::text(listed.clone()));
                self.push(&after);
            }
        }
    }

    fn push_prefix(&mut self, name: &str, prefix: &str) {
        self.push(&format!("({name} >= "));
        self.push_param(Kind::Text, Value::text(prefix));
        if let Some(end) = prefix_end(prefix) {
            self.push(&format!(" AND {name} < "));
            self.push_param(Kind::Text, Value::text(end));
        }
        self.push(")");
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Equal => "=",
        Op::NotEqual => "<>",
        Op::Less => "<",
        Op::AtMost => "<=",
        Op::Greater => ">",
        Op::AtLeast => ">=",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::{AUDIT_LOG_ATTEMPTS, SCHEMA, USAGE};
    use super::*;

    const MARK: &str = "'; DROP TABLE mark; --";

    #[test]
    fn no_value_becomes_part_of_a_text() {
        let mark = || Value::text(MARK);
        let filter = Filter::all()
            .equal("user_path", mark())
            .one_of("model", vec![mark(), mark()])
            .prefix("model", MARK)
            .within("user_path", MARK)
            .lists("labels", MARK);
        let row = Row::new(&USAGE).with("id", mark()).with("model", mark());
        for flavour in [Flavour::Sqlite, Flavour::Postgres] {
            let page = Select::new(&USAGE, filter.clone(), 77_123).after(vec![mark()]);
            let by = [By::Column("model"), By::Span { column: "at_ms", width_ms: 77_123 }];
            let statements = [
                insert(flavour, &USAGE, std::slice::from_ref(&row), OnConflict::Replace),
                insert_answering(flavour, &USAGE, std::slice::from_ref(&row)),
                select(flavour, &page),
                summarise(flavour, &Summary::new(&USAGE, filter.clone(), &by, &["total_cost"], 77_123)),
                update(flavour, &USAGE, &filter, &[("model", mark())]),
                delete(flavour, &USAGE, &filter),
                sweep(flavour, &USAGE, "at_ms", 77_123, 77_123),
            ];
            for statement in statements {
                let text = &statement.text;
                assert!(
                    !text.contains(['\'', ';']) && !text.contains("mark") && !text.contains("77123"),
                    "{text}"
                );
                let sign = if flavour == Flavour::Sqlite { '?' } else { '$' };
                assert_eq!(text.matches(sign).count(), statement.params.len(), "{text}");
            }
        }
    }

    #[test]
    fn statements_are_spelled_for_their_engine() {
        let page = Select::new(&AUDIT_LOG_ATTEMPTS, Filter::all().prefix("model", "a"), 5)
            .only(&["audit_id", "number", "at_ms"])
            .ordered("at_ms", Direction::Descending)
            .after(vec![Value::TimeMs(9), Value::text("x"), Value::Integer(1)]);
        assert_eq!(
            select(Flavour::Postgres, &page).text,
            "SELECT \"audit_id\", \"number\", \"at_ms\" FROM \"ringway_audit_log_attempts\" \
             WHERE (\"model\" >= $1 AND \"model\" < $2) AND (\"at_ms\", \"audit_id\", \"number\") < ($3, $4, $5) \
             ORDER BY \"at_ms\" DESC, \"audit_id\" DESC, \"number\" DESC LIMIT $6"
        );
        assert_eq!(
            delete(Flavour::Sqlite, &USAGE, &Filter::all().lists("labels", "x")).text,
            "DELETE FROM \"ringway_usage\" WHERE EXISTS (SELECT 1 FROM json_each(\"labels\") WHERE value = ?1)"
        );
        let page = Select::new(&AUDIT_LOG_ATTEMPTS, Filter::all(), 5).only(&["audit_id", "number"]);
        assert_eq!(
            scan(&page, 7).text,
            "SELECT rowid, \"audit_id\", \"number\" FROM \"ringway_audit_log_attempts\" WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"
        );
        let steps = SCHEMA.steps_from(0);
        let texts = |flavour| steps.iter().map(|one| step(flavour, one)).collect::<Vec<_>>().join("\n");
        assert!(texts(Flavour::Sqlite).contains("PRIMARY KEY (\"audit_id\", \"number\")) STRICT"));
        assert!(texts(Flavour::Postgres).contains("\"id\" TEXT COLLATE \"C\" NOT NULL"));
    }
}
