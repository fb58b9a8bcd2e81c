//! Prices: which one holds for a model, at a time. A catalogue is a sorted text of one line per model; a lookup is a binary
//! search in it that reads the one line it finds, so nothing is parsed at the start and nothing is held twice. A price that
//! is not listed is unknown; none is ever guessed from another model's.

mod catalogue;
mod date;
mod entry;
pub mod fuzz;
pub mod import;
mod overrides;
mod rates;

use std::sync::Arc;

pub use catalogue::{Catalogue, Complaint};
pub use date::day_of;
pub use entry::{Body, Entry};
pub use overrides::{FIELDS, Override, WrongField};
pub use rates::{Price, Rate, Rates, Table, per_token_of_million};

/// The catalogue that is compiled in.
const BUILTIN: &str = include_str!("../../config/prices/catalogue.jsonl");

/// All prices: overrides first, then the catalogue that the operator brought, then the built-in one. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Prices {
    overrides: Arc<Vec<Override>>,
    /// The first that knows a model counts.
    catalogues: Vec<Arc<Catalogue>>,
}

/// The model of one exchange, as those who name it do.
#[derive(Clone, Copy, Debug)]
pub struct Named<'n> {
    /// The instance's name, which overrides may be for.
    pub provider: &'n str,
    /// Under which name the catalogue lists its prices: the provider file's `priced_as`.
    pub priced_as: &'n str,
    /// The model that was asked for.
    pub asked: &'n str,
    /// The model that the answer names.
    pub answered: Option<&'n str>,
}

impl Prices {
    /// The built-in catalogue alone. Reads its first line only.
    pub fn builtin() -> Prices {
        Prices { overrides: Arc::default(), catalogues: vec![Arc::new(Catalogue::checked_before(BUILTIN))] }
    }

    /// The same with a catalogue in front of those that are there.
    pub fn with_catalogue(self, catalogue: Catalogue) -> Prices {
        self.with_shared(Arc::new(catalogue))
    }

    /// The same with one that others have as well.
    pub fn with_shared(mut self, catalogue: Arc<Catalogue>) -> Prices {
        self.catalogues.insert(0, catalogue);
        self
    }

    /// The same with these overrides and no others.
    pub fn with_overrides(mut self, overrides: Vec<Override>) -> Prices {
        self.overrides = Arc::new(overrides);
        self
    }

    /// The overrides, first the one that counts first.
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// The catalogues, first the one that counts first.
    pub fn catalogues(&self) -> impl Iterator<Item = &Catalogue> {
        self.catalogues.iter().map(|catalogue| &**catalogue)
    }

    /// The price of a model at a time, in seconds since 1970. An override for the model that was asked for comes first. In
    /// the catalogues the model that the answer names counts: it is the one that ran. Where it is not listed, the one that
    /// was asked for counts only if the answer's name is a longer spelling of it, or there is none. A name that ends in
    /// `latest` means another model every few months and is never looked up. A search and the reading of two lines: who
    /// needs a price for every request keeps it, for one model and one day.
    pub fn find(&self, named: Named<'_>, at_s: u64) -> Option<Price> {
        let answered = named.answered.filter(|answered| !answered.is_empty());
        let names = [Some(named.asked), answered];
        let of = |name: &str| self.overrides.iter().find(|one| one.is_for(named.provider, name));
        if let Some(found) = names.into_iter().flatten().find_map(of) {
            return Some(found.price.clone());
        }
        let day = day_of(at_s);
        let listed = |name: &str| {
            let mut found =
                self.catalogues.iter().map(|catalogue| catalogue.find(named.priced_as, name, &day));
            found.find_map(|price| price)
        };
        let is_same = answered.is_none_or(|answered| is_longer_spelling(answered, named.asked));
        answered.and_then(listed).or_else(|| listed(named.asked).filter(|_| is_same))
    }
}

/// Whether one name is the other with more behind it, such as a date, or with a path in front.
fn is_longer_spelling(long: &str, short: &str) -> bool {
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    last(long).starts_with(&last(short))
}

#[cfg(test)]
mod tests;
