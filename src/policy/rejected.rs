//! A request that an account cannot take: which one, why, and when asking again makes sense.

use std::sync::Arc;

use super::account::Account;
use crate::base::{Refusal, RefusalKind};
use crate::identity::allowance::amount;
use crate::identity::{Measure, Subject};

#[derive(Clone, Debug)]
pub struct Rejected {
    pub account: Arc<Account>,
    /// Whole seconds, rounded up, until the account's window ends. `None` when waiting does not help: the request alone
    /// is more than the whole window allows.
    pub retry_after_s: Option<u32>,
    /// All that refuse it are budgets that name another model.
    pub(super) can_turn: bool,
    needs: u128,
    taken: u128,
}

impl Rejected {
    pub(super) fn new(account: &Arc<Account>, needs: u128, now_ms: u64) -> Rejected {
        let standing = account.standing(now_ms);
        let rest_ms = standing.window.map_or(CONCURRENT_WAIT_MS, |window| window.rest_ms(now_ms));
        let wait_s = u32::try_from(rest_ms.div_ceil(1000).max(1)).unwrap_or(u32::MAX);
        let can_wait = needs <= account.allowance.max;
        Rejected {
            account: account.clone(),
            retry_after_s: can_wait.then_some(wait_s),
            can_turn: false,
            needs,
            taken: standing.taken,
        }
    }

    pub(super) fn wait_rank(&self) -> u64 {
        self.retry_after_s.map_or(u64::MAX, u64::from)
    }

    /// It is money that is used up, and not a rate.
    pub fn is_budget(&self) -> bool {
        matches!(self.account.allowance.measure, Measure::Cost(_))
    }

    /// The model to be asked instead, where one is configured for this case and nothing else refuses the request.
    pub fn instead(&self) -> Option<Arc<str>> {
        self.account.allowance.instead.clone().filter(|_| self.can_turn)
    }

    /// What the client is told: 429.
    pub fn refusal(&self) -> Refusal {
        let mut refusal = if self.is_budget() {
            Refusal::new(429, RefusalKind::RateLimit, "budget_exceeded", self.sentence())
        } else {
            Refusal::new(429, RefusalKind::RateLimit, "rate_limit_exceeded", self.sentence())
        };
        refusal.retry_after_s = self.retry_after_s;
        refusal
    }

    fn sentence(&self) -> String {
        let allowance = &self.account.allowance;
        let whose = match &allowance.subject {
            Subject::Key(_) => "this key".to_owned(),
            Subject::Path(path) => format!("the user path {path}"),
            Subject::Label(label) => format!("the label {label}"),
            Subject::Provider(provider) => format!("the provider {provider}"),
            Subject::Model(model) => format!("the model {model}"),
        };
        let what = if self.is_budget() { "budget" } else { "limit" };
        let per = match allowance.measure.period() {
            Some(period) => format!(", {period}"),
            None => String::new(),
        };
        let most = allowance.amount();
        if self.retry_after_s.is_none() {
            let needs = amount(allowance.measure, self.needs);
            return format!(
                "The request may take {needs}, more than the whole {what} of {whose}: {most}{per}."
            );
        }
        if self.is_budget() {
            let taken = amount(allowance.measure, self.taken);
            return format!(
                "The {what} of {whose} is used up: {most}{per}, of which {taken} are spent or reserved."
            );
        }
        format!("The {what} of {whose} is reached: {most}{per}.")
    }
}

/// When another request ends is not known; this is soon enough to be told again.
const CONCURRENT_WAIT_MS: u64 = 1_000;
