//! A table written out for a range of time, page by page: what is held at a time is one page.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::query::{Direction, Filter, Select};
use super::schema::{Kind, Table};
use super::value::{Row, Value};
use super::{Store, StoreError};
use crate::base::base64;
use crate::base::limits::STORE_EXPORT_ROWS;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object for each row. Money is a text of dollars, for a JSON number would not keep it exact everywhere;
    /// null is what is not known.
    JsonLines,
    /// RFC 4180, with a line of names first. What is not known is empty; an empty text is `""`.
    Csv,
}

/// What stopped an export.
#[derive(Debug)]
pub enum ExportError {
    Store(StoreError),
    Output(io::Error),
}

/// Writes the rows of this time (from the first millisecond on, up to and without the last), the oldest first, and says
/// how many those were. Rows that come meanwhile within the range may be among them or not.
///
/// # Panics
/// When rows of this table have no time.
pub async fn export(
    store: &Store,
    table: &'static Table,
    (from_ms, to_ms): (i64, i64),
    format: ExportFormat,
    out: &mut dyn Write,
) -> Result<u64, ExportError> {
    let time = table.swept_by.expect("rows that are exported have a time");
    let filter = Filter::all().between_ms(time, from_ms, to_ms);
    let mut page = Select::new(table, filter, STORE_EXPORT_ROWS).ordered(time, Direction::Ascending);
    if format == ExportFormat::Csv {
        let names = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",");
        write!(out, "{names}\r\n").map_err(ExportError::Output)?;
    }
    let mut count = 0;
    loop {
        let rows = store.select(page.clone()).await.map_err(ExportError::Store)?;
        for row in &rows {
            let line = match format {
                ExportFormat::JsonLines => json_line(row),
                ExportFormat::Csv => csv_line(row),
            };
            out.write_all(line.as_bytes()).map_err(ExportError::Output)?;
        }
        count += rows.len() as u64;
        match rows.last() {
            Some(last) if rows.len() == STORE_EXPORT_ROWS => page = page.clone().after(page.cursor(last)),
            _ => return out.flush().map(|()| count).map_err(ExportError::Output),
        }
    }
}

fn json_line(row: &Row) -> String {
    let mut line = String::from("{");
    for (column, value) in row.iter() {
        let comma = if line.len() > 1 { "," } else { "" };
        let _ = write!(line, "{comma}\"{}\":", column.name);
        match value {
            // JSON as it was kept, unless it would not be JSON or not stay on its line.
            Value::Json(json) if is_one_line_of_json(json) => line.push_str(json),
            Value::Text(text) | Value::Json(text) => line.push_str(&json_text(text)),
            Value::Names(names) => line.push_str(&serde_json::Value::from(names.as_slice()).to_string()),
            Value::Null => line.push_str("null"),
            Value::Flag(flag) => line.push_str(if *flag { "true" } else { "false" }),
            Value::Integer(number) | Value::TimeMs(number) => drop(write!(line, "{number}")),
            Value::Money(money) => drop(write!(line, "\"{money}\"")),
            Value::Bytes(bytes) => line.push_str(&json_text(&base64(bytes))),
        }
    }
    line + "}\n"
}

fn is_one_line_of_json(text: &str) -> bool {
    !text.contains(['\n', '\r']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn csv_line(row: &Row) -> String {
    let cells: Vec<String> = row.iter().map(|(column, value)| csv_cell(column.kind, value)).collect();
    cells.join(",") + "\r\n"
}

fn csv_cell(kind: Kind, value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Names(names) => serde_json::Value::from(names.as_slice()).to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(number) | Value::TimeMs(number) => number.to_string(),
        Value::Money(money) => money.to_string(),
        Value::Bytes(bytes) => base64(bytes),
    };
    let is_text = matches!(kind, Kind::Text | Kind::Json | Kind::Names);
    let is_plain = !text.is_empty() && !text.contains([',', '"', '\r', '\n']);
    if is_text && !is_plain { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

impl std::fmt::Display for ExportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExportError::Store(error) => write!(f, "{error}"),
            ExportError::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::USAGE;
    use super::*;
    use crate::base::money::Pico;

    fn cell(name: &str, value: Value) -> (String, String) {
        let row = Row::new(&USAGE).with(name, value);
        let json: serde_json::Value = serde_json::from_str(&json_line(&row)).expect("JSON");
        let place = USAGE.place(name);
        let line = csv_line(&row);
        let empty = USAGE.columns.len() - 1;
        let cell = &line[place..line.len() - 2 - (empty - place)];
        (json[name].to_string(), cell.to_owned())
    }

    #[test]
    fn values_are_written_so_that_they_can_be_read_back() {
        let check = |name: &str, value: Value, json: &str, csv: &str| {
            assert_eq!(cell(name, value), (json.to_owned(), csv.to_owned()));
        };
        check("model", Value::Null, "null", "");
        check("model", Value::text(""), "\"\"", "\"\"");
        check("model", Value::text("a,\"b\"\r\nc"), "\"a,\\\"b\\\"\\r\\nc\"", "\"a,\"\"b\"\"\r\nc\"");
        check("total_cost", Value::Money(Pico(1_500_000)), "\"0.0000015\"", "0.0000015");
        check("is_stream", Value::Flag(false), "false", "false");
        check("cache_read", Value::Integer(i64::MIN), "-9223372036854775808", "-9223372036854775808");
        check("labels", Value::Names(vec!["a".into()]), "[\"a\"]", "\"[\"\"a\"\"]\"");
        check("raw_usage", Value::Json("{\"a\":1}".into()), "{\"a\":1}", "\"{\"\"a\"\":1}\"");
        check("raw_usage", Value::Json("{".into()), "\"{\"", "{");
    }

    #[test]
    fn a_row_stays_on_its_line_in_json() {
        let row = Row::new(&USAGE).with("raw_usage", Value::Json("{\n}".into()));
        assert_eq!(json_line(&row).matches('\n').count(), 1);
    }
}
