//! Rows as documents, and questions as filters. Pure: nothing here talks to a server.

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};

use crate::offload::store::error::{ErrorKind, StoreError};
use crate::offload::store::query::{Condition, Direction, Filter, Op, Select, Test, below, prefix_end};
use crate::offload::store::schema::{Column, Kind, Table};
use crate::offload::store::value::{Columns, Row, Value, escaped, unescaped};

/// The field of a column. A key of one column is the document's `_id`.
pub fn field<'n>(table: &Table, column: &'n str) -> &'n str {
    if table.key == [column] { "_id" } else { column }
}

/// The `_id` of a row. That of several columns is their texts with their lengths in front, so that no two keys are alike.
pub fn identity(table: &Table, row: &Row) -> Bson {
    let key = row.key(table);
    if let [one] = key[..] {
        return bson(one);
    }
    let part = |value: &&Value| match bson(value) {
        Bson::String(text) => format!("{}:{text}", text.len()),
        other => format!("={other}"),
    };
    Bson::String(key.iter().map(part).collect::<Vec<_>>().join(","))
}

/// The document of a row.
pub fn document(table: &Table, row: &Row) -> Document {
    let mut document = doc! { "_id": identity(table, row) };
    for (column, value) in row.iter().filter(|(column, value)| !value.is_null() && !is_id(table, column)) {
        document.insert(column.name, bson(value));
    }
    document
}

/// The row of a document.
pub fn row_of(table: &'static Table, columns: &Columns, document: &Document) -> Result<Row, StoreError> {
    let value = |column: &'static Column| match document.get(field(table, column.name)) {
        None | Some(Bson::Null) => Ok(Value::Null),
        Some(bson) => read(column.kind, bson).ok_or_else(|| {
            let what = format!("{}.{} holds another kind of value", table.name, column.name);
            StoreError::new(ErrorKind::Broken, what)
        }),
    };
    Ok(Row::of(table, columns, columns.iter().map(value).collect::<Result<_, _>>()?))
}

/// What is to be read of a document.
pub fn projection(table: &Table, columns: &Columns) -> Document {
    columns.iter().map(|column| (field(table, column.name).to_owned(), Bson::Int32(1))).collect()
}

/// An update's values: those that are set, and those that are taken out.
pub fn change(table: &Table, values: &[(&'static str, Value)]) -> Document {
    let (unset, set): (Vec<_>, Vec<_>) = values.iter().partition(|(_, value)| value.is_null());
    let mut change = Document::new();
    if !set.is_empty() {
        let set = set.iter().map(|(name, value)| (field(table, name).to_owned(), bson(value)));
        change.insert("$set", set.collect::<Document>());
    }
    if !unset.is_empty() {
        let unset =
            unset.iter().map(|(name, _)| (field(table, name).to_owned(), Bson::String(String::new())));
        change.insert("$unset", unset.collect::<Document>());
    }
    change
}

/// The filter that means the same rows.
pub fn matching(table: &Table, filter: &Filter) -> Document {
    all_of(filter.conditions.iter().map(|condition| one(table, condition)).collect())
}

/// The filter of a page: with what lies behind its cursor.
pub fn page(select: &Select) -> Document {
    let mut all: Vec<Document> =
        select.filter.conditions.iter().map(|condition| one(select.table, condition)).collect();
    if let Some(cursor) = &select.after {
        let sign = if select.direction == Direction::Ascending { "$gt" } else { "$lt" };
        // Equal in the first columns, and behind in the next one.
        let behind = |place: usize| {
            let mut both: Vec<Document> = (0..place)
                .map(|equal| doc! { name(select, equal): { "$eq": bson(&cursor[equal]) } })
                .collect();
            both.push(doc! { name(select, place): { sign: bson(&cursor[place]) } });
            Bson::Document(all_of(both))
        };
        all.push(any_of((0..cursor.len()).map(behind).collect()));
    }
    all_of(all)
}

/// The order of a page.
pub fn order(select: &Select) -> Document {
    let sign = if select.direction == Direction::Ascending { 1 } else { -1 };
    (0..select.order.len()).map(|place| (name(select, place).to_owned(), Bson::Int32(sign))).collect()
}

fn name(select: &Select, place: usize) -> &'static str {
    field(select.table, select.order[place])
}

fn is_id(table: &Table, column: &Column) -> bool {
    table.key == [column.name]
}

fn all_of(mut all: Vec<Document>) -> Document {
    match all.len() {
        0 => Document::new(),
        1 => all.remove(0),
        _ => doc! { "$and": all.into_iter().map(Bson::Document).collect::<Vec<_>>() },
    }
}

fn any_of(mut any: Vec<Bson>) -> Document {
    match &mut any[..] {
        [Bson::Document(only)] => std::mem::take(only),
        _ => doc! { "$or": any },
    }
}

fn one(table: &Table, condition: &Condition) -> Document {
    let name = field(table, condition.column);
    match &condition.test {
        Test::Compare(Op::NotEqual, value) => doc! { name: { "$nin": [bson(value), Bson::Null] } },
        Test::Compare(op, value) => doc! { name: { sign(*op): bson(value) } },
        Test::In(values) => doc! { name: { "$in": values.iter().map(bson).collect::<Vec<_>>() } },
        Test::Null => doc! { name: { "$eq": Bson::Null } },
        // Nulls are never written.
        Test::Present => doc! { name: { "$exists": true } },
        Test::Prefix(prefix) => in_prefix(name, prefix),
        Test::Within(path) => any_of(vec![
            Bson::Document(doc! { name: { "$eq": escaped(path) } }),
            Bson::Document(in_prefix(name, &below(path))),
        ]),
        // A list matches when one of its members does.
        Test::Lists(listed) => doc! { name: { "$in": [escaped(listed)] } },
    }
}

fn in_prefix(name: &str, prefix: &str) -> Document {
    match prefix_end(prefix) {
        Some(end) => doc! { name: { "$gte": escaped(prefix), "$lt": escaped(&end) } },
        None => doc! { name: { "$gte": escaped(prefix) } },
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Equal => "$eq",
        Op::NotEqual => "$ne",
        Op::Less => "$lt",
        Op::AtMost => "$lte",
        Op::Greater => "$gt",
        Op::AtLeast => "$gte",
    }
}

fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Text(text) | Value::Json(text) => Bson::String(escaped(text)),
        Value::Flag(flag) => Bson::Boolean(*flag),
        Value::Bytes(bytes) => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.clone() }),
        Value::Names(names) => Bson::Array(names.iter().map(|name| Bson::String(escaped(name))).collect()),
        Value::Integer(_) | Value::Money(_) | Value::TimeMs(_) => Bson::Int64(value.clamped_number()),
    }
}

fn read(kind: Kind, bson: &Bson) -> Option<Value> {
    Some(match (kind, bson) {
        (Kind::Text, Bson::String(text)) => Value::Text(unescaped(text.clone())),
        (Kind::Json, Bson::String(text)) => Value::Json(unescaped(text.clone())),
        (Kind::Flag, Bson::Boolean(flag)) => Value::Flag(*flag),
        (Kind::Bytes, Bson::Binary(binary)) => Value::Bytes(binary.bytes.clone()),
        (Kind::Names, Bson::Array(names)) => {
            let name = |name: &Bson| name.as_str().map(|name| unescaped(name.to_owned()));
            Value::Names(names.iter().map(name).collect::<Option<_>>()?)
        }
        (Kind::Integer | Kind::Money | Kind::TimeMs, bson) => Value::of_number(kind, integer(bson)?),
        _ => return None,
    })
}

/// A whole number. Servers may keep a small one in 32 bits.
pub fn integer(bson: &Bson) -> Option<i64> {
    match bson {
        Bson::Int64(number) => Some(*number),
        Bson::Int32(number) => Some(i64::from(*number)),
        _ => None,
    }
}
