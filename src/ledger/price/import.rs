//! Public price lists into entries of the catalogue. Decimal texts are read as such; no price passes through a
//! floating-point number. What cannot be said exactly is left out, and counted by its reason.

mod genai;
mod litellm;
mod merge;
mod model_list;
mod models_dev;

use std::collections::BTreeMap;

use super::date::is_moving;
use super::entry::{Body, Entry};
use super::rates::Price;
use crate::wire::json::{Kind, Node};

pub use merge::{Merged, merge};
pub use model_list::OWN;

/// The form of a price list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object with a member for each model; dollars per token.
    LiteLlm,
    /// A list of providers with lists of models, with rules for names and dates; dollars per million tokens.
    GenaiPrices,
    /// One object with a member for each provider; dollars per million tokens.
    ModelsDev,
    /// A list of models as an API serves it, `data[].pricing`; dollars per token as texts.
    ModelList,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::LiteLlm, Format::GenaiPrices, Format::ModelsDev, Format::ModelList];

    pub fn name(self) -> &'static str {
        match self {
            Format::LiteLlm => "litellm",
            Format::GenaiPrices => "genai-prices",
            Format::ModelsDev => "models.dev",
            Format::ModelList => "model-list",
        }
    }

    pub fn of_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format of a list, by what stands first in it.
    fn of(list: Node<'_>) -> Option<Format> {
        let models = list.get("data").unwrap_or(list);
        if models.kind() == Kind::Array {
            let is_model = models.items().next()?.get("pricing").is_some();
            return Some(if is_model { Format::ModelList } else { Format::GenaiPrices });
        }
        let of_value = |value: Node<'_>| match () {
            () if value.get("litellm_provider").is_some() => Some(Format::LiteLlm),
            () if value.get("models").is_some() => Some(Format::ModelsDev),
            () => None,
        };
        list.members().find_map(|(_, value)| of_value(value))
    }
}

/// Which of our providers a name in a public list means: pairs of theirs and ours. One of theirs may mean several of ours.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<(String, String)>);

impl Names {
    /// Our names for one of theirs.
    pub fn of<'s>(&'s self, theirs: &str) -> Vec<&'s str> {
        let is_it = |(name, _): &&(String, String)| name == theirs;
        self.0.iter().filter(is_it).map(|(_, ours)| ours.as_str()).collect()
    }
}

/// What came of a list.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    pub entries: Vec<Entry>,
    /// How many models were left out, by reason.
    pub left_out: BTreeMap<&'static str, usize>,
}

impl Imported {
    fn leave_out(&mut self, reason: &'static str) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    /// Takes a price for each of our providers, unless something speaks against it. The first of a name counts.
    fn take(&mut self, providers: &[&str], entry: Entry) {
        let Body::Price(price) = &entry.body else { return self.add(providers, entry) };
        if is_moving(&entry.model) {
            return self.leave_out(MOVING);
        }
        if price.tables.is_empty() {
            return self.leave_out(NO_TOKENS);
        }
        if price.is_free() {
            return self.leave_out(FREE);
        }
        self.add(providers, entry);
    }

    fn add(&mut self, providers: &[&str], entry: Entry) {
        let is_plain = !entry.model.is_empty() && !entry.model.contains(['"', '\\']);
        if !is_plain || entry.model.contains(char::is_control) {
            return self.leave_out(BAD_NAME);
        }
        for provider in providers {
            self.entries.push(Entry { provider: (*provider).to_owned(), ..entry.clone() });
        }
    }

    /// Of entries with one key the first stays.
    fn without_doubles(mut self) -> Imported {
        self.entries.sort_by(|a, b| a.key().cmp(&b.key()));
        let before = self.entries.len();
        self.entries.dedup_by(|later, first| later.key() == first.key());
        let doubles = before - self.entries.len();
        merge::drop_lost_names(&mut self.entries);
        if doubles > 0 {
            *self.left_out.entry(TWICE).or_default() += doubles;
        }
        self
    }
}

/// Reads a list. Without a format it is found out. `source` is what its prices are said to come from. The error says why it
/// is no list of prices.
pub fn read(text: &str, format: Option<Format>, source: &str, names: &Names) -> Result<Imported, String> {
    // Inside of an object, because the scanner bounds the members of the outermost one, and a list may be outermost.
    let document = format!("{{\"list\":{text}}}");
    let mut members = Vec::new();
    let document = Node::document(document.as_bytes(), &mut members).map_err(|fault| fault.sentence())?;
    let list = document.get("list").ok_or("there is no list in it")?;
    let format = format.or_else(|| Format::of(list)).ok_or("its format is none that is known")?;
    let imported = match format {
        Format::LiteLlm => litellm::read(list, source, names),
        Format::GenaiPrices => genai::read(list, source, names),
        Format::ModelsDev => models_dev::read(list, source, names),
        Format::ModelList => model_list::read(list, source, names),
    };
    if imported.entries.is_empty() && imported.left_out.is_empty() {
        return Err(format!("nothing in it is a price as the format {} has it", format.name()));
    }
    Ok(imported.without_doubles())
}

fn priced(model: &str, source: &str) -> Price {
    Price { model: model.to_owned(), source: source.into(), ..Price::default() }
}

/// A number as it is spelled, or a text that is one.
fn decimal<'d>(value: Node<'d>) -> Option<&'d str> {
    let text = match value.kind() {
        Kind::Number => value.raw(),
        _ => value.escaped()?,
    };
    std::str::from_utf8(text).ok()
}

const MOVING: &str = "a name that means whatever is newest";
const NO_TOKENS: &str = "no price per token";
const FREE: &str = "all its prices are 0, which is how lists write what they do not know";
const BAD_NAME: &str = "a name with quotes or control characters";
const TWICE: &str = "a further price for a name that has one";
const NOT_EXACT: &str = "a price that is negative or no whole number of pico-dollars per token";
const OTHERS: &str = "of a provider that is not known here";
const BY_HOUR: &str = "a price that changes with the hour";
const BROAD: &str = "no name that a request could have";

#[cfg(test)]
mod tests;
