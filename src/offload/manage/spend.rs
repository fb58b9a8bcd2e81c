//! What was spent, by the rows of usage: each account of money is brought to at least what the store knows of its window,
//! whoever spent it. So a start finds what former processes spent, and several processes find what the others do.

use std::collections::HashMap;
use std::sync::Arc;

use super::Manager;
use crate::identity::{Measure, Subject};
use crate::offload::store::{Filter, Store, StoreError, Summary, Value, tables};
use crate::policy::account::Account;

/// Sums of what is so long ago that hardly anything is added to it, by the id of the account.
#[derive(Default)]
pub struct Sums {
    known: HashMap<Arc<str>, Known>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    from_ms: i64,
    to_ms: i64,
    total: i128,
    /// When it was counted from the beginning.
    at_ms: i64,
}

impl Manager {
    /// Stored costs have changed: all of them are counted anew.
    pub(super) fn forget_sums(&self) {
        self.sums.borrow_mut().known.clear();
    }

    /// Raises every account of money to what the store knows.
    pub(super) async fn count_spend(&self, store: &Store, now_ms: u64) -> Result<(), StoreError> {
        let book = self.current().book.clone();
        let of_money = |account: &&Arc<Account>| matches!(account.allowance.measure, Measure::Cost(_));
        for account in book.accounts().filter(of_money) {
            let Some(window) = account.window(now_ms) else { continue };
            let reset_ms = self.reset_ms(&account.id).unwrap_or_default();
            let from_ms = (u64::from(window.start_s) * 1000).max(reset_ms);
            let total = self.spent(store, account, ms(from_ms), ms(now_ms)).await?;
            // One that was reset meanwhile begins anew, and what is known of it is too old.
            if self.reset_ms(&account.id).unwrap_or_default() != reset_ms {
                continue;
            }
            account.raise(window.start_s, u128::try_from(total).unwrap_or_default());
        }
        let is_there = |id: &Arc<str>| book.accounts().any(|account| account.id == *id);
        self.sums.borrow_mut().known.retain(|id, _| is_there(id));
        Ok(())
    }

    /// What the rows from this time on sum up to. Old ones are counted anew only now and then: a row that comes late is
    /// found then.
    async fn spent(
        &self,
        store: &Store,
        account: &Account,
        from_ms: i64,
        now_ms: i64,
    ) -> Result<i128, StoreError> {
        let known = self.sums.borrow().known.get(&account.id).copied();
        let known = known.filter(|known| known.from_ms == from_ms && now_ms - known.at_ms < AGAIN_MS);
        let known = known.unwrap_or(Known { from_ms, to_ms: from_ms, total: 0, at_ms: now_ms });
        let cut_ms = (now_ms - SETTLED_MS).max(known.to_ms);
        let old = sum(store, &account.allowance.subject, known.to_ms, cut_ms).await?;
        // A little ahead, for a process whose clock is.
        let new = sum(store, &account.allowance.subject, cut_ms, now_ms + SETTLED_MS).await?;
        let total = known.total + old;
        self.sums.borrow_mut().known.insert(account.id.clone(), Known { total, to_ms: cut_ms, ..known });
        Ok(total + new)
    }
}

async fn sum(store: &Store, subject: &Subject, from_ms: i64, to_ms: i64) -> Result<i128, StoreError> {
    if from_ms >= to_ms {
        return Ok(0);
    }
    let mut total = 0;
    for filter in filters(subject) {
        let filter = filter.between_ms("at_ms", from_ms, to_ms);
        let summary = Summary::new(&tables::USAGE, filter, &[], &["total_cost"], 1);
        let groups = store.summarise(summary).await?.groups;
        total += groups.first().and_then(|group| group.sums.first()).map_or(0, |sum| sum.total);
    }
    Ok(total)
}

/// The rows that are held against a subject. A name with a slash may be a model, or a provider with its model.
fn filters(subject: &Subject) -> Vec<Filter> {
    let equal = |column, name: &str| Filter::all().equal(column, Value::text(name));
    match subject {
        Subject::Key(id) => vec![equal("auth_key_id", id)],
        Subject::Path(path) if path.is_root() => vec![Filter::all()],
        Subject::Path(path) => vec![Filter::all().within("user_path", path.as_str())],
        Subject::Label(label) => vec![Filter::all().lists("labels", &**label)],
        Subject::Provider(name) => vec![equal("provider_name", name)],
        Subject::Model(name) => {
            let of_provider = name
                .split_once('/')
                .map(|(provider, model)| equal("provider_name", provider).equal("model", Value::text(model)));
            [equal("model", name)].into_iter().chain(of_provider).collect()
        }
    }
}

fn ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Rows older than this are taken to be complete until everything is counted anew.
const SETTLED_MS: i64 = 15 * 60 * 1000;
/// How often everything is counted anew.
const AGAIN_MS: i64 = 60 * 60 * 1000;
