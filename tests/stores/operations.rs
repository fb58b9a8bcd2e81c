//! The same calls with the same answers on every engine.

use ringway::base::money::Pico;
use ringway::offload::store::tables::{AUDIT_LOG_ATTEMPTS, AUTH_KEYS, RATE_LIMITS, STORED_OBJECTS, USAGE};
use ringway::offload::store::{
    By, Direction, ErrorKind, Filter, Group, Op, Row, Scan, Select, Store, Sum, Summary, Value,
};

use crate::world::{on_every_engine, row};

fn text(text: &str) -> Value {
    Value::text(text)
}

fn names(names: &[&str]) -> Value {
    Value::Names(names.iter().map(|&name| name.to_owned()).collect())
}

/// An id, a user path, a model, labels, a cost; the time grows by a second from row to row.
fn usage(number: i64, path: &str, model: Option<&str>, labels: &[&str], cost: Option<i128>) -> Row {
    row(&USAGE, text)
        .with("id", text(&format!("u{number}")))
        .with("at_ms", Value::TimeMs(1_000 * number))
        .with("user_path", text(path))
        .with("model", Value::maybe(model, Value::text))
        .with("labels", names(labels))
        .with("total_cost", Value::maybe(cost, |pico| Value::Money(Pico(pico))))
        .with("is_stream", Value::Flag(number % 2 == 0))
        .with("cache_read", Value::maybe((number != 3).then_some(number), Value::Integer))
}

fn rows() -> Vec<Row> {
    vec![
        usage(1, "/", Some("a"), &[], Some(5)),
        usage(2, "/team", Some("a%"), &["x"], Some(-7)),
        usage(3, "/team/alpha", Some("a_b"), &["x", "y%"], None),
        usage(4, "/teams", Some("axb"), &["xy"], Some(0)),
        usage(5, "/team_x/a", None, &["y"], Some(i128::from(i64::MAX))),
        usage(6, "/Team/alpha", Some("A"), &[], Some(i128::from(i64::MIN))),
        usage(7, "/team/alpha/\u{10ffff}", Some("é"), &["é"], Some(1)),
        usage(8, "/team/%", Some("a\0"), &["\0"], None),
        usage(9, "/team/\u{7f}", Some(""), &["", " "], Some(2)),
    ]
}

async fn ids(store: &Store, select: Select) -> Vec<i64> {
    let rows = store.select(select).await.expect("a select");
    let id = |row: &Row| row.get("id").as_text().and_then(|id| id[1..].parse().ok()).expect("an id");
    rows.iter().map(id).collect()
}

#[test]
fn filters_mean_the_same_rows_on_every_engine() {
    let f = Filter::all;
    let cases: Vec<(Filter, &[i64])> = vec![
        (f(), &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (f().equal("model", text("a")), &[1]),
        (f().equal("model", text("A")), &[6]),
        (f().equal("model", text("a\0")), &[8]),
        (f().equal("model", text("")), &[9]),
        (f().compare("model", Op::NotEqual, text("a")), &[2, 3, 4, 6, 7, 8, 9]),
        (f().compare("model", Op::Greater, text("a")), &[2, 3, 4, 7, 8]),
        (f().compare("model", Op::Less, text("a")), &[6, 9]),
        (f().null("model"), &[5]),
        (f().present("model"), &[1, 2, 3, 4, 6, 7, 8, 9]),
        (f().one_of("model", vec![text("a%"), text("a_b"), text("none")]), &[2, 3]),
        (f().one_of("model", vec![]), &[]),
        (f().prefix("model", "a"), &[1, 2, 3, 4, 8]),
        (f().prefix("model", "a%"), &[2]),
        (f().prefix("model", "a_"), &[3]),
        (f().prefix("model", "a\0"), &[8]),
        (f().prefix("model", ""), &[1, 2, 3, 4, 6, 7, 8, 9]),
        (f().prefix("user_path", "/team/alpha/\u{10ffff}"), &[7]),
        (f().within("user_path", "/"), &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (f().within("user_path", "/team"), &[2, 3, 7, 8, 9]),
        (f().within("user_path", "/team/alpha"), &[3, 7]),
        (f().within("user_path", "/team/%"), &[8]),
        (f().within("user_path", "/none"), &[]),
        (f().lists("labels", "x"), &[2, 3]),
        (f().lists("labels", "y%"), &[3]),
        (f().lists("labels", ""), &[9]),
        (f().lists("labels", "\0"), &[8]),
        (f().lists("labels", "é"), &[7]),
        (f().equal("is_stream", Value::Flag(true)), &[2, 4, 6, 8]),
        (f().equal("total_cost", Value::Money(Pico(i128::from(i64::MAX)))), &[5]),
        (f().compare("total_cost", Op::AtMost, Value::Money(Pico(0))), &[2, 4, 6]),
        (f().compare("total_cost", Op::AtLeast, Value::Money(Pico(2))), &[1, 5, 9]),
        (f().null("total_cost"), &[3, 8]),
        (f().between_ms("at_ms", 2_000, 4_000), &[2, 3]),
        (f().between_ms("at_ms", 2_000, 4_000).lists("labels", "y%").prefix("model", "a"), &[3]),
    ];
    on_every_engine(async |store, engine| {
        assert_eq!(store.insert(&USAGE, rows()).await, Ok(9), "{engine}");
        for (filter, want) in &cases {
            let found = ids(store, Select::new(&USAGE, filter.clone(), 100)).await;
            assert_eq!(found, *want, "{engine}: {filter:?}");
        }
    });
}

#[test]
fn rows_come_back_as_they_were_and_in_pages_that_leave_nothing_out() {
    on_every_engine(async |store, engine| {
        let rows = rows();
        store.insert(&USAGE, rows.clone()).await.expect("an insert");
        let found = store.select(Select::new(&USAGE, Filter::all(), 100)).await.expect("a select");
        assert_eq!(found, rows, "{engine}");
        assert_eq!(store.select(Select::new(&USAGE, Filter::all(), 0)).await, Ok(vec![]), "{engine}");

        // The times of three each are the same, so that the key has to decide.
        let filter = Filter::all().compare("at_ms", Op::Greater, Value::TimeMs(0));
        for (number, row) in rows.iter().enumerate() {
            let at = vec![("at_ms", Value::TimeMs(1 + number as i64 / 3))];
            let id = Filter::all().equal("id", row.get("id").clone());
            assert_eq!(store.update(&USAGE, id, at).await, Ok(1), "{engine}");
        }
        for (direction, want) in [
            (Direction::Ascending, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
            (Direction::Descending, [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ] {
            let mut page =
                Select::new(&USAGE, filter.clone(), 2).ordered("at_ms", direction).only(&["at_ms", "id"]);
            let mut all = Vec::new();
            loop {
                let rows = store.select(page.clone()).await.expect("a page");
                let Some(last) = rows.last() else { break };
                all.extend(rows.iter().map(|row| row.get("id").as_text().expect("an id")[1..].to_owned()));
                page = page.clone().after(page.cursor(last));
            }
            assert_eq!(all, want.map(|id| id.to_string()), "{engine}");
        }
    });
}

#[test]
fn a_scan_gives_every_row_once_whatever_comes_and_goes_meanwhile() {
    on_every_engine(async |store, engine| {
        let rows = rows();
        let ids = |rows: &[Row]| -> Vec<String> {
            rows.iter().map(|row| row.get("id").as_text().expect("an id").to_owned()).collect()
        };
        // Not in the order of their ids.
        for number in [4, 0, 7, 2, 5, 1, 6] {
            store.insert(&USAGE, vec![rows[number].clone()]).await.expect("an insert");
        }
        for page_rows in [1, 3, 7, 100] {
            let mut scan = Scan::new(&USAGE, &["id", "model"], page_rows);
            let first = store.scan(&mut scan).await.expect("a page");
            assert_eq!(first.len(), page_rows.min(7), "{engine}");
            // A row that was handed out is gone, and one comes anew.
            let gone = first[0].get("id").clone();
            store.delete(&USAGE, Filter::all().equal("id", gone.clone())).await.expect("a deletion");
            store.insert(&USAGE, vec![rows[8].clone()]).await.expect("an insert");
            let mut all = ids(&first);
            loop {
                let page = store.scan(&mut scan).await.expect("a page");
                if page.is_empty() {
                    break;
                }
                assert!(page.len() <= page_rows, "{engine}");
                all.extend(ids(&page));
            }
            all.retain(|id| *id != ids(&rows)[8]);
            all.sort_unstable();
            let want = [0, 1, 2, 4, 5, 6, 7].map(|number| ids(&rows)[number].clone());
            assert_eq!(all, want, "{engine}, {page_rows}");
            assert_eq!(store.scan(&mut scan).await, Ok(vec![]), "{engine}");
            let back = rows.iter().find(|row| *row.get("id") == gone).expect("it").clone();
            store
                .delete(&USAGE, Filter::all().equal("id", rows[8].get("id").clone()))
                .await
                .expect("a deletion");
            store.insert(&USAGE, vec![back]).await.expect("an insert");
        }
    });
}

#[test]
fn a_batch_that_is_written_again_changes_nothing() {
    on_every_engine(async |store, engine| {
        let rows = rows();
        let insert = async |rows: &[Row]| store.insert(&USAGE, rows.to_vec()).await;
        assert_eq!(insert(&rows[..4]).await, Ok(4), "{engine}");
        assert_eq!(insert(&rows[..4]).await, Ok(0), "{engine}");
        let changed = rows[3].clone().with("model", text("changed"));
        let twice = [changed, rows[4].clone(), rows[4].clone(), rows[5].clone()];
        assert_eq!(insert(&twice).await, Ok(2), "{engine}");
        let found = store.select(Select::new(&USAGE, Filter::all(), 100)).await;
        assert_eq!(found.as_deref(), Ok(&rows[..6]), "{engine}");
        assert_eq!(insert(&[]).await, Ok(0), "{engine}");
        // A key of several columns, parts of which look alike when they are put together.
        let attempt = |id: &str, number: i64| {
            let filled = row(&AUDIT_LOG_ATTEMPTS, |_| text("x")).with("at_ms", Value::TimeMs(1));
            filled.with("audit_id", text(id)).with("number", Value::Integer(number))
        };
        let attempts = vec![attempt("a", 11), attempt("a1", 1), attempt("a", 1), attempt("a", 11)];
        let inserted = store.insert(&AUDIT_LOG_ATTEMPTS, attempts).await;
        assert_eq!(inserted, Ok(3), "{engine}");
    });
}

#[test]
fn a_batch_of_more_parameters_than_one_statement_takes_is_written_whole() {
    on_every_engine(async |store, engine| {
        let many: Vec<Row> = (0..900).map(|number| usage(number, "/", None, &[], Some(1))).collect();
        assert_eq!(store.insert(&USAGE, many.clone()).await, Ok(900), "{engine}");
        assert_eq!(store.insert(&USAGE, many).await, Ok(0), "{engine}");
    });
}

#[test]
fn rows_of_one_batch_may_each_lack_something_else() {
    on_every_engine(async |store, engine| {
        let gap = |number: i64| {
            let model = (number % 3 != 0).then_some("m");
            let cost = (number % 5 != 0).then_some(i128::from(number));
            usage(number, "/", model, &[], cost).with("provider", Value::Null)
        };
        let rows: Vec<Row> = (1_000..1_075).map(gap).collect();
        assert_eq!(store.insert(&USAGE, rows.clone()).await, Ok(75), "{engine}");
        let found = store.select(Select::new(&USAGE, Filter::all(), 100)).await;
        assert_eq!(found.as_deref(), Ok(&rows[..]), "{engine}");
        // Some of a statement's rows are there already.
        let more: Vec<Row> = (1_060..1_100).map(gap).collect();
        assert_eq!(store.insert(&USAGE, more).await, Ok(25), "{engine}");
    });
}

fn limit(subject: &str, requests: i64) -> Row {
    let filled = row(&RATE_LIMITS, text).with("subject", text(subject));
    let filled = filled.with("created_at_ms", Value::TimeMs(1)).with("updated_at_ms", Value::TimeMs(1));
    filled.with("requests_max", Value::Integer(requests))
}

#[test]
fn objects_are_replaced_updated_and_deleted() {
    on_every_engine(async |store, engine| {
        let all = || Select::new(&RATE_LIMITS, Filter::all(), 100);
        store
            .replace(&RATE_LIMITS, vec![limit("a", 1), limit("b", 2), limit("a", 3)])
            .await
            .expect("a replace");
        let kept = store.select(all()).await;
        assert_eq!(kept, Ok(vec![limit("a", 3), limit("b", 2)]), "{engine}");
        let replaced = limit("b", 4).with("extra", Value::Json("{\"a\" : 1.0}".to_owned()));
        store.replace(&RATE_LIMITS, vec![replaced.clone()]).await.expect("a replace");
        assert_eq!(store.select(all()).await, Ok(vec![limit("a", 3), replaced]), "{engine}");

        let subject = |subject| Filter::all().equal("subject", text(subject));
        let change = vec![("requests_max", Value::Null), ("tokens_max", Value::Integer(9))];
        assert_eq!(store.update(&RATE_LIMITS, subject("b"), change).await, Ok(1), "{engine}");
        let one = &store.select(Select::new(&RATE_LIMITS, subject("b"), 1)).await.expect("a select")[0];
        assert_eq!((one.get("requests_max"), one.get("tokens_max")), (&Value::Null, &Value::Integer(9)));
        assert_eq!(store.update(&RATE_LIMITS, subject("c"), vec![("extra", Value::Null)]).await, Ok(0));
        assert_eq!(store.update(&RATE_LIMITS, Filter::all(), vec![("tokens_max", Value::Null)]).await, Ok(2));
        assert_eq!(store.delete(&RATE_LIMITS, subject("a")).await, Ok(1), "{engine}");
        assert_eq!(store.delete(&RATE_LIMITS, Filter::all()).await, Ok(1), "{engine}");
        assert_eq!(store.select(all()).await, Ok(vec![]), "{engine}");
    });
}

#[test]
fn sums_are_exact_beyond_64_bits_and_say_how_much_is_known() {
    const MOST: i128 = i64::MAX as i128;
    on_every_engine(async |store, engine| {
        let costs =
            [Some(MOST), Some(MOST), Some(MOST - 1), None, Some(-3), Some(-1 - MOST), Some(1 << 53 | 1)];
        let rows = costs.iter().enumerate().map(|(number, cost)| {
            let path = if number < 4 { "/a" } else { "/b" };
            usage(number as i64, path, (number < 5).then_some("m"), &[], *cost)
        });
        store.insert(&USAGE, rows.collect::<Vec<_>>()).await.expect("an insert");
        let summarise = async |filter: Filter, by: &[By], limit: usize| {
            let summary = Summary::new(&USAGE, filter, by, &["total_cost", "cache_read"], limit);
            let mut groups = store.summarise(summary).await.expect("a summary");
            groups.groups.sort_by_key(|group| format!("{:?}", group.by));
            groups
        };
        let sum = |total, known| Sum { total, known };
        let (a, b) = ((3 * MOST - 1, 3), (-4 - MOST + (1 << 53 | 1), 3));

        let whole = summarise(Filter::all(), &[], 1).await;
        let want = Group { by: vec![], rows: 7, sums: vec![sum(a.0 + b.0, 6), sum(18, 6)] };
        assert_eq!((whole.groups, whole.is_cut), (vec![want], false), "{engine}");

        let by = [By::Column("user_path"), By::Column("model")];
        let of = |path: &str, model: Option<&str>, rows, cost, read| Group {
            by: vec![text(path), Value::maybe(model, Value::text)],
            rows,
            sums: vec![cost, read],
        };
        let want = vec![
            of("/a", Some("m"), 4, sum(a.0, a.1), sum(3, 3)),
            of("/b", None, 2, sum(b.0 + 3, 2), sum(11, 2)),
            of("/b", Some("m"), 1, sum(-3, 1), sum(4, 1)),
        ];
        let groups = summarise(Filter::all(), &by, 3).await;
        assert_eq!((groups.groups, groups.is_cut), (want, false), "{engine}");
        let groups = summarise(Filter::all(), &by, 2).await;
        assert_eq!((groups.groups.len(), groups.is_cut), (2, true), "{engine}");

        let spans = [By::Span { column: "at_ms", width_ms: 4_000 }];
        let groups = summarise(Filter::all(), &spans, 10).await.groups;
        let spans: Vec<_> = groups.iter().map(|group| (group.by[0].clone(), group.rows)).collect();
        assert_eq!(spans, [(Value::TimeMs(0), 4), (Value::TimeMs(4_000), 3)], "{engine}");

        let none = summarise(Filter::all().equal("model", text("none")), &[], 1).await;
        let want = Group { by: vec![], rows: 0, sums: vec![sum(0, 0); 2] };
        assert_eq!(none.groups, [want], "{engine}");
    });
}

#[test]
fn old_rows_are_swept_in_steps_and_rows_without_a_time_stay() {
    let object = |number: i64, expires: Option<i64>| {
        let filled = row(&STORED_OBJECTS, |_| text("x")).with("data", Value::Json("{}".to_owned()));
        let filled = filled.with("created_at_ms", Value::TimeMs(1)).with("id", text(&number.to_string()));
        filled.with("expires_at_ms", Value::maybe(expires, Value::TimeMs))
    };
    on_every_engine(async |store, engine| {
        let objects = [Some(9), Some(1), None, Some(10), Some(5), Some(3)];
        let objects = objects.iter().enumerate().map(|(number, expires)| object(number as i64, *expires));
        store.insert(&STORED_OBJECTS, objects.collect::<Vec<_>>()).await.expect("an insert");
        let left = async || {
            let rows =
                store.select(Select::new(&STORED_OBJECTS, Filter::all(), 100)).await.expect("a select");
            rows.iter().map(|row| row.get("id").as_text().expect("an id").to_owned()).collect::<String>()
        };
        let sweep = async |before_ms, rows_max| store.sweep(&STORED_OBJECTS, before_ms, rows_max).await;
        assert_eq!((sweep(10, 0).await, left().await), (Ok(0), "012345".to_owned()), "{engine}");
        assert_eq!((sweep(10, 2).await, left().await), (Ok(2), "0234".to_owned()), "{engine}");
        assert_eq!((sweep(10, 9).await, left().await), (Ok(2), "23".to_owned()), "{engine}");
        assert_eq!((sweep(10, 9).await, left().await), (Ok(0), "23".to_owned()), "{engine}");
        assert_eq!(store.sweep(&RATE_LIMITS, i64::MAX, 9).await, Ok(0), "{engine}");
    });
}

#[test]
fn what_does_not_fit_is_refused_alike_and_nothing_of_it_is_written() {
    let kind = |result: Result<u64, ringway::offload::store::StoreError>| result.map_err(|error| error.kind);
    on_every_engine(async |store, engine| {
        let rows = rows();
        let wrong = [
            rows[0].clone().with("user_path", Value::Null),
            rows[0].clone().with("model", Value::Integer(1)),
            rows[0].clone().with("total_cost", Value::Money(Pico(1 + i128::from(i64::MAX)))),
            rows[0].clone().with("user_path", text(&"a".repeat(513))),
        ];
        for wrong in wrong {
            let batch = vec![rows[1].clone(), wrong];
            assert_eq!(kind(store.insert(&USAGE, batch).await), Err(ErrorKind::Unfit), "{engine}");
        }
        assert_eq!(store.select(Select::new(&USAGE, Filter::all(), 9)).await, Ok(vec![]), "{engine}");
        let key = |id: &str, hash: &str| {
            let filled = row(&AUTH_KEYS, |_| text("x")).with("id", text(id)).with("secret_hash", text(hash));
            let filled = filled.with("is_enabled", Value::Flag(true));
            filled.with("created_at_ms", Value::TimeMs(1)).with("updated_at_ms", Value::TimeMs(1))
        };
        assert_eq!(store.insert(&AUTH_KEYS, vec![key("a", "1")]).await, Ok(1), "{engine}");
        let taken = store.insert(&AUTH_KEYS, vec![key("b", "1")]).await.expect_err("a taken hash");
        assert_eq!(taken.kind, ErrorKind::Conflict, "{engine}");
        assert!(!taken.to_string().contains("\"1\""), "{taken}");
        let both = store.insert(&AUTH_KEYS, vec![key("a", "1"), key("c", "2")]).await;
        assert_eq!(both, Ok(1), "{engine}");
    });
}
