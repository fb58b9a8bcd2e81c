//! The book of all accounts: from a request's key, path, labels, provider and model to the accounts that it is held
//! against. Immutable; a change makes another book, whose accounts go on counting where those of the book before are.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::account::{Account, Counter};
use super::hold::Applicable;
use super::key::Key;
use crate::identity::{Allowance, Calendar, Subject, UserPath};

#[derive(Debug, Default)]
pub struct Book {
    calendar: Arc<Calendar>,
    paths: HashMap<UserPath, Accounts, RandomState>,
    labels: ByName,
    providers: ByName,
    models: ByName,
    keys: ByName,
    /// Some budget names a model to be asked instead.
    pub names_instead: bool,
}

type Accounts = Vec<Arc<Account>>;
type ByName = HashMap<Arc<str>, Accounts, RandomState>;

impl Book {
    /// Of two allowances with one id the later counts: what is stored comes before what the settings say.
    pub fn new(allowances: &[Allowance], calendar: Calendar, before: Option<&Book>) -> Book {
        let known: HashMap<&str, &Account> =
            before.into_iter().flat_map(Book::accounts).map(|account| (&*account.id, &**account)).collect();
        let names_instead = allowances.iter().any(|allowance| allowance.instead.is_some());
        let mut book = Book { calendar: Arc::new(calendar), names_instead, ..Book::default() };
        for allowance in allowances {
            let account =
                Account::new(allowance.clone(), &book.calendar, known.get(&*allowance.id()).copied());
            let accounts = book.accounts_of(&allowance.subject);
            accounts.retain(|other| other.id != account.id);
            accounts.push(Arc::new(account));
        }
        book
    }

    fn accounts_of(&mut self, subject: &Subject) -> &mut Accounts {
        match subject {
            Subject::Path(path) => self.paths.entry(path.clone()).or_default(),
            Subject::Label(name) => self.labels.entry(name.clone()).or_default(),
            Subject::Provider(name) => self.providers.entry(name.clone()).or_default(),
            Subject::Model(name) => self.models.entry(name.clone()).or_default(),
            Subject::Key(id) => self.keys.entry(id.clone()).or_default(),
        }
    }

    /// No caller and no target has an account in it.
    pub fn is_empty(&self) -> bool {
        self.accounts().next().is_none()
    }

    /// The calendar that keys' own accounts follow as well.
    pub fn calendar(&self) -> &Arc<Calendar> {
        &self.calendar
    }

    /// What a caller is held against, whatever it asks for: its key, its path and those above it, its labels.
    pub fn of_caller(&self, key: Option<&Key>, path: &UserPath, labels: &[&str]) -> Applicable {
        self.applicable(key, path, labels, None)
    }

    /// What a request to this model of this provider is held against, whoever asks.
    pub fn of_target(&self, provider: &str, model: &str) -> Applicable {
        let mut accounts = Accounts::new();
        self.add_target(provider, model, &mut accounts);
        Applicable::new(accounts)
    }

    /// Both. Cheap enough for every request, and the same as long as book, key, path, labels and target are.
    pub fn applicable(
        &self,
        key: Option<&Key>,
        path: &UserPath,
        labels: &[&str],
        target: Option<(&str, &str)>,
    ) -> Applicable {
        let mut accounts = Accounts::new();
        if let Some(key) = key {
            accounts.extend(key.accounts().iter().cloned());
            accounts.extend(self.keys.get(key.id.as_str()).into_iter().flatten().cloned());
        }
        for place in path.upward() {
            accounts.extend(self.paths.get(place).into_iter().flatten().cloned());
        }
        for (_, label) in labels.iter().enumerate().filter(|(index, label)| !labels[..*index].contains(label))
        {
            accounts.extend(self.labels.get(*label).into_iter().flatten().cloned());
        }
        if let Some((provider, model)) = target {
            self.add_target(provider, model, &mut accounts);
        }
        Applicable::new(accounts)
    }

    fn add_target(&self, provider: &str, model: &str, accounts: &mut Accounts) {
        accounts.extend(self.providers.get(provider).into_iter().flatten().cloned());
        if !self.models.is_empty() {
            accounts.extend(self.models.get(model).into_iter().flatten().cloned());
            let qualified = format!("{provider}/{model}");
            accounts.extend(self.models.get(&*qualified).into_iter().flatten().cloned());
        }
    }

    /// Every account, for metrics, the admin API, and to reset one.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        let named = [&self.labels, &self.providers, &self.models, &self.keys];
        self.paths.values().chain(named.into_iter().flat_map(HashMap::values)).flatten()
    }

    /// What is to be kept beyond the life of the process: what was really used, and no reservation.
    pub fn counters(&self) -> Vec<Counter> {
        self.accounts().filter_map(|account| account.counter()).collect()
    }

    /// What a former process kept. Counters of accounts that no longer exist are left out.
    pub fn restore(&self, counters: &[Counter]) {
        let by_id: HashMap<&str, &Counter> = counters.iter().map(|counter| (&*counter.id, counter)).collect();
        for account in self.accounts() {
            if let Some(counter) = by_id.get(&*account.id) {
                account.restore(counter);
            }
        }
    }
}

#[cfg(test)]
mod tests;
