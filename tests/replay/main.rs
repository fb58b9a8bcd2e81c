//! Recorded answers of providers, replayed to clients of the other dialects. Everything is read twice: by the gateway, and by
//! plain readers of this test that share no line with it.
//!
//! Recordings are used where they lie beside the project; the cases in `cases.rs` are always there.
#![allow(clippy::disallowed_methods, reason = "a test reads recordings and writes its report")]

mod cases;
mod check;
mod compare;
mod drive;
mod export;
mod framing;
mod inflate;
mod read_chat;
mod read_converse;
mod read_gemini;
mod read_messages;
mod read_responses;
mod report;
mod rules;
mod rules_responses;
mod said;
mod shelf;
mod signatures;
mod watch;
mod yaml;

use report::Report;

#[test]
fn answers_of_our_own_reach_every_client_as_they_were_meant() {
    let cases = cases::all();
    assert!(cases.len() >= 12, "{} cases", cases.len());
    let mut report = Report::default();
    cases.into_iter().for_each(|case| report.replay(Ok(case)));
    println!("{}", report.text());
    assert_eq!(report.failures(), Vec::<String>::new());
}

#[test]
fn recorded_answers_reach_every_client_as_they_were_meant() {
    let mut report = Report::default();
    shelf::recordings().into_iter().for_each(|found| report.replay(found));
    let text = report.text();
    println!("{text}");
    let folder = format!("{}/target", env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir_all(&folder).expect("a place for the report");
    std::fs::write(format!("{folder}/replay-report.txt"), text).expect("the report");
    let failures = report.failures();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn what_sdks_must_understand_is_written_down() {
    let recorded = shelf::recordings().into_iter().flatten();
    let folder = format!("{}/target/recordings", env!("CARGO_MANIFEST_DIR"));
    let count = export::write(&folder, cases::all().into_iter().chain(recorded)).expect("files");
    assert!(count >= cases::all().len());
}
