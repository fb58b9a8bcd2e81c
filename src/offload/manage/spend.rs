//! What was spent, by the rows of usage: each account of money is brought to at least what the store knows of its window,
//! whoever spent it. So a start finds what former processes spent, and several processes find what the others do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Manager;
use crate::base::clock;
use crate::base::limits::{PACKS_KEPT_MS, SPEND_TURN_MS};
use crate::config::RecordsAs;
use crate::identity::{Measure, Subject};
use crate::offload::store::{
    By, Direction, ErrorKind, Filter, Group, Select, Store, StoreError, Summary, Value, tables,
};
use crate::policy::account::Account;
use crate::policy::book::Book;

/// Sums of what is so long ago that hardly anything is added to it, by the id of the account.
#[derive(Default)]
pub struct Sums {
    known: HashMap<Arc<str>, Known>,
    /// How often all of them were forgotten.
    generation: u64,
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
        let mut sums = self.sums.borrow_mut();
        sums.known.clear();
        sums.generation += 1;
    }

    /// Raises every account of money to what the store knows. False where there is more to count than one turn has time for: the
    /// next one goes on where this one has stopped.
    pub(super) async fn count_spend(&self, store: &Store, now_ms: u64) -> Result<bool, StoreError> {
        let book = self.current().book.clone();
        let is_packed = self.compiled().snapshot.storage.records == RecordsAs::Packs;
        let generation = self.sums.borrow().generation;
        let mut asked = Asked::new(store, is_packed);
        let cut_ms = asked.cut_ms(ms(now_ms));
        let mut counts = self.counts(&book, is_packed, now_ms, cut_ms);
        let keep = |count: &Count<'_>| {
            let sums = &mut *self.sums.borrow_mut();
            if sums.generation == generation {
                sums.known.insert(count.account.id.clone(), count.known);
            }
        };
        let (mut is_done, mut damage) = (true, None);
        // Short windows first: they are in force before a month is counted, and whatever becomes of that.
        counts.sort_by_key(|count| std::cmp::Reverse(count.known.to_ms));
        for group in counts.chunk_by_mut(|one, next| one.known.to_ms == next.known.to_ms) {
            match asked.count_old(group, cut_ms, keep).await {
                Ok(is_counted) => is_done &= is_counted,
                Err(error) if error.kind == ErrorKind::Broken => damage = Some(error),
                Err(error) => return Err(error),
            }
            for count in group.iter().filter(|count| count.known.to_ms >= cut_ms) {
                // A little ahead, for a process whose clock is.
                let subject = &count.account.allowance.subject;
                let new = asked.sum(subject, count.known.to_ms, ms(now_ms) + SETTLED_MS).await?;
                // One that was reset meanwhile begins anew, and what is known of it is too old.
                let is_reset = self.reset_ms(&count.account.id).unwrap_or_default() != count.reset_ms;
                if !is_reset && self.sums.borrow().generation == generation {
                    let total = u128::try_from(count.known.total + new).unwrap_or_default();
                    count.account.raise(count.start_s, total);
                }
            }
        }
        let ids: HashSet<&Arc<str>> = book.accounts().map(|account| &account.id).collect();
        self.sums.borrow_mut().known.retain(|id, _| ids.contains(id));
        damage.map_or(Ok(is_done && self.sums.borrow().generation == generation), Err)
    }

    /// The accounts of money, and what is known of each. Old rows are counted anew only now and then: one that comes late is
    /// found then.
    fn counts<'b>(&self, book: &'b Book, is_packed: bool, now_ms: u64, cut_ms: i64) -> Vec<Count<'b>> {
        let again_ms = if is_packed { PACKS_AGAIN_MS } else { AGAIN_MS };
        let sums = self.sums.borrow();
        let of_money = |account: &&Arc<Account>| matches!(account.allowance.measure, Measure::Cost(_));
        let count = |account: &'b Arc<Account>| {
            let start_s = account.window(now_ms)?.start_s;
            let reset_ms = self.reset_ms(&account.id).unwrap_or_default();
            let (from_ms, now_ms) = (ms((u64::from(start_s) * 1000).max(reset_ms)), ms(now_ms));
            let known = sums.known.get(&account.id).copied();
            // What lies ahead was counted before the clock was put back.
            let is_ahead = |known: &Known| known.to_ms > cut_ms.max(from_ms);
            let known = known.filter(|known| known.from_ms == from_ms && now_ms - known.at_ms < again_ms);
            let known = known.filter(|known| !is_ahead(known));
            let known = known.unwrap_or(Known { from_ms, to_ms: from_ms, total: 0, at_ms: now_ms });
            Some(Count { account, start_s, reset_ms, known })
        };
        book.accounts().filter(of_money).filter_map(count).collect()
    }
}

/// An account that is being counted.
struct Count<'b> {
    account: &'b Arc<Account>,
    start_s: u32,
    reset_ms: u64,
    known: Known,
}

/// What is asked for one look at all accounts. Where records stand in packs every question reads all packs of its range: there a
/// range is asked for once, by everything that an account may be about.
struct Asked<'s> {
    store: &'s Store,
    is_packed: bool,
    /// None where there is too much of it to be told apart.
    ranges: HashMap<(i64, i64), Option<Spent>>,
    /// When the first thing was stored that is there still.
    oldest_ms: Option<i64>,
    /// When the turn is over, by the monotonic clock.
    until_us: u64,
}

/// What was spent in a range.
struct Spent {
    groups: Vec<Group>,
    /// Most accounts are about keys, and there may be many.
    by_key: HashMap<String, i128>,
}

impl<'s> Asked<'s> {
    fn new(store: &'s Store, is_packed: bool) -> Asked<'s> {
        let until_us = clock::monotonic_us() + SPEND_TURN_MS * 1000;
        Asked { store, is_packed, ranges: HashMap::new(), oldest_ms: None, until_us }
    }

    /// Until when rows are taken to be complete.
    fn cut_ms(&self, now_ms: i64) -> i64 {
        let settled_ms = now_ms - SETTLED_MS;
        // The same for some minutes, so that accounts whose windows begin elsewhere go on with the same pieces.
        if self.is_packed { settled_ms - settled_ms.rem_euclid(PIECE_MS) } else { settled_ms }
    }

    /// Where the piece ends that begins there: packs are read in pieces that no call takes too long for.
    fn end_ms(&self, from_ms: i64) -> i64 {
        if self.is_packed { from_ms - from_ms.rem_euclid(PIECE_MS) + PIECE_MS } else { i64::MAX }
    }

    /// Counts what is complete for accounts that were counted as far as each other, and gives each of them whenever it has come
    /// further. False when there was no time for all of it.
    async fn count_old(
        &mut self,
        counts: &mut [Count<'_>],
        cut_ms: i64,
        mut keep: impl FnMut(&Count<'_>),
    ) -> Result<bool, StoreError> {
        let Some(mut from_ms) = counts.first().map(|count| count.known.to_ms) else { return Ok(true) };
        if self.is_packed && self.end_ms(from_ms) < cut_ms {
            // A window may have begun long before anything was stored.
            let oldest_ms = self.oldest_ms(cut_ms).await?;
            from_ms = from_ms.max(oldest_ms.min(cut_ms));
            counts.iter_mut().for_each(|count| count.known.to_ms = from_ms);
        }
        while from_ms < cut_ms {
            let to_ms = self.end_ms(from_ms).min(cut_ms);
            for (number, count) in counts.iter_mut().enumerate() {
                count.known.total += self.sum(&count.account.allowance.subject, from_ms, to_ms).await?;
                count.known.to_ms = to_ms;
                keep(count);
                if number % ACCOUNTS_AT_ONCE == ACCOUNTS_AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
            }
            self.ranges.remove(&(from_ms, to_ms));
            from_ms = to_ms;
            if clock::monotonic_us() >= self.until_us {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(from_ms >= cut_ms)
    }

    /// The time of the oldest record; the given one where there is none before it.
    async fn oldest_ms(&mut self, cut_ms: i64) -> Result<i64, StoreError> {
        if let Some(oldest_ms) = self.oldest_ms {
            return Ok(oldest_ms);
        }
        let select = Select::new(&tables::USAGE, Filter::all(), 1).ordered("at_ms", Direction::Ascending);
        let first = self.store.select(select.only(&["id", "at_ms"])).await?.pop();
        let oldest_ms = first.and_then(|row| row.get("at_ms").as_integer()).unwrap_or(cut_ms);
        Ok(*self.oldest_ms.insert(oldest_ms))
    }

    async fn sum(&mut self, subject: &Subject, from_ms: i64, to_ms: i64) -> Result<i128, StoreError> {
        if from_ms >= to_ms {
            return Ok(0);
        }
        let in_range = Filter::all().between_ms("at_ms", from_ms, to_ms);
        if self.is_packed && !self.ranges.contains_key(&(from_ms, to_ms)) {
            let by = GROUPED_BY.map(By::Column);
            let summary = Summary::new(&tables::USAGE, in_range, &by, &["total_cost"], GROUPS_MAX);
            let found = self.store.summarise(summary.asked_again()).await?;
            self.ranges.insert((from_ms, to_ms), (!found.is_cut).then(|| Spent::of(found.groups)));
        }
        if let Some(Some(spent)) = self.ranges.get(&(from_ms, to_ms)) {
            return Ok(spent.sum(subject));
        }
        let mut total = 0;
        for filter in filters(subject) {
            let filter = filter.between_ms("at_ms", from_ms, to_ms);
            let summary = Summary::new(&tables::USAGE, filter, &[], &["total_cost"], 1);
            let groups = self.store.summarise(summary).await?.groups;
            total += groups.first().map_or(0, total_of);
        }
        Ok(total)
    }
}

impl Spent {
    fn of(groups: Vec<Group>) -> Spent {
        let mut by_key = HashMap::new();
        for group in &groups {
            let Some(key) = group.by[0].as_text() else { continue };
            *by_key.entry(key.to_owned()).or_default() += total_of(group);
        }
        Spent { groups, by_key }
    }

    fn sum(&self, subject: &Subject) -> i128 {
        if let Subject::Key(id) = subject {
            return self.by_key.get(&**id).copied().unwrap_or_default();
        }
        let place =
            |column: &str| GROUPED_BY.iter().position(|known| *known == column).expect("a column of it");
        let of_filter = |filter: Filter| -> i128 {
            let is_meant = |group: &&Group| filter.holds(|column| group.by[place(column)].clone());
            self.groups.iter().filter(is_meant).map(total_of).sum()
        };
        filters(subject).into_iter().map(of_filter).sum()
    }
}

fn total_of(group: &Group) -> i128 {
    group.sums.first().map_or(0, |sum| sum.total)
}

/// What the conditions of accounts look at, the key first.
const GROUPED_BY: [&str; 5] = ["auth_key_id", "user_path", "labels", "provider_name", "model"];
/// Groups of a range; where there are more, each account is asked for by itself.
const GROUPS_MAX: usize = 50_000;

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
/// The same where records stand in packs, of which all have to be read for it. What goes through this process is counted as it
/// happens; what another process on the same file brings late (streams of a quarter of an hour) is found then.
const PACKS_AGAIN_MS: i64 = 24 * 60 * 60 * 1000;
/// What of the packs is read by one call: some seconds' work at 20,000 requests a second.
const PIECE_MS: i64 = 5 * 60 * 1000;
const _: () = assert!(PACKS_KEPT_MS >= 2 * SETTLED_MS + PIECE_MS, "what is asked for every minute is kept");
/// Accounts that are counted before others have their turn.
const ACCOUNTS_AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Pico;
    use crate::config::{Engine, Storage};
    use crate::identity::{Allowance, Period, UserPath};
    use crate::offload::store::{Row, Upgrade};

    fn row(number: i64) -> Row {
        let one = |all: [&str; 3], by: i64| match all[(number / by % 3) as usize] {
            "" => Value::Null,
            text => Value::text(text),
        };
        let path = ["/", "/team", "/team/a", "/teams"][(number % 4) as usize];
        let labels = [vec![], vec!["x"], vec!["x", "y"]][(number / 4 % 3) as usize].clone();
        Row::new(&tables::USAGE)
            .with("id", Value::text(number.to_string()))
            .with("at_ms", Value::TimeMs(number))
            .with("request_id", Value::text("r"))
            .with("endpoint", Value::text("chat"))
            .with("usage_source", Value::text("measured"))
            .with("user_path", Value::text(path))
            .with("labels", Value::Names(labels.into_iter().map(str::to_owned).collect()))
            .with("auth_key_id", one(["", "k1", "k2"], 2))
            .with("provider_name", one(["", "up", "other"], 5))
            .with("model", one(["m", "up/m", ""], 7))
            .with(
                "total_cost",
                if number % 11 == 0 { Value::Null } else { Value::Money(Pico(1 << (number % 40))) },
            )
    }

    /// A store with these rows, for as long as the work takes.
    fn with_store(name: &str, rows: Vec<Row>, work: impl AsyncFnOnce(&Store)) {
        let path = std::env::temp_dir().join(format!("ringway-spend-{}-{name}.db", std::process::id()));
        let storage = Storage {
            engine: Engine::Sqlite { path: path.clone() },
            records: RecordsAs::Packs,
            call_timeout_ms: 60_000,
            usage_kept_ms: None,
            audit_kept_ms: None,
            changes_kept_ms: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(&storage, &tables::SCHEMA, Upgrade::Forward).await.expect("a store");
            store.insert(&tables::USAGE, rows).await.expect("rows");
            work(&store).await;
        });
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
        }
    }

    #[test]
    fn sums_of_everything_at_once_are_those_of_each_account_alone() {
        with_store("groups", (0..300).map(row).collect(), async |store| {
            let place = |path: &str| Subject::Path(UserPath::new(path).expect("a path"));
            let mut sums = Vec::new();
            for subject in [
                Subject::Key("k1".into()),
                Subject::Key("none".into()),
                place("/"),
                place("/team"),
                Subject::Label("x".into()),
                Subject::Label("y".into()),
                Subject::Provider("up".into()),
                Subject::Model("m".into()),
                Subject::Model("up/m".into()),
            ] {
                let asked = |is_packed| Asked::new(store, is_packed);
                let at_once = asked(true).sum(&subject, 20, 280).await.expect("a sum");
                assert_eq!(asked(false).sum(&subject, 20, 280).await, Ok(at_once), "{subject:?}");
                sums.push(at_once);
            }
            assert!(sums[1] == 0 && sums.iter().filter(|sum| **sum > 0).count() == 8, "{sums:?}");
        });
    }

    #[test]
    fn what_is_old_is_counted_in_pieces_from_wherever_each_window_begins() {
        const MINUTE_MS: i64 = 60_000;
        let rows = (0..300).map(|number| row(number).with("at_ms", Value::TimeMs(number * MINUTE_MS)));
        with_store("pieces", rows.collect(), async |store| {
            let account = |subject: Subject| {
                let measure = Measure::Cost(Period::Month);
                Arc::new(Account::new(Allowance::hard(subject, measure, 1), &Arc::default(), None))
            };
            let all = [
                // Long before anything was stored.
                (account(Subject::Path(UserPath::root())), -5_000 * PIECE_MS),
                (account(Subject::Key("k1".into())), 61_234),
                (account(Subject::Model("m".into())), 2 * PIECE_MS),
                (account(Subject::Label("x".into())), 299 * MINUTE_MS),
            ];
            let cut_ms = 300 * MINUTE_MS - 1;
            for is_packed in [true, false] {
                let counts = all.iter().map(|(account, from_ms)| {
                    let known = Known { from_ms: *from_ms, to_ms: *from_ms, total: 0, at_ms: 0 };
                    Count { account, start_s: 0, reset_ms: 0, known }
                });
                let (mut counts, mut kept) = (counts.collect::<Vec<_>>(), 0);
                let mut asked = Asked::new(store, is_packed);
                for group in counts.chunks_mut(1) {
                    // One turn for each piece: it goes on where the one before has stopped.
                    asked.until_us = 0;
                    while !asked.count_old(group, cut_ms, |_| kept += 1).await.expect("counts") {}
                }
                assert!(asked.ranges.is_empty() && (kept > 100) == is_packed, "{kept}");
                for count in &counts {
                    let subject = &count.account.allowance.subject;
                    let want = Asked::new(store, false)
                        .sum(subject, count.known.from_ms, cut_ms)
                        .await
                        .expect("a sum");
                    assert_eq!((count.known.total, count.known.to_ms), (want, cut_ms), "{subject:?}");
                }
                assert!(counts[..3].iter().all(|count| count.known.total > 0), "the store has some of each");
                let before: Vec<_> = counts.iter().map(|count| count.known.total).collect();
                assert_eq!(
                    asked.count_old(&mut counts, cut_ms, |_| panic!("nothing is left")).await,
                    Ok(true)
                );
                assert_eq!(before, counts.iter().map(|count| count.known.total).collect::<Vec<_>>());
            }
        });
    }
}
