//! One line of a catalogue: JSON in, an entry out, and back. The members stand in a fixed order, so that lines can be sorted
//! and searched as text.

use std::fmt::Write as _;

use super::date::is_day;
use super::rates::{Price, Rate, Rates};
use crate::ledger::usage::{Mode, ServerTool};
use crate::wire::json::{self, Kind, Node};

/// What a line says of one model of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub provider: String,
    pub model: String,
    /// The first day on which it holds, in UTC; empty for "since ever".
    pub from: String,
    /// The same model with a date behind its name has this price too.
    pub is_dated: bool,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Another name of a model of the same provider.
    As(String),
    Price(Price),
}

impl Entry {
    /// By what lines are sorted.
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.provider, &self.model, &self.from)
    }

    /// Reads one line. `Err` says what is wrong with it.
    pub fn read(line: &str) -> Result<Entry, String> {
        let mut members = Vec::new();
        let node = Node::document(line.as_bytes(), &mut members).map_err(|fault| fault.sentence())?;
        let known =
            ["provider", "model", "from", "dated", "as", "source", "above", "calls", "request", "prices"];
        let is_known = |key: &[u8]| known.iter().any(|name| name.as_bytes() == key) || mode_of(key).is_some();
        if let Some((key, _)) = node.members().find(|(key, _)| !is_known(key)) {
            return Err(format!("`{}` is no member of a price", String::from_utf8_lossy(&key)));
        }
        let text = |key: &str| node.get(key).and_then(Node::text).map(|text| text.into_owned());
        let (Some(provider), Some(model)) = (text("provider"), text("model")) else {
            return Err("a price needs `provider` and `model`".to_owned());
        };
        let from = text("from").unwrap_or_default();
        if !(from.is_empty() || is_day(&from)) {
            return Err(format!("`from` is `{from}` and no day such as 2026-09-01"));
        }
        let body = match text("as") {
            Some(other) => Body::As(other),
            None => Body::Price(read_price(node, &model)?),
        };
        let is_dated = node.get("dated").and_then(Node::bool).unwrap_or(false);
        Ok(Entry { provider, model, from, is_dated, body })
    }

    /// Appends the line, with its end.
    pub fn write(&self, out: &mut String) {
        let _ = write!(out, "{{\"provider\":{},\"model\":{}", quoted(&self.provider), quoted(&self.model));
        if !self.from.is_empty() {
            let _ = write!(out, ",\"from\":{}", quoted(&self.from));
        }
        if self.is_dated {
            out.push_str(",\"dated\":true");
        }
        match &self.body {
            Body::As(other) => {
                let _ = write!(out, ",\"as\":{}", quoted(other));
            }
            Body::Price(price) => write_price(price, out),
        }
        out.push_str("}\n");
    }
}

fn read_price(node: Node<'_>, model: &str) -> Result<Price, String> {
    let source = node.get("source").and_then(Node::text).unwrap_or_default().into_owned();
    let mut price = Price { model: model.to_owned(), source: source.into(), ..Price::default() };
    read_tables(node, 0, &mut price)?;
    for tier in node.get("above").into_iter().flat_map(Node::items) {
        let tokens = tier.get("tokens").and_then(Node::u64).filter(|&tokens| tokens > 0);
        read_tables(tier, tokens.ok_or("`above` needs `tokens`, a number above 0")?, &mut price)?;
    }
    for (name, value) in node.get("calls").into_iter().flat_map(Node::members) {
        let tool = ServerTool::ALL.into_iter().find(|tool| tool.name().as_bytes() == &*name);
        let tool = tool.ok_or_else(|| format!("`{}` is no tool", String::from_utf8_lossy(&name)))?;
        price.calls[tool as usize] = Some(whole(value, &name)?);
    }
    price.request = node.get("request").map(|value| whole(value, b"request")).transpose()?;
    Ok(price)
}

fn read_tables(node: Node<'_>, above: u64, price: &mut Price) -> Result<(), String> {
    for (key, group) in node.members() {
        let Some(mode) = mode_of(&key) else { continue };
        if group.kind() != Kind::Object {
            return Err(format!("`{}` is no group of prices", String::from_utf8_lossy(&key)));
        }
        for (name, value) in group.members() {
            let rate = Rate::of_name(&name)
                .ok_or_else(|| format!("`{}` is no price per token", String::from_utf8_lossy(&name)))?;
            price.rates_mut(mode, above).set(rate, whole(value, &name)?);
        }
    }
    Ok(())
}

fn whole(value: Node<'_>, name: &[u8]) -> Result<u64, String> {
    value.u64().ok_or_else(|| {
        let (name, raw) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value.raw()));
        format!("`{name}` is `{raw}` and no whole number of pico-dollars")
    })
}

/// The class of service whose prices stand in a member of this name.
fn mode_of(key: &[u8]) -> Option<Mode> {
    Mode::PRICED.into_iter().find(|mode| table_name(*mode).as_bytes() == key)
}

fn table_name(mode: Mode) -> &'static str {
    if mode == Mode::Standard { "prices" } else { mode.name() }
}

fn write_price(price: &Price, out: &mut String) {
    let _ = write!(out, ",\"source\":{}", quoted(&price.source));
    let tables = |above: u64| price.tables.iter().filter(move |table| table.above == above);
    for table in tables(0) {
        write_rates(table_name(table.mode), &table.rates, out);
    }
    let mut sizes: Vec<u64> =
        price.tables.iter().map(|table| table.above).filter(|&above| above > 0).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for (index, above) in sizes.iter().enumerate() {
        let _ = write!(out, "{}{{\"tokens\":{above}", if index == 0 { ",\"above\":[" } else { "," });
        tables(*above).for_each(|table| write_rates(table_name(table.mode), &table.rates, out));
        out.push('}');
    }
    if !sizes.is_empty() {
        out.push(']');
    }
    let calls =
        ServerTool::ALL.into_iter().filter_map(|tool| Some((tool.name(), price.calls[tool as usize]?)));
    write_numbers("calls", calls, out);
    if let Some(request) = price.request {
        let _ = write!(out, ",\"request\":{request}");
    }
}

fn write_rates(name: &str, rates: &Rates, out: &mut String) {
    write_numbers(name, Rate::ALL.into_iter().filter_map(|rate| Some((rate.name(), rates.get(rate)?))), out);
}

fn write_numbers<'n>(name: &str, numbers: impl Iterator<Item = (&'n str, u64)>, out: &mut String) {
    let numbers: Vec<String> = numbers.map(|(name, number)| format!("\"{name}\":{number}")).collect();
    if !numbers.is_empty() {
        let _ = write!(out, ",\"{name}\":{{{}}}", numbers.join(","));
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_written_as_it_was() {
        for line in [
            r#"{"provider":"a","model":"m","source":"s","prices":{"input":1,"output":2}}"#,
            r#"{"provider":"a","model":"m","from":"2026-09-01","dated":true,"source":"s","prices":{"input":1,"output":2,"cache_read":3,"cache_write":4,"cache_write_1h":5,"reasoning":6,"input_audio":7,"output_audio":8,"cache_read_audio":9,"input_image":10,"output_image":11},"batch":{"input":0},"above":[{"tokens":200000,"prices":{"input":2},"flex":{"output":9}},{"tokens":300000,"priority":{"input":3}}],"calls":{"web_search":10000000000,"web_fetch":0},"request":5}"#,
            r#"{"provider":"a","model":"x/y:z","as":"m"}"#,
        ] {
            let mut out = String::new();
            Entry::read(line).expect(line).write(&mut out);
            assert_eq!(out.trim_end(), line);
        }
    }

    #[test]
    fn what_is_no_price_is_refused_with_its_reason() {
        let check = |line: &str, want: &str| {
            let error = Entry::read(line).expect_err(line);
            assert!(error.contains(want), "{line}: {error}");
        };
        check("[]", "JSON object");
        check(r#"{"model":"m"}"#, "needs `provider`");
        check(r#"{"provider":"a","model":"m","prices":{"input":0.5}}"#, "`0.5` and no whole number");
        check(r#"{"provider":"a","model":"m","prices":{"input":-1}}"#, "no whole number");
        check(r#"{"provider":"a","model":"m","prices":{"inputs":1}}"#, "`inputs` is no price per token");
        check(r#"{"provider":"a","model":"m","batches":{}}"#, "`batches` is no member");
        check(r#"{"provider":"a","model":"m","batch":1}"#, "no group of prices");
        check(r#"{"provider":"a","model":"m","from":"2026-9-1"}"#, "no day");
        check(r#"{"provider":"a","model":"m","above":[{"prices":{"input":1}}]}"#, "needs `tokens`");
        check(r#"{"provider":"a","model":"m","calls":{"dance":1}}"#, "is no tool");
    }
}
