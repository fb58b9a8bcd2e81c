//! The settings as this shard lives them: providers with their pools, addresses and retry budgets. A reload makes a new
//! one and takes over the pools and addresses that still fit.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::outgoing;
use crate::base::limits::DNS_ASK_AGAIN_MS;
use crate::config::Snapshot;
use crate::net::conn::Conn;
use crate::net::pool::Pool;
use crate::net::tls;
use crate::offload::Compiled;
use crate::policy::retry::RetryBudget;
use crate::provider::Provider;

pub struct Active {
    pub compiled: Arc<Compiled>,
    pub upstreams: Vec<Rc<Upstream>>,
    /// The offload thread, as far as an answer of it is passed on like a provider's.
    pub inside: Rc<Upstream>,
}

/// A provider on this shard.
pub struct Upstream {
    pub index: usize,
    pub provider: Arc<Provider>,
    pub pool: Rc<Pool>,
    /// `None` for plain HTTP. A host that is no name for certificates has the name `invalid` and fails at the handshake.
    pub tls: Option<ServerName<'static>>,
    pub names: Rc<Names>,
    pub budget: RetryBudget,
    pub busy: Cell<u64>,
    /// The header lines that every request begins with.
    pub first_lines: Vec<u8>,
    next_credential: Cell<usize>,
}

/// The addresses of the host that connections go to: the provider's, or its proxy's.
pub struct Names {
    pub host: String,
    pub port: u16,
    state: RefCell<Resolved>,
}

#[derive(Clone, Default)]
struct Resolved {
    addresses: Rc<[SocketAddr]>,
    /// When they were looked up; `None` before the first look-up ended.
    at_ms: Option<u64>,
    /// When a look-up was asked for that has not ended.
    asked_ms: Option<u64>,
    is_literal: bool,
    has_failed: bool,
}

/// What is known about a name at some moment.
pub enum Lookup {
    Known { addresses: Rc<[SocketAddr]>, is_old: bool },
    Unknown,
    Failed,
}

impl Active {
    /// Makes the shard's view of new settings, keeping what fits of the one before.
    pub fn new(compiled: Arc<Compiled>, before: Option<&Active>) -> Active {
        let upstream = |(index, provider): (usize, &Arc<Provider>)| {
            let known =
                before.and_then(|before| before.upstreams.iter().find(|known| known.reaches_as(provider)));
            let same_trust =
                before.is_some_and(|before| Arc::ptr_eq(&before.compiled.client_tls, &compiled.client_tls));
            let pool =
                known.filter(|known| same_trust || known.tls.is_none()).map(|known| known.pool.clone());
            Rc::new(Upstream {
                index,
                provider: provider.clone(),
                pool: pool.unwrap_or_default(),
                tls: provider.origin.tls.then(|| server_name(&provider.origin.host)),
                names: known.map_or_else(|| Rc::new(Names::of(provider)), |known| known.names.clone()),
                budget: RetryBudget::new(provider.retry.budget_per_second),
                busy: Cell::new(0),
                first_lines: outgoing::first_lines(provider),
                next_credential: Cell::new(0),
            })
        };
        let upstreams = compiled.snapshot.providers.iter().enumerate().map(upstream).collect();
        let inside = upstream((usize::MAX, &Arc::new(Provider::inside())));
        Active { compiled, upstreams, inside }
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.compiled.snapshot
    }

    /// The provider of this name.
    pub fn by_name(&self, name: &[u8]) -> Option<&Rc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.provider.name.as_bytes() == name)
    }

    /// A look-up ended.
    pub fn resolved(&self, host: &str, port: u16, addresses: Vec<SocketAddr>, now_ms: u64) {
        let of_name = |upstream: &&Rc<Upstream>| upstream.names.host == host && upstream.names.port == port;
        for upstream in self.upstreams.iter().filter(of_name) {
            upstream.names.resolved(&addresses, now_ms);
            upstream.pool.retain(|conn| upstream.names.is_current(conn));
        }
    }

    /// The names whose addresses are in use and so old that they must be looked up again: a connection that is used
    /// again and again never asks.
    pub fn due_names(&self, now_ms: u64) -> impl Iterator<Item = &Rc<Names>> {
        let refresh_ms = self.snapshot().dns_refresh_ms;
        let in_use = self.upstreams.iter().filter(|u| u.pool.idle_count() > 0 || u.busy.get() > 0);
        in_use.map(|upstream| &upstream.names).filter(move |names| {
            matches!(names.look_up(now_ms, refresh_ms), Lookup::Known { is_old: true, .. })
        })
    }

    pub fn sweep(&self, now_ms: u64) {
        for upstream in &self.upstreams {
            upstream.pool.sweep(now_ms, upstream.provider.limits.pool_idle_timeout_ms);
        }
    }

    /// Name, idle and busy connections of every provider.
    pub fn pools(&self) -> Vec<(&str, u64, u64)> {
        let of = |u: &Rc<Upstream>| (u.pool.idle_count() as u64, u.busy.get());
        self.upstreams.iter().map(|u| (u.provider.name.as_str(), of(u).0, of(u).1)).collect()
    }
}

impl Upstream {
    /// Whether connections to the provider are as good as this one's.
    fn reaches_as(&self, provider: &Provider) -> bool {
        let proxy = |p: &Provider| p.proxy.as_ref().map(|proxy| (proxy.host.clone(), proxy.port));
        self.provider.name == provider.name
            && self.provider.origin == provider.origin
            && proxy(&self.provider) == proxy(provider)
    }

    /// The credential whose turn it is.
    pub fn next_credential(&self) -> usize {
        let count = self.provider.credentials.len();
        let turn = self.next_credential.get();
        self.next_credential.set((turn + 1) % count);
        turn % count
    }
}

impl Names {
    fn of(provider: &Provider) -> Names {
        let (host, port) = match &provider.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&provider.origin.host, provider.origin.port),
        };
        let literal = host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, port));
        let state = Resolved {
            addresses: literal.into_iter().collect(),
            is_literal: literal.is_some(),
            ..Resolved::default()
        };
        Names { host: host.clone(), port, state: RefCell::new(state) }
    }

    /// What is known now. `is_old` says that a new look-up is due; [`Names::ask`] tells whether to start it.
    pub fn look_up(&self, now_ms: u64, refresh_ms: u64) -> Lookup {
        let state = self.state.borrow();
        let age_ms = state.at_ms.map(|at_ms| now_ms.saturating_sub(at_ms));
        if !state.addresses.is_empty() {
            let is_old = !state.is_literal && age_ms.is_none_or(|age_ms| age_ms >= refresh_ms);
            return Lookup::Known { addresses: state.addresses.clone(), is_old };
        }
        // A name that has no address is asked for again after a second.
        if state.has_failed && age_ms.is_some_and(|age_ms| age_ms < FAILED_MS_MAX) {
            Lookup::Failed
        } else {
            Lookup::Unknown
        }
    }

    /// Starts a look-up by `tell`, unless one is under way; one that was never answered is asked for again.
    pub fn ask(&self, now_ms: u64, tell: impl FnOnce() -> bool) {
        let mut state = self.state.borrow_mut();
        let is_under_way =
            state.asked_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < DNS_ASK_AGAIN_MS);
        if !is_under_way && tell() {
            state.asked_ms = Some(now_ms);
        }
    }

    /// Whether the connection goes to an address that the name has now.
    pub fn is_current(&self, conn: &Conn) -> bool {
        conn.dialled.is_some_and(|address| self.state.borrow().addresses.contains(&address))
    }

    fn resolved(&self, addresses: &[SocketAddr], now_ms: u64) {
        let mut state = self.state.borrow_mut();
        state.asked_ms = None;
        state.at_ms = Some(now_ms);
        state.has_failed = addresses.is_empty();
        // Old addresses are better than none while the resolver is in trouble.
        if !addresses.is_empty() {
            state.addresses = addresses.into();
        }
    }
}

/// A host as the name in its certificate; `invalid` where it can be none.
pub fn server_name(host: &str) -> ServerName<'static> {
    tls::server_name(host).or_else(|| tls::server_name("invalid")).expect("`invalid` is a DNS name")
}

/// How long the answer "no such name" counts.
const FAILED_MS_MAX: u64 = 1_000;
