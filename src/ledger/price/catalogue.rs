//! A catalogue: a first line that says what it is, and one line for each price, sorted by provider, model and first day.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::date::{is_moving, without_date};
use super::entry::{Body, Entry};
use super::rates::Price;
use crate::wire::json::Node;

/// The text of a catalogue that holds its promise: every line behind the first is an [`Entry`], and they are sorted.
#[derive(Clone, Debug)]
pub struct Catalogue {
    text: Cow<'static, str>,
    /// Where its prices begin.
    start: usize,
    /// The day of its newest source.
    pub date: String,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// From 1.
    pub line: usize,
    pub what: String,
}

impl Catalogue {
    /// Takes a text that a test has checked.
    pub(super) fn checked_before(text: &'static str) -> Catalogue {
        let (head, _) = text.split_once('\n').unwrap_or((text, ""));
        let date = Node::scanned(head.as_bytes()).get("date").and_then(Node::text).unwrap_or_default();
        Catalogue { start: head.len() + 1, date: date.into_owned(), text: Cow::Borrowed(text) }
    }

    /// Reads a catalogue, in whatever order its lines are. The error lists all that is wrong.
    pub fn read(text: &str) -> Result<Catalogue, Vec<Complaint>> {
        let mut complaints = Vec::new();
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let date = match lines.next().map(|(_, line)| read_head(line)) {
            Some(Ok(date)) => date,
            Some(Err(what)) => return Err(vec![Complaint { line: 1, what }]),
            None => return Err(vec![Complaint { line: 1, what: "the file is empty".to_owned() }]),
        };
        let mut entries = Vec::new();
        for (index, line) in lines {
            match Entry::read(line).and_then(checked) {
                Ok(entry) => entries.push(entry),
                Err(what) => complaints.push(Complaint { line: index + 1, what }),
            }
        }
        let catalogue = Catalogue::of(entries, &date);
        complaints.extend(catalogue.clashes());
        if complaints.is_empty() { Ok(catalogue) } else { Err(complaints) }
    }

    /// The catalogue of these entries.
    pub fn of(mut entries: Vec<Entry>, date: &str) -> Catalogue {
        entries.sort_by(|a, b| a.key().cmp(&b.key()));
        let mut text = format!("{{\"{FORMAT}\":{VERSION},\"date\":\"{date}\"}}\n");
        let start = text.len();
        entries.iter().for_each(|entry| entry.write(&mut text));
        Catalogue { text: Cow::Owned(text), start, date: date.to_owned() }
    }

    /// As a file has it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All of it, read.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.lines().lines().filter_map(|line| Entry::read(line).ok())
    }

    fn lines(&self) -> &str {
        self.text.get(self.start..).unwrap_or_default()
    }

    /// The price of a model on a day: by its name, or without the date at the end of its name where the catalogue allows
    /// that.
    pub fn find(&self, provider: &str, model: &str, day: &str) -> Option<Price> {
        if is_moving(model) || model == EVERY {
            return None;
        }
        let found = self
            .entry(provider, model, day)
            .or_else(|| self.entry(provider, without_date(model)?, day).filter(|entry| entry.is_dated))?;
        let mut price = match found.body {
            Body::Price(price) => price,
            Body::As(other) => match self.entry(provider, &other, day)?.body {
                Body::Price(price) => price,
                Body::As(_) => return None,
            },
        };
        if let Some(Entry { body: Body::Price(every), .. }) = self.entry(provider, EVERY, day) {
            for (call, usual) in price.calls.iter_mut().zip(every.calls) {
                *call = call.or(usual);
            }
        }
        Some(price)
    }

    /// The last line of this model that begins no later than the day.
    fn entry(&self, provider: &str, model: &str, day: &str) -> Option<Entry> {
        let lines = self.lines();
        let at = end_of(lines, (provider, model, day));
        let line = lines[..at].trim_end_matches('\n').rsplit('\n').next()?;
        let key = key_of(line)?;
        if (key.0, key.1) == (provider, model) { Entry::read(line).ok() } else { None }
    }

    /// Names that stand twice, and other names of what is not there.
    fn clashes(&self) -> Vec<Complaint> {
        let all: Vec<Entry> = self.entries().collect();
        let twice = all.windows(2).filter(|pair| pair[0].key() == pair[1].key()).map(|pair| {
            let (provider, model, from) = pair[0].key();
            format!(
                "`{model}` of `{provider}` stands twice{}",
                if from.is_empty() { "" } else { " with one first day" }
            )
        });
        let priced: BTreeSet<(&str, &str)> = all
            .iter()
            .filter(|entry| matches!(entry.body, Body::Price(_)))
            .map(|entry| (entry.provider.as_str(), entry.model.as_str()))
            .collect();
        let has = |provider, model| priced.contains(&(provider, model));
        let lost = all.iter().filter_map(|entry| match &entry.body {
            Body::As(other) if !has(entry.provider.as_str(), other.as_str()) => Some(format!(
                "`{}` of `{}` is another name of `{other}`, which has no price",
                entry.model, entry.provider
            )),
            _ => None,
        });
        twice.chain(lost).map(|what| Complaint { line: 0, what }).collect()
    }
}

fn read_head(line: &str) -> Result<String, String> {
    let mut members = Vec::new();
    let head = Node::document(line.as_bytes(), &mut members).ok();
    let version = head.and_then(|head| head.get(FORMAT)).and_then(Node::u64);
    match (version, head.and_then(|head| head.get("date")).and_then(Node::text)) {
        (Some(VERSION), Some(date)) if super::date::is_day(&date) => Ok(date.into_owned()),
        (Some(VERSION), _) => Err("the first line needs `date`, a day such as 2026-09-01".to_owned()),
        (Some(other), _) => Err(format!("version {other} of the format is not known here")),
        (None, _) => Err(format!("the first line must be `{{\"{FORMAT}\":{VERSION},\"date\":\"…\"}}`")),
    }
}

/// What must hold of an entry beside its shape.
fn checked(entry: Entry) -> Result<Entry, String> {
    let is_plain =
        |text: &str| !text.is_empty() && !text.contains(['"', '\\']) && !text.contains(char::is_control);
    if !is_plain(&entry.provider) || !is_plain(&entry.model) {
        return Err("names are not empty and hold no quotes, backslashes or control characters".to_owned());
    }
    if is_moving(&entry.model) {
        return Err(format!(
            "`{}` means another model every few months: it has no price of its own",
            entry.model
        ));
    }
    match &entry.body {
        Body::Price(price) if price.source.is_empty() => Err("a price needs `source`".to_owned()),
        Body::Price(price) if price.tables.is_empty() && entry.model != EVERY => {
            Err(format!("`{}` has no price per token", entry.model))
        }
        _ => Ok(entry),
    }
}

/// The place behind all lines whose key is not above this one: a binary search over the bytes.
fn end_of(lines: &str, key: (&str, &str, &str)) -> usize {
    let (mut low, mut high) = (0, lines.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let begin =
            lines.as_bytes()[low..middle].iter().rposition(|&b| b == b'\n').map_or(low, |at| low + at + 1);
        let end = memchr::memchr(b'\n', &lines.as_bytes()[begin..]).map_or(lines.len(), |at| begin + at + 1);
        match key_of(&lines[begin..end]).map_or(Ordering::Greater, |found| found.cmp(&key)) {
            Ordering::Greater => high = begin,
            Ordering::Less | Ordering::Equal => low = end,
        }
    }
    low
}

/// Provider, model and first day of a line, without reading the rest.
fn key_of(line: &str) -> Option<(&str, &str, &str)> {
    let (provider, rest) = line.strip_prefix("{\"provider\":\"")?.split_once('"')?;
    let (model, rest) = rest.strip_prefix(",\"model\":\"")?.split_once('"')?;
    let from = rest.strip_prefix(",\"from\":\"").and_then(|rest| rest.split_once('"'));
    Some((provider, model, from.map_or("", |(from, _)| from)))
}

/// The first line's word for what the file is.
const FORMAT: &str = "ringway_prices";
const VERSION: u64 = 1;
/// In place of a model: what holds for all models of a provider, which are calls of its tools.
const EVERY: &str = "*";
