//! A question that is asked again and again, over times that go on, is answered out of what packs came to before.

use super::*;

const BY: [By; 3] = [By::Column("auth_key_id"), By::Column("labels"), By::Column("model")];

/// Behind all exchanges.
const LAST_MS: u64 = START_MS + 11_000_000;

/// Exchanges of the last half hour, of which everything is kept that comes to anything.
fn recent() -> Vec<Known> {
    exchanges(600, 8).into_iter().filter(|known| known.at_ms > START_MS + 9_200_000).collect()
}

/// The costs alone are added up in another way.
const SUMS: [&[&str]; 2] = [&["total_cost", "input_uncached"], &["total_cost"]];

fn question(from_ms: u64, to_ms: u64, limit: usize) -> Summary {
    question_of(SUMS[0], from_ms, to_ms, limit)
}

fn question_of(sums: &[&'static str], from_ms: u64, to_ms: u64, limit: usize) -> Summary {
    let filter = Filter::all().between_ms("at_ms", from_ms as i64, to_ms as i64);
    Summary::new(&tables::USAGE, filter, &BY, sums, limit)
}

/// What packs and rows answer, which must be the same.
async fn same(files: &[File; 2], sums: &[&'static str], from_ms: u64, to_ms: u64) -> Groups {
    let question = || question_of(sums, from_ms, to_ms, 1_000);
    let want = files[0].store.summarise(question()).await.expect("sums");
    let got = files[1].store.summarise(question().asked_again()).await.expect("sums");
    assert_eq!(sorted(&want), sorted(&got), "from {from_ms} to {to_ms}");
    got
}

#[test]
fn sums_over_times_that_go_on_are_those_of_rows() {
    SUMS.iter().for_each(|sums| run(sums_are_those_of_rows(sums)));
}

async fn sums_are_those_of_rows(sums: &[&'static str]) {
    let all = exchanges(400, 5);
    let files = twins("again", &all[..250]).await;
    let mut dice = Dice(3);
    let mut rest = &all[250..];
    let mut rows = 0;
    for turn in 0..60 {
        // Ends that some exchanges have exactly, on all sides of others.
        let from_ms = START_MS + 7_200_000 + dice.roll(3_000) as u64 * 1_000 + dice.roll(3) as u64;
        let to_ms = from_ms + dice.roll(1_500) as u64 * 1_000 + dice.roll(3) as u64;
        for (from_ms, to_ms) in [(from_ms, to_ms), (from_ms, to_ms + 60_000), (START_MS, LAST_MS)] {
            rows += same(&files, sums, from_ms, to_ms).await.groups.len();
        }
        if turn % 6 == 0 {
            let (batch, behind) = rest.split_at(15.min(rest.len()));
            rest = behind;
            store_rows(&files[0].store, batch, News::Sure).await;
            store_packs(&files[1].store, batch).await;
        }
        if turn == 31 {
            let of_key = Filter::all().equal("auth_key_id", Value::text("key-a"));
            for file in &files {
                let cost = vec![("total_cost", Value::Money(Pico(7)))];
                let changed = file.store.update(&tables::USAGE, of_key.clone(), cost).await;
                assert!(changed.expect("an update") > 10);
            }
        }
    }
    assert!(rest.is_empty() && rows > 1_000, "{rows}");
}

#[test]
fn a_pack_that_was_asked_about_is_not_read_again_for_the_same_question() {
    run(async {
        let file = File::open("kept").await;
        store_packs(&file.store, &recent()).await;
        let (from_ms, to_ms) = (START_MS, LAST_MS);
        let ask = |limit| file.store.summarise(question(from_ms, to_ms, limit).asked_again());
        let first = ask(1_000).await.expect("sums");
        let packs = file.count("record_packs");
        let damage = "UPDATE ringway_record_packs SET data = zeroblob(99)";
        assert_eq!(file.connection().execute(damage, []).ok(), usize::try_from(packs).ok());
        assert_eq!(sorted(&ask(1_000).await.expect("sums that are known")), sorted(&first));
        assert!(ask(2).await.expect("groups").is_cut, "there are more than two");
        let once = file.store.summarise(question(from_ms, to_ms, 1_000)).await;
        assert_eq!(once.unwrap_err().kind, ErrorKind::Broken, "who asks once looks for himself");
        let other = Summary::new(&tables::USAGE, Filter::all(), &BY[..1], &["total_cost"], 1_000);
        let other = file.store.summarise(other.asked_again()).await;
        assert_eq!(other.unwrap_err().kind, ErrorKind::Broken, "another question knows nothing");
        assert_eq!(
            ask(1_000).await.unwrap_err().kind,
            ErrorKind::Broken,
            "and has taken the place of the first"
        );
    });
}

#[test]
fn what_is_left_behind_is_forgotten() {
    run(async {
        let file = File::open("left").await;
        store_packs(&file.store, &recent()).await;
        let ask = |from_ms, to_ms| file.store.summarise(question(from_ms, to_ms, 1_000).asked_again());
        let first = ask(START_MS, LAST_MS).await.expect("sums");
        assert!(first.groups.len() > 10);
        ask(LAST_MS, LAST_MS + 3_600_000).await.expect("none");
        let damaged = file.connection().execute("UPDATE ringway_record_packs SET data = zeroblob(9)", []);
        assert!(damaged.is_ok_and(|count| count > 2));
        assert_eq!(ask(START_MS, LAST_MS).await.unwrap_err().kind, ErrorKind::Broken);
    });
}
