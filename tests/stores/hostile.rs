//! Texts that would like to be something else come back as they were, from every column that takes a text.

use ringway::offload::store::tables::SCHEMA;
use ringway::offload::store::{Filter, Kind, Row, Select, Value};

use crate::world::on_every_engine;

/// What has broken stores before: quotes, comments, escapes, wildcards, operators of documents, NUL, all sorts of Unicode.
const SEEDS: &[&str] = &[
    "",
    " ",
    "'",
    "''",
    "\"",
    "\"\"",
    "`",
    "\\",
    "\\\\",
    "\\'",
    "\\\"",
    "\\0",
    "\\x00",
    "\\u0000",
    "%",
    "_",
    "%%",
    "\\%",
    "'; DROP TABLE ringway_usage; --",
    "\"; DROP TABLE \"ringway_usage\"; --",
    "' OR '1'='1",
    "') OR 1=1 --",
    "/*",
    "*/",
    "--",
    "#",
    ";",
    "$1",
    "$$",
    "$tag$",
    "?",
    "?1",
    ":name",
    "@name",
    "{}",
    "{\"$gt\":\"\"}",
    "$where",
    "$set",
    "$ne",
    "$",
    "a.b",
    ".",
    "..",
    "_id",
    "[]",
    "[\"a\"]",
    "null",
    "NULL",
    "true",
    "0",
    "-0",
    "1e999",
    "NaN",
    "infinity",
    "0x00",
    "E'\\n'",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\0",
    "a\0b",
    "\0\0",
    "\u{1}",
    "\u{1}0",
    "\u{1}1",
    "\u{1}\0",
    "\u{1a}",
    "\u{1b}[31m",
    "\u{7f}",
    "é",
    "e\u{301}",
    "ß",
    "İ",
    "ı",
    "ﬁ",
    "\u{200b}",
    "\u{202e}abc",
    "\u{feff}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{d7ff}",
    "\u{e000}",
    "😀",
    "👩‍👩‍👧‍👦",
    "\u{10ffff}",
    "漢字",
    "مرحبا",
    "{{7*7}}",
    "${7*7}",
    "${jndi:ldap://x}",
    "<script>",
    "=1+1",
    "+1",
    "@x",
    "../../etc/passwd",
    "C:\\x",
    "a,b",
    "{a,b}",
    "{\"a\",NULL}",
    "(1,2)",
    "\\N",
    "\\.",
    "COPY",
    "ROW(1)",
    "x'00'",
    "b''",
];

/// At least 200: the seeds alone, and each of them among other characters.
fn texts() -> Vec<String> {
    let mixed = SEEDS.iter().map(|seed| format!("a{seed}'{seed}\"z"));
    let all: Vec<String> = SEEDS.iter().map(|&seed| seed.to_owned()).chain(mixed).collect();
    assert!(all.len() >= 200, "{}", all.len());
    all
}

#[test]
fn hostile_texts_come_back_unchanged_from_every_column() {
    let texts = texts();
    on_every_engine(async |store, engine| {
        for table in SCHEMA.tables.iter().copied() {
            let rows: Vec<Row> =
                texts.iter().enumerate().map(|(number, text)| hostile(table, number, text)).collect();
            assert_eq!(
                store.insert(table, rows.clone()).await,
                Ok(rows.len() as u64),
                "{engine} {}",
                table.name
            );
            let mut found =
                store.select(Select::new(table, Filter::all(), 1_000)).await.expect("all of them");
            let mut rows = rows;
            let place =
                |row: &Row| format!("{:?}", table.key.iter().map(|key| row.get(key)).collect::<Vec<_>>());
            rows.sort_by_key(place);
            found.sort_by_key(place);
            assert_eq!(found.len(), rows.len(), "{engine} {}", table.name);
            for (found, row) in found.iter().zip(&rows) {
                assert_eq!(found, row, "{engine} {}", table.name);
            }
        }
    });
}

#[test]
fn hostile_texts_are_found_by_themselves_and_by_nothing_else() {
    let texts = texts();
    let table = SCHEMA.tables[0];
    on_every_engine(async |store, engine| {
        let rows: Vec<Row> =
            texts.iter().enumerate().map(|(number, text)| hostile(table, number, text)).collect();
        store.insert(table, rows.clone()).await.expect("an insert");
        for (row, text) in rows.iter().zip(&texts) {
            for filter in [
                Filter::all().equal("model", Value::text(text.as_str())),
                Filter::all().one_of("model", vec![Value::text(text.as_str())]),
                Filter::all().lists("labels", text.as_str()),
            ] {
                let found = store.select(Select::new(table, filter, 10)).await;
                assert_eq!(found.as_deref(), Ok(std::slice::from_ref(row)), "{engine} {text:?}");
            }
            let found =
                store.select(Select::new(table, Filter::all().prefix("model", text.as_str()), 1_000)).await;
            let want = texts.iter().filter(|other| other.starts_with(text.as_str())).count();
            assert_eq!(found.map(|rows| rows.len()), Ok(want), "{engine} {text:?}");
        }
    });
}

/// A row with this text wherever a text can stand. The number keeps keys apart that must be.
fn hostile(table: &'static ringway::offload::store::Table, number: usize, text: &str) -> Row {
    let mut row = Row::new(table);
    for column in table.columns {
        let unique = table.indexes.iter().any(|index| index.columns.contains(&column.name));
        let value = match column.kind {
            // Texts differ from each other, so keys of texts alone do too.
            Kind::Text => Value::text(text),
            Kind::Json => Value::Json(text.to_owned()),
            Kind::Names => Value::Names(vec![text.to_owned()]),
            Kind::Flag => Value::Flag(number.is_multiple_of(2)),
            Kind::TimeMs => Value::TimeMs(number as i64),
            Kind::Bytes => Value::Bytes([text.as_bytes(), &[0, 255]].concat()),
            Kind::Integer => Value::Integer(if unique { number as i64 } else { -1 }),
            Kind::Money => Value::Money(ringway::base::money::Pico(i128::from(i64::MIN))),
        };
        row.set(column.name, value);
    }
    row
}
