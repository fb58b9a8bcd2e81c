//! Admission: a request is held against all of its accounts, all or none of them take it, and what was reserved is
//! settled when it is over.

use std::sync::Arc;

use smallvec::SmallVec;

use super::account::Account;
use super::meter::Stamp;
use super::rate::Rates;
use super::rejected::Rejected;
use crate::base::Pico;
use crate::identity::{Measure, Strength};

/// The accounts of one kind of request. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Applicable {
    accounts: Arc<[Arc<Account>]>,
}

/// What a request is expected to take at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub requests: u64,
    pub tokens: u64,
    /// `None` where no price is known: budgets neither refuse nor count it.
    pub cost: Option<Pico>,
    pub budgets: Budgets,
}

/// What budgets do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budgets {
    /// Those that are used up refuse it.
    Hold,
    /// All of them take it, and count what it costs.
    Count,
    /// Those that name a model to be asked instead do so: this is it. The others hold.
    Instead,
}

/// What it took. `None` where nobody stated it: what was reserved stands for it then. An exchange that reached no
/// provider used 0 of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub tokens: Option<u64>,
    pub cost: Option<Pico>,
}

/// What is reserved for one request, in every account that it is held against. Dropped, it gives tokens, money and its
/// place among the concurrent ones back; the request was made and stays counted.
#[derive(Debug)]
#[must_use = "a hold that is dropped gives back what was reserved"]
pub struct Hold {
    accounts: Arc<[Arc<Account>]>,
    ask: Ask,
    /// When it was taken from each of the accounts; empty once it is settled.
    stamps: SmallVec<[Stamp; ACCOUNTS_USUAL]>,
}

/// Accounts of one request, mostly: two budgets and a rate of two measures need no memory of their own.
const ACCOUNTS_USUAL: usize = 4;

impl Applicable {
    pub fn new(accounts: Vec<Arc<Account>>) -> Applicable {
        Applicable { accounts: accounts.into() }
    }

    pub fn accounts(&self) -> &[Arc<Account>] {
        &self.accounts
    }

    /// Whether any account counts money: only then is a price needed beforehand.
    pub fn counts_cost(&self) -> bool {
        self.accounts.iter().any(|account| matches!(account.allowance.measure, Measure::Cost(_)))
    }

    /// Reserves in all accounts, or in none.
    pub fn admit(&self, now_ms: u64, ask: Ask) -> Result<Hold, Rejected> {
        let stamps = SmallVec::with_capacity(self.accounts.len());
        let mut hold = Hold { accounts: self.accounts.clone(), ask, stamps };
        for account in self.accounts.iter() {
            match account.take(now_ms, ask.of(account), ask.strength(account)) {
                Ok(stamp) => hold.stamps.push(stamp),
                Err(_) => {
                    hold.undo();
                    return Err(self.rejected(now_ms, ask, account));
                }
            }
        }
        Ok(hold)
    }

    /// Of all accounts that cannot take it the one for which the wait is longest: only behind it can the answer change.
    /// Another model helps where each of them names one.
    fn rejected(&self, now_ms: u64, ask: Ask, first: &Arc<Account>) -> Rejected {
        let is_full = |account: &&Arc<Account>| {
            ask.strength(account) == Strength::Hard && !account.fits(now_ms, ask.of(account))
        };
        let full = || self.accounts.iter().filter(is_full).chain([first]);
        let can_turn = full().all(|account| account.allowance.instead.is_some());
        let made = full().map(|account| Rejected::new(account, ask.of(account), now_ms));
        let longest = made.max_by_key(Rejected::wait_rank);
        let mut rejected = longest.unwrap_or_else(|| Rejected::new(first, ask.of(first), now_ms));
        rejected.can_turn = can_turn;
        rejected
    }

    /// What the client is told of its limits: of each kind the one with the least left.
    pub fn rates(&self, now_ms: u64) -> Rates {
        Rates::of(&self.accounts, now_ms)
    }
}

impl Ask {
    fn of(&self, account: &Account) -> u128 {
        match account.allowance.measure {
            Measure::Requests(_) => u128::from(self.requests),
            Measure::Tokens(_) => u128::from(self.tokens),
            Measure::Cost(_) => pico(self.cost.unwrap_or(Pico::ZERO)),
            Measure::Concurrent => 1,
        }
    }

    fn strength(&self, account: &Account) -> Strength {
        match (account.allowance.measure, self.budgets) {
            (Measure::Cost(_), Budgets::Count) => Strength::Soft,
            (Measure::Cost(_), Budgets::Instead) if account.allowance.instead.is_some() => Strength::Soft,
            _ => account.allowance.strength,
        }
    }
}

/// A cost that is counted. What is given back counts for nothing: a budget never grows by a correction.
fn pico(cost: Pico) -> u128 {
    u128::try_from(cost.0).unwrap_or(0)
}

impl Hold {
    /// The request is over, and this is what it took. The soft allowances that it brought above their amount.
    pub fn settle(mut self, used: Used) -> Vec<Arc<Account>> {
        self.finish(used)
    }

    fn finish(&mut self, used: Used) -> Vec<Arc<Account>> {
        let mut crossed = Vec::new();
        for (account, stamp) in self.accounts.iter().zip(std::mem::take(&mut self.stamps)) {
            let used = match account.allowance.measure {
                Measure::Tokens(_) => used.tokens.map(u128::from),
                Measure::Cost(_) => used.cost.map(pico),
                _ => None,
            };
            if account.settle(stamp, self.ask.of(account), used) {
                crossed.push(account.clone());
            }
        }
        crossed
    }

    fn undo(&mut self) {
        for (account, stamp) in self.accounts.iter().zip(std::mem::take(&mut self.stamps)) {
            account.undo(stamp, self.ask.of(account));
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.finish(Used { tokens: Some(0), cost: Some(Pico::ZERO) });
    }
}
