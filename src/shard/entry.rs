//! What the journal and the accounts get of one exchange: a beginning before a provider is asked, and the end before the
//! last byte of the answer leaves, once each. An exchange that nobody ends, because it panicked, gives back what it had
//! reserved, and its record says that its end is unknown.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Shard;
use super::active::Active;
use super::body::Body;
use super::call::Call;
use super::caller::Lead;
use super::capture::{Capture, Sent};
use super::client::Client;
use super::standing::Standing;
use super::tally::Tally;
use super::work::Work;
use crate::base::{Pico, Refusal, RefusalKind};
use crate::journal::{Full, Need};
use crate::ledger::cost::{self, Cost, CostSource, Unpriced};
use crate::ledger::headers::{self, Dress};
use crate::ledger::price::{Named, Price};
use crate::ledger::record::{self, Begun, Ended, Outcome, RecordId, SourceName};
use crate::ledger::usage::{Mode, Usage};
use crate::policy::hold::{Applicable, Ask, Budgets, Hold, Used};
use crate::policy::rate::Rates;
use crate::policy::reserve::{Size, Strictness, Tokens};
use crate::provider::Provider;
use crate::wire::head::{Headers, Known};
use crate::wire::json::{self, Kind, Node};

/// The part of one exchange that outlives it.
#[derive(Default)]
pub struct Entry {
    id: Option<RecordId>,
    is_ended: bool,
    hold: Option<Hold>,
    price: Option<Rc<Price>>,
    /// It is not the price that the beginning names.
    is_repriced: bool,
    /// The model that the answer names, where it is another one than was asked for.
    answered_model: Box<str>,
    size: Size,
    /// What the exchange cost, once it has ended; `None` inside where that is unknown.
    pub cost: Option<Option<Pico>>,
    /// What the caller is told of its limits.
    pub rates: Rates,
    /// The headers that tell usage and cost, where there are any.
    pub dress: Option<Dress>,
    /// What the exchange costs, where a header has told it.
    told: Option<Result<Cost, Unpriced>>,
    /// Headers and bodies, where the audit log keeps them.
    pub capture: Option<Box<Capture>>,
    /// The body as the client sent it, where that is nowhere else and the audit log keeps it.
    pub sent: Option<Sent>,
}

/// What an exchange has cost.
pub struct Costed {
    cost: Result<Cost, Unpriced>,
    caveat: Option<Cow<'static, str>>,
    /// By another price than the one that the beginning names.
    is_repriced: bool,
}

type ByModel = HashMap<Box<str>, Option<Rc<Price>>, RandomState>;

/// Prices that were looked up, of one version of what is managed.
#[derive(Default)]
pub struct Priced {
    /// A few, so that looking from the first on is quicker than a table.
    by_provider: RefCell<Vec<(Box<str>, ByModel)>>,
    version: Cell<u64>,
}

/// Why an entry was not opened.
pub struct Unopened {
    pub refusal: Box<Refusal>,
    /// The model that the budgets in the way name to be asked instead.
    pub instead: Option<Arc<str>>,
}

impl From<Refusal> for Unopened {
    fn from(refusal: Refusal) -> Unopened {
        Unopened { refusal: Box::new(refusal), instead: None }
    }
}

/// Opens the entry of an exchange whose target is known: may the caller use the model, is there room in its accounts and in
/// the journal?
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
pub fn open(
    shard: &Shard,
    active: &Active,
    client: &Client,
    work: &Work,
    tally: &mut Tally,
    call: &Call,
    head_len: usize,
    body: &Body,
) -> Result<(), Unopened> {
    tally.entry.dress = active.snapshot().usage_headers;
    // A rule for what was asked for says nothing of what takes its place.
    let alias = call.requested.as_ref().filter(|_| !call.is_instead);
    let managed = shard.managed.borrow();
    let standing = work.caller.standing(shard, &managed, &call.target, alias)?;
    drop(managed);
    let features = standing.features;
    let budgets = match (features.budget, call.is_instead) {
        (false, _) => Budgets::Count,
        (true, true) => Budgets::Instead,
        (true, false) => Budgets::Hold,
    };
    tally.entry.size = size(client, work, body);
    tally.entry.price = standing.price.clone();
    if let Some(applicable) = &standing.applicable {
        tally.entry.reserve(shard, applicable, &call.target.model, budgets)?;
    }
    if !features.usage && !features.audit {
        // Nothing would come of its record.
        return Ok(());
    }
    begin(shard, active, client, work, tally, call, head_len, &standing)?;
    let audit = &active.snapshot().audit;
    if features.audit && audit.enabled && tally.entry.id.is_some() {
        tally.entry.capture =
            Capture::begin(shard, audit, client, work, head_len, body, tally.entry.sent.take());
    }
    Ok(())
}

/// Writes that the exchange has begun.
#[expect(clippy::too_many_arguments, reason = "the parts of one exchange, each borrowed on its own")]
fn begin(
    shard: &Shard,
    active: &Active,
    client: &Client,
    work: &Work,
    tally: &mut Tally,
    call: &Call,
    head_len: usize,
    standing: &Rc<Standing>,
) -> Result<(), Refusal> {
    let (caller, target) = (&work.caller, &call.target);
    let (provider, model) = (&*target.upstream.provider, &*target.model);
    let lead = Lead { caller, standing, requested: call.requested.as_ref() };
    let asked_for = call.requested.as_deref();
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let at_ms = shard.wall_ms_at(tally.begun_us());
    let named = work.request_id.take_number(at_ms);
    let own = Begun {
        at_ms,
        request_id: if named.is_some() { "" } else { text(work.request_id.as_bytes()) },
        is_named_by_id: named.is_some(),
        auth: caller.auth,
        requested_model: asked_for.unwrap_or(if target.is_qualified { QUALIFIED } else { model }),
        provider: &provider.name,
        model,
        workflow: &standing.workflow.id,
        client_ip: &client.address,
        price_source: standing.price.as_ref().map_or("", |price| &price.source),
        is_stream: call.wants_stream,
        skips_usage: !standing.features.usage,
        skips_audit: !standing.features.audit,
        ..Begun::default()
    };
    let fails_closed = active.snapshot().journal.fails_closed;
    let mut qualified = String::new();
    let name = &mut qualified;
    let id = named.unwrap_or_else(|| RecordId(shard.ids.next_number(at_ms)));
    tally.entry.begin(shard, id, &lead, &own, fails_closed, move || {
        if asked_for.is_none() && target.is_qualified {
            *name = [provider.name.as_str(), "/", model].concat();
        }
        let head = &client.input.filled()[..head_len];
        let user_agent = work.request.headers.get(head, "user-agent").unwrap_or_default();
        Begun {
            key_id: caller.key_id(),
            user_path: caller.path_text(),
            labels: &caller.labels_json,
            method: work.request.method.as_str(),
            path: text(work.request.path.of(head)),
            endpoint: call.endpoint.name(),
            user_agent: text(user_agent.of(head)),
            session: text(session(&work.request.headers, head)),
            requested_model: if name.is_empty() { own.requested_model } else { name },
            ..own
        }
    })
}

/// Stands for the model's name with its provider's in front, which is put together only where it is written.
const QUALIFIED: &str = "\0";

/// The name of the conversation that a request belongs to, by the headers in which clients tell it: `X-Session-Id`,
/// `X-Claude-Code-Session-Id`, `Session_id`, `Helicone-Session-Id` and whatever else ends like them.
fn session<'h>(headers: &Headers, head: &'h [u8]) -> &'h [u8] {
    let is_session = |name: &[u8]| {
        let end = name.len().checked_sub(SESSION_ID.len()).map(|at| &name[at..]);
        end.is_some_and(|end| {
            end.iter().zip(SESSION_ID).all(|(&byte, &of)| byte | 0x20 == of || (of == b'-' && byte == b'_'))
        })
    };
    let mut others = headers.fields.iter().filter(|field| field.known == Known::Other);
    others.find(|field| is_session(field.name.of(head))).map_or(b"", |field| field.value.of(head))
}

const SESSION_ID: &[u8] = b"session-id";

/// What the body says of its own size.
fn size(client: &Client, work: &Work, body: &Body) -> Size {
    let document = body.held(&client.input);
    let mut size = Size { body_bytes: document.len() as u64, output_tokens_max: None, choices: 1 };
    let mut in_config = None;
    let may_bound = |member: &&json::Member| matches!(member.kind, Kind::Number | Kind::Object);
    for member in work.members.iter().filter(may_bound) {
        match (&*member.spelled_key(document), member.kind) {
            (b"max_completion_tokens" | b"max_tokens" | b"max_output_tokens", Kind::Number) => {
                size.output_tokens_max = size.output_tokens_max.max(json::u64_value(document, member));
            }
            (b"n", Kind::Number) => size.choices = json::u64_value(document, member).unwrap_or(1),
            (b"generationConfig", Kind::Object) => {
                let limit = Node::scanned(member.value.of(document)).get("maxOutputTokens");
                in_config = limit.and_then(Node::u64);
            }
            _ => {}
        }
    }
    size.output_tokens_max = size.output_tokens_max.or(in_config);
    size
}

impl Entry {
    /// Reserves in these accounts, or refuses.
    fn reserve(
        &mut self,
        shard: &Shard,
        applicable: &Applicable,
        model: &str,
        budgets: Budgets,
    ) -> Result<(), Unopened> {
        let tokens = shard.observed.borrow().reserve(model, self.size, Strictness::Bound);
        let cost = self.price.as_ref().and_then(|price| cost::at_most(price, tokens.input, tokens.output));
        let tokens = tokens.input.saturating_add(tokens.output);
        let ask = Ask { requests: 1, tokens, cost, budgets };
        let now_ms = shard.wall_ms();
        let admitted = applicable.admit(now_ms, ask);
        self.rates = applicable.rates(now_ms);
        match admitted {
            Ok(hold) => self.hold = Some(hold),
            Err(rejected) => {
                let mut header_lines = Vec::new();
                std::mem::take(&mut self.rates).write_lines(&mut header_lines);
                let refusal = Box::new(Refusal { header_lines, ..rejected.refusal() });
                return Err(Unopened { refusal, instead: rejected.instead() });
            }
        }
        Ok(())
    }

    /// Writes that the exchange has begun: `own` is what is to be known of it alone, `whole` has the rest as well, which is
    /// the same for all requests of a caller that is known again. The refusal is for a journal that is full and may not be
    /// gone without.
    fn begin<'b>(
        &mut self,
        shard: &Shard,
        id: RecordId,
        lead: &Lead<'_>,
        own: &Begun<'_>,
        fails_closed: bool,
        whole: impl FnOnce() -> Begun<'b>,
    ) -> Result<(), Refusal> {
        let mut journal = shard.journal.borrow_mut();
        let Some(journal) = &mut *journal else { return Ok(()) };
        let mut bytes = shard.buffers.lend();
        let written = lead.write_begun(journal, &mut bytes, id, own, whole);
        shard.buffers.give_back(bytes);
        match written {
            Ok(()) => self.id = Some(id),
            Err(Full) if fails_closed => {
                let message = "The journal of usage is full: nothing is served that could not be recorded.";
                return Err(Refusal::new(503, RefusalKind::Server, "journal_full", message));
            }
            Err(Full) => journal.lose(),
        }
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        !self.is_ended && (self.id.is_some() || self.hold.is_some())
    }

    /// It is over: settles the accounts, once. What it cost; `None` where that was said before.
    pub fn settle(&mut self, shard: &Shard, model: &str, usage: &Usage, outcome: Outcome) -> Option<Costed> {
        if std::mem::replace(&mut self.is_ended, true) {
            return None;
        }
        let cost = self.told.take().unwrap_or_else(|| cost_of(self.price.as_deref(), usage));
        let total = cost.as_ref().ok().map(|cost| cost.total);
        if outcome != Outcome::Refused {
            self.cost = Some(total);
        }
        if let Some(hold) = self.hold.take() {
            let tokens = usage.input.zip(usage.output).map(|(input, output)| input.saturating_add(output));
            // What reached no provider used nothing; of anything else nobody knows better than what was reserved.
            hold.settle(match outcome {
                Outcome::Refused => Used { tokens: Some(0), cost: Some(Pico::ZERO) },
                _ => Used { tokens, cost: total },
            });
        }
        if let (Some(input), Some(output), false) = (usage.input, usage.output, usage.is_estimated) {
            shard.observed.borrow_mut().observe(model, self.size, Tokens { input, output });
        }
        let caveat = match &cost {
            Ok(cost) => cost.remark.map(|remark| remark.sentence().into()),
            Err(unpriced) => usage.is_known().then(|| unpriced.to_string().into()),
        };
        Some(Costed { cost, caveat, is_repriced: self.is_repriced })
    }

    /// Writes what was kept of the answer, once; the record of its end comes behind it.
    pub fn write_capture(&mut self, shard: &Shard, provider: Option<&Provider>, outcome: Outcome) {
        if let (Some(id), Some(capture)) = (self.id, self.capture.take()) {
            capture.write(shard, id, provider, outcome);
        }
    }

    /// Writes the record of how it ended, where it has one.
    pub fn write_end(&self, shard: &Shard, ended: &Ended<'_>) {
        let Some(id) = self.id else { return };
        let mut bytes = shard.buffers.lend();
        record::write_ended(&mut bytes, id, ended);
        if let Some(journal) = &mut *shard.journal.borrow_mut()
            && journal.append(&bytes, Need::End).is_err()
        {
            journal.lose();
        }
        shard.buffers.give_back(bytes);
    }

    /// The model that the answer names, where it is another one than was asked for; empty where not.
    pub fn answered_model(&self) -> &str {
        &self.answered_model
    }

    /// Another model than the one that was asked for has answered: its price counts.
    pub fn answered_by(&mut self, shard: &Shard, provider: &Provider, asked: &str, answered: &str) {
        if *self.answered_model != *answered {
            self.answered_model = answered.into();
            self.is_repriced = true;
            self.price = price_of(shard, provider, asked, Some(answered));
        }
    }

    /// Writes the headers of an answer that is about to leave as a whole; its end is written with the same cost.
    pub fn tell_cost(&mut self, usage: &Usage, out: &mut Vec<u8>) {
        let Some(dress) = self.dress else { return };
        let cost = self.told.insert(cost_of(self.price.as_deref(), usage));
        headers::write(usage, cost, dress, out);
    }

    pub fn body_bytes(&self) -> u64 {
        self.size.body_bytes
    }
}

impl Costed {
    pub fn cost(&self) -> Option<&Cost> {
        self.cost.as_ref().ok()
    }

    /// Where the cost comes from, as a record says it.
    pub fn source_name(&self) -> SourceName<'_> {
        match self.cost().map(|cost| &cost.source) {
            None => SourceName::default(),
            Some(CostSource::Prices(_)) if !self.is_repriced => SourceName::OfBeginning,
            Some(source) => SourceName::Own(source.name()),
        }
    }

    /// What should be known of it; empty for nothing.
    pub fn caveat(&self) -> &str {
        self.caveat.as_deref().unwrap_or_default()
    }
}

fn cost_of(price: Option<&Price>, usage: &Usage) -> Result<Cost, Unpriced> {
    cost::cost(usage, price, usage.mode.unwrap_or(Mode::Standard))
}

/// What of a cost is that of the input and that of the output.
pub(super) fn costs_of(cost: Option<&Cost>) -> (Option<Pico>, Option<Pico>) {
    let parts = cost.and_then(|cost| cost.parts.as_ref());
    let input = parts.and_then(|parts| sum([parts.input, parts.cache_read, parts.cache_write]));
    (input, parts.and_then(|parts| sum([parts.output, parts.reasoning])))
}

fn sum(parts: impl IntoIterator<Item = Pico>) -> Option<Pico> {
    parts.into_iter().try_fold(Pico::ZERO, Pico::checked_add)
}

/// The price of a model, looked up once for each version of what is managed; of the one that answered, where that is
/// another one.
pub(super) fn price_of(
    shard: &Shard,
    provider: &Provider,
    asked: &str,
    answered: Option<&str>,
) -> Option<Rc<Price>> {
    let managed = shard.managed.borrow();
    let priced = &shard.prices;
    let mut by_provider = priced.by_provider.borrow_mut();
    if priced.version.replace(managed.version) != managed.version {
        by_provider.clear();
    }
    // No name holds a line's end.
    let key = answered.map_or(Cow::Borrowed(asked), |answered| format!("{asked}\n{answered}").into());
    let at = by_provider.iter().position(|(name, _)| **name == *provider.name);
    if let Some(known) = at.and_then(|at| by_provider[at].1.get(&*key)) {
        return known.clone();
    }
    let named = Named { provider: &provider.name, priced_as: &provider.priced_as, asked, answered };
    let price = managed.prices.find(named, shard.wall_ms() / 1000).map(Rc::new);
    let at = at.unwrap_or_else(|| {
        by_provider.push((provider.name.as_str().into(), ByModel::default()));
        by_provider.len() - 1
    });
    let models = &mut by_provider[at].1;
    if models.len() >= PRICES_KEPT_MAX {
        models.clear();
    }
    models.insert(key.into(), price.clone());
    price
}

/// Models of one provider whose prices are at hand; clients can name any number of them.
const PRICES_KEPT_MAX: usize = 1024;
