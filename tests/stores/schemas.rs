//! Stores of earlier and of later versions.

use ringway::offload::store::{
    Column, ErrorKind, Filter, Index, Kind, Row, Schema, Select, Store, Table, Uniqueness, Upgrade, Value,
};

use crate::world::{open, with_every_place};

const ID: Column = Column { name: "id", kind: Kind::Text, is_nullable: false, since: 1 };
const NOTE: Column = Column { name: "note", kind: Kind::Text, is_nullable: true, since: 1 };
const COST: Column = Column { name: "cost", kind: Kind::Money, is_nullable: true, since: 2 };

const fn index(name: &'static str, columns: &'static [&'static str], since: u32) -> Index {
    Index { name, columns, uniqueness: Uniqueness::Repeating, is_sparse: false, since }
}

const THINGS_1: Table = Table {
    name: "things",
    columns: &[ID, NOTE],
    key: &["id"],
    indexes: &[index("note", &["note"], 1)],
    swept_by: None,
    since: 1,
};
const THINGS_2: Table = Table {
    columns: &[ID, NOTE, COST],
    indexes: &[index("note", &["note"], 1), index("cost", &["cost"], 2)],
    ..THINGS_1
};
const LATER: Table = Table {
    name: "later",
    columns: &[Column { since: 2, ..ID }],
    key: &["id"],
    indexes: &[],
    swept_by: None,
    since: 2,
};

const FIRST: Schema = Schema { version: 1, tables: &[&THINGS_1] };
const SECOND: Schema = Schema { version: 2, tables: &[&THINGS_2, &LATER] };

fn thing(table: &'static Table, id: &str) -> Row {
    Row::new(table).with("id", Value::text(id)).with("note", Value::text("n"))
}

#[test]
fn a_store_of_the_first_version_is_brought_forward_with_all_that_is_in_it() {
    with_every_place(async |storage, engine| {
        let first = open(storage, &FIRST).await;
        first.insert(&THINGS_1, vec![thing(&THINGS_1, "a")]).await.expect("an insert");
        let second = open(storage, &SECOND).await;
        let cost = Value::Money(ringway::base::money::Pico(7));
        let new = vec![thing(&THINGS_2, "b").with("cost", cost.clone())];
        assert_eq!(second.insert(&THINGS_2, new).await, Ok(1), "{engine}");
        let rows = second.select(Select::new(&THINGS_2, Filter::all(), 9)).await.expect("a select");
        assert_eq!(rows, [thing(&THINGS_2, "a"), thing(&THINGS_2, "b").with("cost", cost)], "{engine}");
        second.insert(&LATER, vec![Row::new(&LATER).with("id", Value::text("l"))]).await.expect("an insert");
        // A process of the first version that is still running goes on.
        assert_eq!(first.insert(&THINGS_1, vec![thing(&THINGS_1, "c")]).await, Ok(1), "{engine}");
        assert_eq!(open(storage, &SECOND).await.delete(&THINGS_2, Filter::all()).await, Ok(3), "{engine}");
    });
}

#[test]
fn a_store_from_the_future_is_refused_by_name_of_both_versions_and_left_alone() {
    with_every_place(async |storage, engine| {
        let second = open(storage, &SECOND).await;
        second.insert(&THINGS_2, vec![thing(&THINGS_2, "a")]).await.expect("an insert");
        for upgrade in [Upgrade::Forward, Upgrade::Never] {
            let error = Store::open(storage, &FIRST, upgrade).await.err().expect("a refusal");
            assert_eq!(error.kind, ErrorKind::OtherVersion, "{engine}");
            let text = error.to_string();
            assert!(text.contains("has version 2") && text.contains("up to 1"), "{engine}: {text}");
        }
        assert_eq!(second.delete(&THINGS_2, Filter::all()).await, Ok(1), "{engine}");
    });
}

#[test]
fn who_only_reads_brings_nothing_forward() {
    with_every_place(async |storage, engine| {
        let missing = Store::open(storage, &FIRST, Upgrade::Never).await.err().expect("a refusal");
        let kinds = [ErrorKind::OtherVersion, ErrorKind::Down];
        assert!(kinds.contains(&missing.kind), "{engine}: {missing}");
        let first = open(storage, &FIRST).await;
        let older = Store::open(storage, &SECOND, Upgrade::Never).await.err().expect("a refusal");
        assert_eq!(older.kind, ErrorKind::OtherVersion, "{engine}");
        let reader = Store::open(storage, &FIRST, Upgrade::Never).await.expect("it is of this version");
        first.insert(&THINGS_1, vec![thing(&THINGS_1, "a")]).await.expect("an insert");
        let found = reader.select(Select::new(&THINGS_1, Filter::all(), 9)).await;
        assert_eq!(found, Ok(vec![thing(&THINGS_1, "a")]), "{engine}");
    });
}

#[test]
fn several_processes_may_open_a_new_store_at_once() {
    with_every_place(async |storage, engine| {
        let all: Vec<_> = (0..4)
            .map(|_| {
                let storage = storage.clone();
                std::thread::spawn(move || {
                    crate::world::run(async {
                        Store::open(&storage, &SECOND, Upgrade::Forward).await.map(drop)
                    })
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.join().expect("it does not panic"), Ok(()), "{engine}");
        }
        let store = open(storage, &SECOND).await;
        assert_eq!(store.insert(&THINGS_2, vec![thing(&THINGS_2, "a")]).await, Ok(1), "{engine}");
    });
}
