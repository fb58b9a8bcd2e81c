//! Two catalogues into one: the first has the word, the second fills up what it does not list, and knows the past.

use std::collections::BTreeMap;

use crate::ledger::price::entry::{Body, Entry};
use crate::ledger::price::rates::{Price, Rate};
use crate::ledger::usage::Mode;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    pub entries: Vec<Entry>,
    /// Models of both whose prices differ for plain input or output: provider, model.
    pub differ: Vec<(String, String)>,
}

/// Joins the lines of two catalogues, model by model. Where both list a model, the first's prices stay; the second adds that
/// a date may follow the name. Where the second knows several days and the first only one price, which is that of one of
/// those days, it takes that day's place: what came before and what comes after is the second's.
pub fn merge(first: Vec<Entry>, second: Vec<Entry>) -> Merged {
    let (first, second) = (by_model(first), by_model(second));
    let mut merged = Merged::default();
    for (key, ours) in &first {
        let Some(theirs) = second.get(key) else {
            merged.entries.extend(ours.iter().cloned());
            continue;
        };
        let mut ours = ours.clone();
        let is_dated = theirs.iter().any(|entry| entry.is_dated);
        ours.iter_mut().for_each(|entry| entry.is_dated |= is_dated);
        match place_in(&ours, theirs) {
            None => {}
            Some(Place::Nowhere) => merged.differ.push(key.clone()),
            Some(Place::At(at)) => {
                ours[0].from = theirs[at].from.clone();
                merged.entries.extend(theirs[..at].iter().cloned());
                merged.entries.extend(theirs[at + 1..].iter().cloned());
            }
        }
        merged.entries.extend(ours);
    }
    let only_second = second.into_iter().filter(|(key, _)| !first.contains_key(key));
    merged.entries.extend(only_second.flat_map(|(_, entries)| entries));
    drop_lost_names(&mut merged.entries);
    merged
}

enum Place {
    Nowhere,
    /// Which of the other's prices it is.
    At(usize),
}

/// Where one price belongs among those of another list; `None` where the question makes no sense.
fn place_in(ours: &[Entry], theirs: &[Entry]) -> Option<Place> {
    let [only] = ours else { return None };
    let price = price_of(only).filter(|_| only.from.is_empty())?;
    let agrees = |entry: &Entry| price_of(entry).is_some_and(|other| agree(price, other));
    theirs.iter().any(|entry| price_of(entry).is_some()).then_some(())?;
    Some(theirs.iter().rposition(agrees).map_or(Place::Nowhere, Place::At))
}

/// Sorted by their first days.
fn by_model(entries: Vec<Entry>) -> BTreeMap<(String, String), Vec<Entry>> {
    let mut models: BTreeMap<(String, String), Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        models.entry((entry.provider.clone(), entry.model.clone())).or_default().push(entry);
    }
    models.values_mut().for_each(|entries| entries.sort_by(|a, b| a.from.cmp(&b.from)));
    models
}

fn price_of(entry: &Entry) -> Option<&Price> {
    match &entry.body {
        Body::Price(price) => Some(price),
        Body::As(_) => None,
    }
}

fn agree(one: &Price, other: &Price) -> bool {
    [Rate::Input, Rate::Output].into_iter().all(|rate| {
        let of = |price: &Price| price.rates(Mode::Standard, 1).and_then(|rates| rates.get(rate));
        let (one, other) = (of(one), of(other));
        one == other || one.is_none() || other.is_none()
    })
}

/// A name may stand for a model that is another name in the other catalogue: then it goes.
pub(super) fn drop_lost_names(entries: &mut Vec<Entry>) {
    let prices: std::collections::BTreeSet<(String, String)> = entries
        .iter()
        .filter(|entry| price_of(entry).is_some())
        .map(|entry| (entry.provider.clone(), entry.model.clone()))
        .collect();
    entries.retain(|entry| match &entry.body {
        Body::Price(_) => true,
        Body::As(other) => prices.contains(&(entry.provider.clone(), other.clone())),
    });
}
