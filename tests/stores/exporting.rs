//! Exports: from every engine, and by the command.

use std::process::Command;

use ringway::base::money::Pico;
use ringway::config::Engine;
use ringway::offload::store::tables::{SCHEMA, USAGE};
use ringway::offload::store::{ExportFormat, Row, Value, export};

use crate::world::{new_file, on_every_engine, open, remove, row, run, storage};

fn usage(number: i64) -> Row {
    // Many rows with the same time, more than a page of them.
    row(&USAGE, |name| Value::text(name))
        .with("id", Value::text(format!("{number:05}")))
        .with("at_ms", Value::TimeMs(1_000 + number / 700))
        .with("model", Value::text("a,\"b\"\n"))
        .with("total_cost", Value::Money(Pico(1_500_000)))
}

#[test]
fn an_export_writes_every_row_of_its_time_once_and_in_order() {
    on_every_engine(async |store, engine| {
        store.insert(&USAGE, (0..1_500).rev().map(usage).collect::<Vec<_>>()).await.expect("an insert");
        let mut out = Vec::new();
        let count = export(store, &USAGE, (1_000, 1_002), ExportFormat::JsonLines, &mut out).await;
        assert_eq!(count.expect("an export"), 1_400, "{engine}");
        let text = String::from_utf8(out).expect("UTF-8");
        let ids: Vec<String> = text
            .lines()
            .map(|line| {
                let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!((&row["model"], &row["total_cost"]), (&"a,\"b\"\n".into(), &"0.0000015".into()));
                assert_eq!(row["cache_read"], serde_json::Value::Null);
                row["id"].as_str().expect("an id").to_owned()
            })
            .collect();
        assert_eq!(ids, (0..1_400).map(|number| format!("{number:05}")).collect::<Vec<_>>(), "{engine}");
    });
}

#[test]
fn the_command_writes_what_the_settings_name_and_makes_nothing() {
    let path = new_file();
    let export = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        command.args(["export"]).args(args).env_clear().env("SQLITE_PATH", &path);
        let output = command.output().expect("the binary starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, said) = export(&["usage"]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("the store cannot be reached") && !path.exists(), "{said}");

    run(async {
        let store = open(&storage(Engine::Sqlite { path: path.clone() }), &SCHEMA).await;
        store.insert(&USAGE, vec![usage(1), usage(2)]).await.expect("an insert");
    });
    let (code, out, said) = export(&["usage", "--from", "1970-01-01", "--format", "csv"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.starts_with("id,at_ms,") && out.contains("\r\n00002,1000,"), "{out}");
    assert!(said.contains("2 records written"), "{said}");
    let (code, out, _) = export(&["usage", "--to", "1970-01-01T00:00:01Z"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    let (code, _, said) = export(&["audit", "--from", "soon"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--from `soon` is no time"), "{said}");
    remove(&path);
}
