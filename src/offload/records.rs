//! From the journals into the store: reads behind the shards, joins beginnings with ends, and lets go of what the store has.
//! While the store is away the journals keep everything, and nothing is dropped.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::live::Live;
use super::log::Level;
use super::shelf::Shelf;
use super::store::{News, Store, StoreError, tables};
use super::{Compiled, Offload};
use crate::base::clock;
use crate::base::limits::{
    BATCH_PACKED_RECORDS_MAX, BATCH_ROWS_RECORDS_MAX, PACK_SPAN_MS_MAX, RECORDS_PAUSE_MS_MAX,
    RECORDS_PAUSE_MS_MIN, RECORDS_TURN_MS, STORE_SWEEP_ROWS,
};
use crate::config::RecordsAs;
use crate::journal::{Batch, Gauge, Instance, Orphan, Reader, Syncer};
use crate::ledger::record::{self, Record};

mod batch;
mod carried;
pub mod rows;

use batch::{Open, as_begun, as_part, store_batch};
use carried::Carried;
use rows::{Bodies, Rows};

/// What the keeping of records needs, and what is known of it.
pub struct Records {
    journal: Instance,
    gauge: Arc<Gauge>,
    compiled: RefCell<Arc<Compiled>>,
    shelf: Rc<Shelf>,
    is_stopping: Cell<bool>,
    /// The journal was empty when the keeper ended.
    is_drained: Cell<bool>,
    wake: Notify,
    pub counts: Counts,
    /// Who watches what is stored.
    pub live: Rc<Live>,
}

/// Counts for the metrics.
#[derive(Default)]
pub struct Counts {
    /// Exchanges that have begun and not ended, as far as they were read.
    pub open: Cell<usize>,
    pub stored: Cell<u64>,
    /// Exchanges that a journal says it has no record of.
    pub lost: Cell<u64>,
    /// Records that this version cannot read, and rows that the store can never take.
    pub unreadable: Cell<u64>,
    /// The journals that were there at the start are in the store.
    pub has_inherited: Cell<bool>,
    pub sync_failures: Cell<u64>,
    pub is_store_down: Cell<bool>,
    /// Milliseconds of the monotonic clock at which the keeper last came to the end of the journal.
    pub empty_at_ms: Cell<u64>,
}

/// How the records stand.
pub struct OfRecords {
    pub journal_bytes: u64,
    pub appended: u64,
    pub lost: u64,
    pub failures: u64,
    pub open: u64,
    pub stored: u64,
    pub unreadable: u64,
    pub sync_failures: u64,
    pub is_store_down: bool,
    pub lag_ms: u64,
}

impl Records {
    pub fn new(journal: Instance, gauge: Arc<Gauge>, compiled: Arc<Compiled>, shelf: Rc<Shelf>) -> Records {
        Records {
            journal,
            gauge,
            compiled: RefCell::new(compiled),
            shelf,
            is_stopping: Cell::new(false),
            is_drained: Cell::new(false),
            wake: Notify::new(),
            counts: Counts::default(),
            live: Rc::default(),
        }
    }

    /// The store, opened when it is not yet.
    pub async fn store(&self) -> Result<Rc<Store>, StoreError> {
        self.shelf.store().await
    }

    /// New settings: how much the journal may hold and for how long rows are kept. Another store takes a restart.
    pub fn resettle(&self, compiled: Arc<Compiled>) {
        self.gauge.set_bytes_max(compiled.snapshot.journal.bytes_max);
        *self.compiled.borrow_mut() = compiled;
    }

    /// Asks the keeper to end when the journal is empty, or when it cannot be emptied.
    pub fn stop(&self) {
        self.is_stopping.set(true);
        self.wake.notify_one();
    }

    /// Ends it all: the journal's folder goes when everything in it is in the store. False when it is not.
    pub fn end(&self) -> bool {
        self.is_drained.get() && self.journal.remove().is_ok()
    }

    /// How the records stand, for the metrics.
    pub fn state(&self) -> OfRecords {
        let (gauge, counts) = (&self.gauge, &self.counts);
        let now_ms = clock::monotonic_us() / 1000;
        OfRecords {
            journal_bytes: gauge.bytes(),
            appended: gauge.appended(),
            lost: gauge.lost(),
            failures: gauge.failures(),
            open: counts.open.get() as u64,
            stored: counts.stored.get(),
            unreadable: counts.unreadable.get(),
            sync_failures: counts.sync_failures.get(),
            is_store_down: counts.is_store_down.get(),
            // The keeper rests for a moment between two looks, which is no lag.
            lag_ms: now_ms.saturating_sub(counts.empty_at_ms.get()).saturating_sub(2 * RECORDS_TURN_MS),
        }
    }

    fn audits(&self) -> bool {
        self.compiled.borrow().snapshot.audit.enabled
    }

    fn kept_as(&self) -> RecordsAs {
        self.compiled.borrow().snapshot.storage.records
    }

    /// How many records go to the store at once. Who watches is told of each of them, and what is old goes as rows.
    fn batch_records_max(&self, news: News) -> usize {
        let is_packed = news == News::Sure && self.kept_as() == RecordsAs::Packs;
        let is_late = self.state().lag_ms > PACK_SPAN_MS_MAX / 2;
        if is_packed && !is_late && !self.live.is_heard() {
            BATCH_PACKED_RECORDS_MAX
        } else {
            BATCH_ROWS_RECORDS_MAX
        }
    }

    async fn wait(&self, ms: u64) {
        // Woken or not: what follows is the same.
        let _ = tokio::time::timeout(Duration::from_millis(ms), self.wake.notified()).await;
    }
}

/// Keeps the journal of the running instance empty, and those that others left.
pub struct Keeper {
    records: Rc<Records>,
    own: Offload,
    readers: Vec<Own>,
    open: Open,
    carried: Carried,
    /// Journals of ended processes that cannot be read.
    left_alone: HashSet<PathBuf>,
}

/// The journal of one of this process's shards.
struct Own {
    reader: Reader,
    /// So many of the records that are read next the store may have: a step has failed with them that could have been carried
    /// out.
    doubtful: usize,
    /// It is in the store, and not yet let go of.
    stored: Option<Batch>,
}

impl Own {
    fn news(&self) -> News {
        if self.doubtful > 0 { News::Doubtful } else { News::Sure }
    }
}

/// What a look at the journals brought.
struct Turn {
    /// Records, or ends of segments.
    moved: usize,
    /// There is more than was taken.
    has_more: bool,
}

/// Why a turn did not come to its end.
enum Trouble {
    Store(StoreError),
    Journal(io::Error),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Store(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Journal(error)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Store(error) => write!(f, "the store: {error}"),
            Trouble::Journal(error) => write!(f, "the journal: {error}"),
        }
    }
}

impl Keeper {
    /// A keeper of the journals of that many shards, below the folder of the running instance.
    pub fn new(records: Rc<Records>, own: Offload, shards: usize) -> Keeper {
        let folder = &records.journal.folder;
        let reader_of = |shard| Reader::behind(folder, shard, records.gauge.clone());
        let own_of = |shard| Own { reader: reader_of(shard), doubtful: 0, stored: None };
        let readers = (0..shards).map(own_of).collect();
        let carried = Carried::of(folder);
        let left_alone = HashSet::new();
        Keeper { records, own, readers, open: Open::default(), carried, left_alone }
    }

    /// Drains for as long as the process lives. After a stop was asked for, until the journals are empty.
    pub async fn run(mut self) {
        let (mut pause_ms, mut is_down, mut orphans_at_ms) = (0, false, 0);
        loop {
            let is_stopping = self.records.is_stopping.get();
            let result = self.turn(&mut orphans_at_ms).await;
            let is_store_down = matches!(&result, Err(Trouble::Store(_)));
            self.records.counts.is_store_down.set(is_store_down);
            self.own.pulse.set_store_away(is_store_down);
            match result {
                Ok(turn) => {
                    if std::mem::take(&mut is_down) {
                        self.own.log(Level::Info, "records reach the store again".to_owned());
                    }
                    pause_ms = 0;
                    if turn.moved == 0 && is_stopping {
                        break;
                    }
                    // A commit costs the same for one record as for thousands: it is worth waiting until there are some.
                    if !turn.has_more && !is_stopping {
                        self.records.wait(RECORDS_TURN_MS).await;
                    }
                }
                Err(trouble) => {
                    if !std::mem::replace(&mut is_down, true) {
                        let line = format!("records wait in the journal: {trouble}");
                        self.own.log(Level::Warn, line);
                    }
                    if is_stopping {
                        break;
                    }
                    pause_ms = (pause_ms * 2).clamp(RECORDS_PAUSE_MS_MIN, RECORDS_PAUSE_MS_MAX);
                    self.records.wait(pause_ms).await;
                }
            }
        }
        self.records.is_drained.set(self.open.begun.is_empty() && !is_down);
    }

    /// Moves what is there.
    async fn turn(&mut self, orphans_at_ms: &mut u64) -> Result<Turn, Trouble> {
        let store = self.records.store().await?;
        let (mut moved, mut has_more) = (0, false);
        for at in 0..self.readers.len() {
            let turn = self.drain_own(&store, at).await?;
            moved += turn.moved;
            has_more |= turn.has_more;
        }
        self.records.counts.open.set(self.open.begun.len());
        let now_ms = clock::monotonic_us() / 1000;
        if !has_more {
            self.records.counts.empty_at_ms.set(now_ms);
        }
        if now_ms >= *orphans_at_ms {
            *orphans_at_ms = now_ms + ORPHANS_EVERY_MS;
            moved += self.drain_orphans(&store).await?;
            self.records.counts.has_inherited.set(true);
            self.sweep(&store).await?;
        }
        Ok(Turn { moved, has_more })
    }

    async fn drain_own(&mut self, store: &Store, at: usize) -> Result<Turn, Trouble> {
        let own = &mut self.readers[at];
        let batch = match own.stored.take() {
            Some(batch) => batch,
            None => {
                let news = own.news();
                let batch = own.reader.peek(self.records.batch_records_max(news))?;
                if batch.is_empty() && !batch.ends_segment {
                    return Ok(Turn { moved: 0, has_more: false });
                }
                // Until the store has them the same records may come once more, in batches of another size.
                own.doubtful = own.doubtful.max(batch.len());
                store_batch(store, &batch, &mut self.open, &self.records, news).await?;
                own.doubtful -= batch.len();
                batch
            }
        };
        let turn = Turn { moved: batch.len().max(1), has_more: batch.is_full || batch.ends_segment };
        if let Err(error) = self.let_go(at, &batch) {
            self.readers[at].stored = Some(batch);
            return Err(error.into());
        }
        Ok(turn)
    }

    /// A batch is in the store: goes on behind it.
    fn let_go(&mut self, at: usize, batch: &Batch) -> io::Result<()> {
        if batch.ends_segment {
            // The beginnings in it outlive it. One that is carried although it has ended does no harm: the store has its
            // id already.
            self.carried.replace(self.open.begun.values().chain(self.open.parts.values().flatten()))?;
        }
        self.readers[at].reader.release(batch)
    }

    /// Takes over what processes that have ended left behind.
    async fn drain_orphans(&mut self, store: &Store) -> Result<usize, Trouble> {
        let data_dir = self.records.compiled.borrow().snapshot.data_dir.clone();
        let mut moved = 0;
        for orphan in Orphan::find(&data_dir)? {
            if self.left_alone.contains(&orphan.folder) {
                continue;
            }
            match drain_orphan(store, &orphan, &self.records, &self.own).await {
                // Who can read it comes later, and everything else goes on.
                Err(Trouble::Journal(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    let folder = orphan.folder.display();
                    self.own.log(Level::Warn, format!("the journal in {folder} is left alone: {error}"));
                    self.left_alone.insert(orphan.folder);
                }
                drained => {
                    moved += drained?;
                    orphan.remove()?;
                }
            }
        }
        Ok(moved)
    }

    /// Takes away a few of the rows that are older than the settings keep them.
    async fn sweep(&self, store: &Store) -> Result<(), Trouble> {
        let storage = self.records.compiled.borrow().snapshot.storage.clone();
        let now_ms = clock::wall_ms();
        let kept = [
            (&tables::USAGE, storage.usage_kept_ms),
            (&tables::AUDIT_LOGS, storage.audit_kept_ms),
            (&tables::AUDIT_LOG_ATTEMPTS, storage.audit_kept_ms),
            (&tables::ADMIN_CHANGES, storage.changes_kept_ms),
            // What these rows are swept by is the end of their life.
            (&tables::STORED_OBJECTS, Some(0)),
        ];
        for (table, kept_ms) in kept {
            let Some(kept_ms) = kept_ms else { continue };
            let before_ms = i64::try_from(now_ms.saturating_sub(kept_ms)).unwrap_or(i64::MAX);
            store.sweep(table, before_ms, STORE_SWEEP_ROWS).await?;
        }
        Ok(())
    }
}

/// Stores what an ended process left. Exchanges that it had begun and not ended get a row that says so.
async fn drain_orphan(
    store: &Store,
    orphan: &Orphan,
    records: &Records,
    own: &Offload,
) -> Result<usize, Trouble> {
    let (mut open, mut moved, mut torn, mut unreadable) = (Open::default(), 0, 0, None);
    for bytes in Carried::of(&orphan.folder).read()? {
        match record::read(&bytes) {
            Some(Record::Begun(id, _)) => drop(open.begun.insert(id, bytes.into())),
            Some(Record::Part(id, _)) => open.parts.entry(id).or_default().push(bytes.into()),
            _ => {}
        }
    }
    // Segments stay until all is stored: one that is read again does no harm, one that is gone does.
    for shard in orphan.shards()? {
        let mut reader = Reader::of_orphan(&orphan.folder, shard)?;
        loop {
            let batch = match reader.peek(BATCH_ROWS_RECORDS_MAX) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    unreadable = Some(error);
                    break;
                }
                read => read?,
            };
            if batch.is_empty() && !batch.ends_segment {
                break;
            }
            store_batch(store, &batch, &mut open, records, News::Doubtful).await?;
            torn += usize::from(batch.is_torn);
            moved += batch.len();
            reader.pass_over(&batch);
            // Others get their turn on this thread.
            tokio::task::yield_now().await;
        }
    }
    if let Some(error) = unreadable {
        // What cannot be read may hold the ends of what has none here.
        return Err(error.into());
    }
    let unknown = open.begun.len();
    let mut rows = Rows::new(records.audits());
    for (id, bytes) in &open.begun {
        let end = record::Ended {
            outcome: record::Outcome::Unknown,
            error: "process_ended",
            ..record::Ended::default()
        };
        let pieces = open.parts.get(id).into_iter().flatten();
        rows.add(*id, as_begun(bytes).as_ref(), &end, Bodies::of(pieces.filter_map(|bytes| as_part(bytes))));
    }
    let unfit = rows.store(store, News::Doubtful).await? as u64;
    records.counts.unreadable.set(records.counts.unreadable.get() + unfit);
    let name = orphan.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if moved + unknown + torn > 0 {
        let line = format!(
            "took over the journal {name} of an ended process: {moved} records, {unknown} exchanges without an end, {torn} torn"
        );
        own.log(Level::Info, line);
    }
    Ok(moved + unknown)
}

/// Makes the journal safe from a loss of power, again and again.
pub async fn sync_forever(records: Rc<Records>) {
    let mut syncer = Syncer::default();
    loop {
        let every_ms = records.compiled.borrow().snapshot.journal.sync_interval_ms;
        tokio::time::sleep(Duration::from_millis(if every_ms == 0 { 1_000 } else { every_ms })).await;
        if every_ms == 0 {
            continue;
        }
        let folder = records.journal.folder.clone();
        // A disk that takes long must not hold up this thread.
        let mut taken = std::mem::take(&mut syncer);
        let sync = move || taken.sync(&folder).map(|()| taken);
        let synced = tokio::task::spawn_blocking(sync).await;
        let is_good = matches!(synced, Ok(Ok(_)));
        if let Ok(Ok(done)) = synced {
            syncer = done;
        }
        records.counts.sync_failures.set(records.counts.sync_failures.get() + u64::from(!is_good));
    }
}

/// How often folders of ended processes are looked for, and old rows are swept.
const ORPHANS_EVERY_MS: u64 = 2_000;
