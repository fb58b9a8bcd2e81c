//! Everything that can be changed while the gateway runs: who may call, under which limits, by which names, at which
//! prices. One immutable value; a change makes another, and every shard gets it as a whole.

use std::sync::Arc;

use crate::config::Snapshot;
use crate::identity::{Alias, Allowance, Features, Gate, Measure, ModelRule, UserPath, Workflow};
use crate::ledger::price::{Catalogue, Override, Prices};
use crate::policy::access::Access;
use crate::policy::alias::Aliases;
use crate::policy::book::Book;
use crate::policy::key::Pepper;
use crate::policy::keyring::Keyring;
use crate::policy::workflow::Workflows;

/// What the shards decide by. Cheap to clone.
#[derive(Clone)]
pub struct Managed {
    /// Counts changes: what a shard derived from an older one is derived anew.
    pub version: u64,
    /// The store has been read, or there is none to read.
    pub is_settled: bool,
    pub keyring: Keyring,
    pub book: Arc<Book>,
    pub access: Arc<Access>,
    pub aliases: Arc<Aliases>,
    pub workflows: Arc<Workflows>,
    pub prices: Prices,
}

/// What the store defines, but for keys. It comes before what the settings say of the same thing.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub budgets: Vec<Allowance>,
    pub limits: Vec<Allowance>,
    pub model_lists: Vec<(UserPath, Vec<ModelRule>)>,
    pub gates: Vec<Gate>,
    pub aliases: Vec<Alias>,
    /// Those that are active.
    pub workflows: Vec<Arc<Workflow>>,
    pub prices: Vec<Override>,
}

impl Managed {
    /// What the settings alone say, before the store has been read.
    pub fn of_settings(snapshot: &Snapshot) -> Managed {
        let keyring = Keyring::new(Arc::new(Pepper::new(b"")), []);
        Managed::new(snapshot, keyring, &Stored::default(), None, None)
    }

    /// The settings with what is stored. Accounts go on counting where those of the one before are.
    pub fn new(
        snapshot: &Snapshot,
        keyring: Keyring,
        stored: &Stored,
        fetched: Option<Arc<Catalogue>>,
        before: Option<&Managed>,
    ) -> Managed {
        let identity = &snapshot.identity;
        let is_on = |allowance: &&Allowance| match allowance.measure {
            Measure::Cost(_) => identity.budgets_enabled,
            _ => identity.rate_limits_enabled,
        };
        let of_store = stored.budgets.iter().chain(&stored.limits);
        let allowances: Vec<Allowance> =
            identity.allowances.iter().chain(of_store).filter(is_on).cloned().collect();
        let lists = identity.model_lists.iter().chain(&stored.model_lists).cloned();
        let named: Vec<&ModelRule> = stored.gates.iter().map(|gate| &gate.rule).collect();
        let of_settings = identity.gates.iter().filter(|gate| !named.contains(&&gate.rule));
        let gates = of_settings.chain(&stored.gates).cloned();
        let aliases = identity.aliases.iter().chain(&stored.aliases).cloned();
        let of_settings = identity.workflows.iter().cloned();
        let workflows =
            Workflows::new(of_settings.chain(stored.workflows.iter().cloned()), switches(snapshot));
        let own = &snapshot.prices.prices;
        let prices = fetched.into_iter().fold(own.clone(), Prices::with_shared);
        let overrides = stored.prices.iter().chain(own.overrides()).cloned().collect();
        Managed {
            version: before.map_or(0, |before| before.version + 1),
            is_settled: before.is_some_and(|before| before.is_settled),
            keyring,
            book: Arc::new(Book::new(
                &allowances,
                identity.calendar.clone(),
                before.map(|before| &*before.book),
            )),
            access: Arc::new(Access::new(lists, gates, identity.models_enabled)),
            aliases: Arc::new(Aliases::new(aliases, identity.lists_only_aliases)),
            workflows: Arc::new(workflows),
            prices: prices.with_overrides(overrides),
        }
    }

    /// The next version, with other keys.
    #[must_use]
    pub fn with_keys(&self, keyring: Keyring) -> Managed {
        Managed { version: self.version + 1, keyring, ..self.clone() }
    }
}

/// What the settings switch off for everybody.
fn switches(snapshot: &Snapshot) -> Features {
    let usage = snapshot.journal.enabled;
    let audit = usage && snapshot.audit.enabled;
    Features { usage, audit, budget: snapshot.identity.budgets_enabled, ..Features::ALL }
}
