//! Packs hold what was put into them, and a store with packs answers like one in which every exchange has rows.

mod again;
mod form;
mod known;

use std::path::PathBuf;

use known::{Dice, Known, START_MS, exchanges};

use super::bytes::{self, Damage, Pack, Packs, Pair};
use super::columns::{ATTEMPTS, AUDIT, Made, USAGE};
use crate::base::Pico;
use crate::base::limits::{PACK_AGES_MS, PACK_SPAN_MS_MAX};
use crate::config::{Engine, RecordsAs, Storage};
use crate::ledger::record::{self, BegunGlance, Glance, Record, RecordId};
use crate::offload::records::rows::{Bodies, Rows};
use crate::offload::store::{
    By, Direction, ErrorKind, ExportFormat, Filter, Groups, Kind, News, Op, Row, Schema, Select, Store,
    Summary, Table, Upgrade, Value, export, tables,
};

/// A store in a file of its own, which goes with it.
struct File {
    path: PathBuf,
    store: Store,
}

impl File {
    async fn open(name: &str) -> File {
        File::open_as(name, &tables::SCHEMA).await
    }

    async fn open_as(name: &str, schema: &Schema) -> File {
        let path = std::env::temp_dir().join(format!("ringway-packs-{}-{name}.db", std::process::id()));
        let store = Store::open(&storage(&path), schema, Upgrade::Forward).await.expect("a store");
        File { path, store }
    }

    fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).expect("the file")
    }

    fn count(&self, table: &str) -> i64 {
        let text = format!("SELECT COUNT(*) FROM ringway_{table}");
        self.connection().query_row(&text, [], |row| row.get(0)).expect("a count")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", self.path.display()));
        }
    }
}

fn storage(path: &std::path::Path) -> Storage {
    Storage {
        engine: Engine::Sqlite { path: path.to_owned() },
        records: RecordsAs::Packs,
        call_timeout_ms: 60_000,
        usage_kept_ms: None,
        audit_kept_ms: None,
        changes_kept_ms: None,
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

async fn store_rows(store: &Store, all: &[Known], news: News) {
    let mut rows = Rows::new(true);
    all.iter().for_each(|known| known.add_to(&mut rows));
    assert_eq!(rows.store(store, news).await, Ok(0));
}

async fn store_packs(store: &Store, all: &[Known]) {
    store_packs_as(store, all, true).await;
}

async fn store_packs_as(store: &Store, all: &[Known], audits: bool) {
    let mut packs = Packs::new(audits);
    for known in all {
        packs.add(known.ended_ms, known.glance(), known.pair());
    }
    let rows = packs.rows();
    let count = rows.len() as u64;
    assert_eq!(store.insert_known(&tables::RECORD_PACKS, rows, News::Sure).await, Ok(count));
}

/// The same exchanges twice: as rows, and as packs of all sizes with some rows between them.
async fn twins(name: &str, all: &[Known]) -> [File; 2] {
    let files = [File::open(&format!("{name}-rows")).await, File::open(&format!("{name}-packs")).await];
    store_rows(&files[0].store, all, News::Sure).await;
    let mut dice = Dice(7);
    let mut rest = all;
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at((1 + dice.roll(12)).min(rest.len()));
        rest = behind;
        if dice.roll(6) == 0 {
            store_rows(&files[1].store, batch, News::Sure).await;
        } else {
            store_packs(&files[1].store, batch).await;
        }
    }
    files
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    All,
    Some,
}

const MADE: [&Made; 3] = [&USAGE, &AUDIT, &ATTEMPTS];

/// Filters about every column, by values that stand in rows.
fn filters(table: &'static Table, rows: &[Row]) -> Vec<Filter> {
    let mut filters = vec![Filter::all()];
    let mut dice = Dice(3);
    for column in table.columns {
        let all = Filter::all;
        if column.is_nullable {
            filters.extend([all().null(column.name), all().present(column.name)]);
        }
        let known: Vec<&Value> =
            rows.iter().map(|row| row.get(column.name)).filter(|v| !v.is_null()).collect();
        if known.is_empty() {
            continue;
        }
        let value = known[dice.roll(known.len())].clone();
        for op in [Op::Equal, Op::NotEqual, Op::Less, Op::AtMost, Op::Greater, Op::AtLeast] {
            filters.push(all().compare(column.name, op, value.clone()));
        }
        filters.push(all().compare(column.name, Op::NotEqual, Value::Null));
        let other = known[dice.roll(known.len())].clone();
        filters.push(all().one_of(column.name, vec![value.clone(), Value::Null, other]));
        filters.push(all().one_of(column.name, Vec::new()));
        if let (Kind::Text, Some(text)) = (column.kind, value.as_text()) {
            let start: String = text.chars().take(3).collect();
            filters.extend([all().prefix(column.name, start), all().within(column.name, text)]);
        }
        if let Some(name) = value.as_names().and_then(<[String]>::first) {
            filters.extend([all().lists(column.name, &**name), all().lists(column.name, "none")]);
        }
    }
    let hour = |at: i64| START_MS as i64 + at * 3_600_000;
    for (from, to) in [(0, 1), (1, 2), (2, 9), (5, 9)] {
        filters.push(Filter::all().between_ms("at_ms", hour(from), hour(to)));
    }
    if table.name == "usage" {
        let within = Filter::all().between_ms("at_ms", hour(1), hour(2)).within("user_path", "/team");
        filters.push(within.equal("provider_name", Value::text("up")));
    }
    filters.push(Filter::all().equal(table.key[0], Value::text("no id")));
    filters
}

fn sorted(groups: &Groups) -> Vec<String> {
    let mut all: Vec<String> = groups.groups.iter().map(|group| format!("{group:?}")).collect();
    all.sort();
    all
}

async fn compare_summaries(files: &[File; 2], made: &Made, filter: &Filter, turn: usize) {
    let by: &[&[By]] = match made.table.name {
        "usage" => &[
            &[],
            &[By::Column("provider_name"), By::Column("model")],
            &[By::Span { column: "at_ms", width_ms: 600_000 }],
            &[By::Column("labels")],
        ],
        "audit_logs" => &[&[], &[By::Column("session_id"), By::Column("status_code")]],
        _ => &[&[By::Column("error_code")]],
    };
    let sums: &[&str] = match made.table.name {
        "usage" => &["total_cost", "input_uncached", "duration_us"],
        _ => &["duration_us"],
    };
    let questions = by.iter().flat_map(|by| [(by, 10_000), (by, 2)]);
    for (by, limit) in questions.skip(turn % TURNS).step_by(TURNS) {
        let ask = async |file: &File| {
            let summary = Summary::new(made.table, filter.clone(), by, sums, limit);
            file.store.summarise(summary).await.expect("sums")
        };
        let (want, got) = (ask(&files[0]).await, ask(&files[1]).await);
        assert_eq!((want.is_cut, want.groups.len()), (got.is_cut, got.groups.len()), "{filter:?} {by:?}");
        if !want.is_cut {
            assert_eq!(sorted(&want), sorted(&got), "{filter:?} {by:?}");
        }
    }
}

async fn compare_selects(files: &[File; 2], made: &Made, filter: &Filter, turn: usize) {
    let (table, key) = (made.table, made.table.key[0]);
    let select = |limit| Select::new(table, filter.clone(), limit);
    let questions = [
        select(100_000),
        select(7),
        select(0),
        select(5).ordered("at_ms", Direction::Ascending),
        select(3).ordered("at_ms", Direction::Descending).only(&["status_code"]),
        select(90).ordered("at_ms", Direction::Descending),
        select(4).ordered(key, Direction::Descending),
        select(6).ordered(
            if table.name == "audit_log_attempts" { "reason" } else { "request_id" },
            Direction::Descending,
        ),
    ];
    for question in questions.into_iter().skip(turn % TURNS).step_by(TURNS) {
        let ask = async |file: &File| file.store.select(question.clone()).await.expect("rows");
        assert_eq!(ask(&files[0]).await, ask(&files[1]).await, "{question:?}");
    }
}

/// Of all questions each filter has its turn with one of so many.
const TURNS: usize = 2;

/// All pages of a question, each behind the one before.
async fn pages(store: &Store, mut select: Select) -> Vec<Row> {
    let mut all = Vec::new();
    loop {
        let page = store.select(select.clone()).await.expect("a page");
        let Some(last) = page.last() else { return all };
        select = select.clone().after(select.cursor(last));
        all.extend(page);
    }
}

/// Compares what both answer; every filter where all are asked for, else one of several.
async fn compare(files: &[File; 2], when: &str, of: Asked) {
    for made in MADE {
        let all = files[0].store.select(Select::new(made.table, Filter::all(), 100_000)).await.expect("rows");
        let filters = filters(made.table, &all);
        let step = if of == Asked::All { 1 } else { 17 };
        for (turn, filter) in filters.into_iter().enumerate().step_by(step) {
            compare_selects(files, made, &filter, turn).await;
            compare_summaries(files, made, &filter, turn).await;
        }
        for direction in [Direction::Ascending, Direction::Descending] {
            for by in ["at_ms", made.table.key[0]] {
                let page = || Select::new(made.table, Filter::all(), 13).ordered(by, direction);
                let (want, got) =
                    (pages(&files[0].store, page()).await, pages(&files[1].store, page()).await);
                assert_eq!(want.len(), all.len(), "{when}: all pages of {}", made.table.name);
                assert_eq!(want, got, "{when}: pages of {}", made.table.name);
            }
        }
        let range = (START_MS as i64, START_MS as i64 + 5_000_000);
        for format in [ExportFormat::Csv, ExportFormat::JsonLines] {
            let written = async |file: &File| {
                let mut out = Vec::new();
                export(&file.store, made.table, range, format, &mut out).await.expect("an export");
                out
            };
            assert_eq!(written(&files[0]).await, written(&files[1]).await, "{when}: {}", made.table.name);
        }
    }
}

#[test]
fn a_store_with_packs_answers_like_one_with_rows() {
    run(async {
        let all = exchanges(220, 11);
        let files = twins("twins", &all).await;
        assert!(files[1].count("record_packs") > 10 && files[1].count("usage") > 10);
        compare(&files, "as it was stored", Asked::All).await;
        for (made, filter, values) in [
            (&USAGE, Filter::all().equal("model", Value::text("m2")), ("cost_source", Value::text("new"))),
            (&AUDIT, Filter::all().equal("session_id", Value::text("s1")), ("error_code", Value::Null)),
        ] {
            let mut counts = Vec::new();
            for file in &files {
                let filter = filter.clone().between_ms("at_ms", START_MS as i64, START_MS as i64 + 2_500_000);
                counts.push(file.store.update(made.table, filter, vec![values.clone()]).await.expect("it"));
            }
            assert!(counts[0] == counts[1] && counts[0] > 0, "{counts:?}");
        }
        compare(&files, "after updates", Asked::Some).await;
        let page = Select::new(&tables::USAGE, Filter::all(), 5).ordered("at_ms", Direction::Descending);
        let rows = files[0].store.select(page).await.expect("rows");
        let rows: Vec<Row> =
            rows.into_iter().map(|row| row.with("total_cost", Value::Money(Pico(5)))).collect();
        let mut counts = Vec::new();
        for file in &files {
            file.store.replace(&tables::USAGE, rows.clone()).await.expect("rows in the place of others");
            let filter = Filter::all().prefix("request_id", "req-1");
            counts.push(file.store.delete(&tables::AUDIT_LOGS, filter).await.expect("they go"));
        }
        assert!(counts[0] == counts[1] && counts[0] > 0, "{counts:?}");
        assert!(files[1].count("record_packs") > 0, "packs have stayed");
        compare(&files, "after rows were replaced and deleted", Asked::Some).await;
    });
}

#[test]
fn what_is_swept_is_gone_from_packs_as_from_rows_and_addresses_go_with_the_audit_log() {
    run(async {
        let all = exchanges(200, 5);
        let files = twins("sweeps", &all).await;
        let sweep = async |made: &Made, minutes: i64| {
            for file in &files {
                let before_ms = START_MS as i64 + minutes * 60_000;
                file.store.sweep(made.table, before_ms, 100_000).await.expect("a sweep");
            }
        };
        let count = files[1].count("record_packs");
        for minutes in [20, 21, 90] {
            sweep(&AUDIT, minutes).await;
            compare(&files, "the log was swept", Asked::Some).await;
            sweep(&ATTEMPTS, minutes).await;
            compare(&files, "and the attempts", Asked::Some).await;
        }
        assert_eq!(files[1].count("record_packs"), count, "usage needs them still");
        let old = silent_for_audit(&files[1]);
        assert!(old.len() > 5);
        old.iter().for_each(|data| check_shows_nobody(data));
        for minutes in [60, 30, 120] {
            sweep(&USAGE, minutes).await;
            compare(&files, "usage was swept", Asked::Some).await;
        }
        assert!(files[1].count("record_packs") < count, "packs that count for nothing are gone");
        // Retention of the audit log beyond that of usage.
        sweep(&USAGE, 170).await;
        compare(&files, "usage was swept further", Asked::Some).await;
        let swept = Filter::all().compare("at_ms", Op::Less, Value::TimeMs(START_MS as i64 + 6_600_000));
        for file in &files {
            file.store.delete(&tables::AUDIT_LOGS, swept.clone()).await.expect("they go");
        }
        compare(&files, "packs of which only a part counts became rows", Asked::Some).await;
        for made in MADE {
            sweep(made, 9_999).await;
        }
        assert_eq!(files[1].count("record_packs"), 0);
        compare(&files, "all was swept", Asked::Some).await;
    });
}

/// The packs that do not count for the audit log.
fn silent_for_audit(file: &File) -> Vec<Vec<u8>> {
    let connection = file.connection();
    let text = "SELECT data FROM ringway_record_packs WHERE audit_to_ms IS NULL";
    let mut packs = connection.prepare(text).expect("SQL");
    let packs = packs.query_map([], |row| row.get(0)).expect("packs");
    packs.collect::<Result<_, _>>().expect("packs")
}

fn check_shows_nobody(data: &[u8]) {
    for text in ["203.0.113.77", "agent/9", "/v1/"] {
        assert!(memchr::memmem::find(data, text.as_bytes()).is_none(), "{text} was kept");
    }
}

#[test]
fn what_the_audit_log_does_not_keep_is_not_in_packs() {
    run(async {
        let all = exchanges(60, 77);
        let files = [File::open("unaudited-rows").await, File::open("unaudited-packs").await];
        let mut rows = Rows::new(false);
        all.iter().for_each(|known| known.add_to(&mut rows));
        assert_eq!(rows.store(&files[0].store, News::Sure).await, Ok(0));
        store_packs_as(&files[1].store, &all, false).await;
        compare(&files, "without an audit log", Asked::Some).await;
        assert_eq!(files[1].count("record_packs") as usize, silent_for_audit(&files[1]).len());
        silent_for_audit(&files[1]).iter().for_each(|data| check_shows_nobody(data));
    });
}

#[test]
fn an_exchange_that_a_pack_holds_is_not_stored_again() {
    run(async {
        let all = exchanges(60, 23);
        let files = twins("again", &all[..40]).await;
        // What failed and had been carried out, and more behind it.
        for file in &files {
            store_rows(&file.store, &all[10..], News::Doubtful).await;
            store_rows(&file.store, &all, News::Doubtful).await;
        }
        let rows = File::open("again-all").await;
        store_rows(&rows.store, &all, News::Sure).await;
        let [_, packs] = files;
        assert!(packs.count("record_packs") > 0);
        compare(&[rows, packs], "after everything was stored again", Asked::Some).await;
    });
}

#[test]
fn a_store_of_the_version_before_keeps_its_rows_and_takes_packs() {
    run(async {
        let all = exchanges(80, 31);
        let older = Schema { version: 2, ..tables::SCHEMA };
        let file = File::open_as("older", &older).await;
        store_rows(&file.store, &all[..40], News::Sure).await;
        let newer = Store::open(&storage(&file.path), &tables::SCHEMA, Upgrade::Forward).await.expect("it");
        store_packs(&newer, &all[40..]).await;
        let rows = File::open("older-all").await;
        store_rows(&rows.store, &all, News::Sure).await;
        compare(&[rows, File { store: newer, path: file.path.clone() }], "brought forward", Asked::Some)
            .await;
    });
}

#[test]
fn a_damaged_pack_is_told_by_name_and_stands_in_nobodys_way() {
    run(async {
        let all = exchanges(300, 41);
        let file = File::open("damaged").await;
        let early: Vec<Known> =
            all.iter().filter(|known| known.at_ms < START_MS + 3_600_000).cloned().collect();
        let late: Vec<Known> =
            all.iter().filter(|known| known.at_ms > START_MS + 5_400_000).cloned().collect();
        store_packs(&file.store, &early).await;
        store_packs(&file.store, &late).await;
        let damage = "UPDATE ringway_record_packs SET data = zeroblob(99) \
                      WHERE id = (SELECT id FROM ringway_record_packs ORDER BY from_ms LIMIT 1)";
        assert_eq!(file.connection().execute(damage, []), Ok(1));
        let id = file.connection().query_row(
            "SELECT id FROM ringway_record_packs ORDER BY from_ms LIMIT 1",
            [],
            |row| row.get::<_, String>(0),
        );
        let id = id.expect("its id");
        let of_late = Filter::all().between_ms("at_ms", START_MS as i64 + 5_400_000, i64::MAX);
        for made in MADE {
            let error = file.store.select(Select::new(made.table, Filter::all(), 9_999)).await.unwrap_err();
            assert!(error.kind == ErrorKind::Broken && error.what.contains(&id), "{error}");
            let sums = Summary::new(made.table, Filter::all(), &[], &[], 9);
            assert_eq!(file.store.summarise(sums).await.unwrap_err().kind, ErrorKind::Broken);
            let late = Select::new(made.table, of_late.clone(), 9_999);
            assert!(!file.store.select(late).await.expect("others are read").is_empty());
            let newest = Select::new(made.table, Filter::all(), 3).ordered("at_ms", Direction::Descending);
            assert_eq!(file.store.select(newest).await.expect("the newest are read").len(), 3);
        }
        store_rows(&file.store, &early, News::Doubtful).await;
        for (made, ms) in MADE.into_iter().zip([0, i64::MAX, i64::MAX]) {
            file.store.sweep(made.table, ms, 10_000).await.expect("a sweep");
        }
        let error = file.store.delete(&tables::USAGE, Filter::all()).await.unwrap_err();
        assert!(error.kind == ErrorKind::Broken && error.what.contains("damaged"), "{error}");
        file.store.sweep(&tables::USAGE, i64::MAX, 10_000).await.expect("a sweep");
        assert_eq!(file.count("record_packs"), 0);
    });
}
