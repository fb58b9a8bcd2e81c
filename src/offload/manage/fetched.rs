//! The price list that was fetched last, and how the fetching goes.

use std::sync::Arc;

use super::Manager;
use crate::ledger::price::Catalogue;

#[derive(Default)]
pub(super) struct Fetched {
    pub catalogue: Option<Arc<Catalogue>>,
    list: PriceList,
}

/// What is known of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList {
    /// Empty where none is fetched.
    pub url: String,
    /// Milliseconds of the Unix epoch; `None` while it has never come.
    pub fetched_ms: Option<u64>,
    /// The day of its newest source.
    pub date: String,
    /// Why the last attempt failed; empty where it did not.
    pub trouble: String,
    pub good: u64,
    pub failed: u64,
}

/// Where a list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was fetched just now.
    Fetched,
    /// The process before fetched it.
    Kept,
}

impl Manager {
    /// How the fetching of the price list goes.
    pub fn price_list(&self) -> PriceList {
        self.fetched.borrow().list.clone()
    }

    /// A list has come: it is in force from now on.
    pub fn set_prices(&self, url: &str, catalogue: Catalogue, fetched_ms: u64, origin: Origin) {
        {
            let fetched = &mut *self.fetched.borrow_mut();
            let list = &mut fetched.list;
            (list.url, list.trouble) = (url.to_owned(), String::new());
            (list.fetched_ms, list.date) = (Some(fetched_ms), catalogue.date.clone());
            list.good += u64::from(origin == Origin::Fetched);
            fetched.catalogue = Some(Arc::new(catalogue));
        }
        self.publish(self.join(self.current().keyring.clone()));
    }

    /// A list has not come, or cannot be read. One of the same place stays in force.
    pub fn miss_prices(&self, url: &str, trouble: String) {
        if self.fetched.borrow().list.url != url {
            self.forget_prices();
        }
        let list = &mut self.fetched.borrow_mut().list;
        (list.url, list.trouble) = (url.to_owned(), trouble);
        list.failed += 1;
    }

    /// No list is fetched any more: what was is no longer in force.
    pub fn forget_prices(&self) {
        let had_any = {
            let fetched = &mut *self.fetched.borrow_mut();
            let PriceList { good, failed, .. } = fetched.list;
            fetched.list = PriceList { good, failed, ..PriceList::default() };
            fetched.catalogue.take().is_some()
        };
        if had_any {
            self.publish(self.join(self.current().keyring.clone()));
        }
    }
}
