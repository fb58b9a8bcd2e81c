//! Requests against accounts: all or nothing, exact under threads, told in words.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::hold::{Ask, Budgets, Hold, Used};
use super::super::key::{KeyFields, KeyId, Proof};
use super::super::rejected::Rejected;
use super::*;
use crate::base::Pico;
use crate::base::money::PICO_PER_DOLLAR;
use crate::identity::{Measure, Period, Strength};

/// 2026-11-26 10:00:00 UTC, a Thursday.
const NOW_MS: u64 = 1_795_687_200_000;
const MINUTE: Period = Period::Seconds(60);

fn path(text: &str) -> UserPath {
    UserPath::new(text).unwrap()
}

fn at(place: &str, measure: Measure, max: u128) -> Allowance {
    Allowance::hard(Subject::Path(path(place)), measure, max)
}

fn dollars(text: &str) -> u128 {
    Pico::from_dollars(text).unwrap().0 as u128
}

fn ask(tokens: u64, cost: &str) -> Ask {
    Ask { requests: 1, tokens, cost: Pico::from_dollars(cost), budgets: Budgets::Hold }
}

fn used(tokens: u64, cost: &str) -> Used {
    Used { tokens: Some(tokens), cost: Pico::from_dollars(cost) }
}

fn book(allowances: &[Allowance]) -> Book {
    Book::new(allowances, Calendar::default(), None)
}

fn admit(book: &Book, place: &str, now_ms: u64, ask: Ask) -> Result<Hold, Rejected> {
    book.of_caller(None, &path(place), &[]).admit(now_ms, ask)
}

fn used_of(book: &Book, id: &str, now_ms: u64) -> (u128, u128) {
    let account = book.accounts().find(|account| &*account.id == id).expect(id);
    let standing = account.standing(now_ms);
    (standing.taken, standing.used)
}

#[test]
fn a_request_is_held_against_its_key_its_paths_its_labels_and_its_target() {
    let all = [
        at("/", Measure::Requests(MINUTE), 1),
        at("/team", Measure::Requests(MINUTE), 1),
        at("/team/x", Measure::Requests(MINUTE), 1),
        at("/other", Measure::Requests(MINUTE), 1),
        Allowance::hard(Subject::Label("red".into()), Measure::Requests(MINUTE), 1),
        Allowance::hard(Subject::Label("blue".into()), Measure::Requests(MINUTE), 1),
        Allowance::hard(Subject::Provider("p".into()), Measure::Requests(MINUTE), 1),
        Allowance::hard(Subject::Model("m".into()), Measure::Requests(MINUTE), 1),
        Allowance::hard(Subject::Model("p/m".into()), Measure::Requests(MINUTE), 1),
        Allowance::hard(Subject::Model("q/m".into()), Measure::Requests(MINUTE), 1),
    ];
    let book = book(&all);
    let own = Allowance::hard(Subject::Label("ignored".into()), Measure::Concurrent, 1);
    let fields = KeyFields { allowances: vec![own], ..KeyFields::default() };
    let id = KeyId::new("0123456789ab").unwrap();
    let key = Key::new(id, Proof::of_whole(b"k"), fields, book.calendar(), None);
    let check = |key: Option<&Key>, place: &str, labels: &[&str], target, want: &[&str]| {
        let applicable = book.applicable(key, &path(place), labels, target);
        let ids: Vec<&str> = applicable.accounts().iter().map(|account| &*account.id).collect();
        let want: Vec<String> = want
            .iter()
            .map(|id| if id.starts_with("key") { (*id).to_owned() } else { format!("{id}:requests:60s") })
            .collect();
        assert_eq!(ids, want, "{place} {labels:?} {target:?}");
    };
    check(None, "/", &[], None, &["path:/"]);
    check(
        None,
        "/team/x/y",
        &["red", "red", "green"],
        None,
        &["path:/team/x", "path:/team", "path:/", "label:red"],
    );
    check(Some(&key), "/", &[], None, &["key:0123456789ab:concurrent", "path:/"]);
    check(None, "/", &[], Some(("p", "m")), &["path:/", "provider:p", "model:m", "model:p/m"]);
    check(None, "/", &[], Some(("r", "n")), &["path:/"]);
    assert_eq!(book.of_target("q", "m").accounts().len(), 2);
}

#[test]
fn all_accounts_take_a_request_or_none_does() {
    let book = book(&[
        at("/", Measure::Cost(Period::Day), dollars("1")),
        at("/team", Measure::Tokens(MINUTE), 100),
        at("/team/x", Measure::Requests(MINUTE), 10),
        at("/team/x", Measure::Concurrent, 10),
    ]);
    let refused = admit(&book, "/team/x", NOW_MS, ask(50, "1.5")).unwrap_err();
    assert_eq!((&*refused.account.id, refused.retry_after_s), ("path:/:cost:daily", None));
    let ids = [
        "path:/:cost:daily",
        "path:/team:tokens:60s",
        "path:/team/x:requests:60s",
        "path:/team/x:concurrent",
    ];
    for id in ids {
        assert_eq!(used_of(&book, id, NOW_MS), (0, 0), "{id}: nothing was taken");
    }
    let hold = admit(&book, "/team/x", NOW_MS, ask(50, "0.5")).unwrap();
    assert_eq!(used_of(&book, ids[0], NOW_MS), (dollars("0.5"), 0));
    assert_eq!(used_of(&book, ids[3], NOW_MS), (1, 1));
    hold.settle(used(20, "0.125"));
    let want = [(dollars("0.125"), dollars("0.125")), (20, 20), (1, 1), (0, 0)];
    assert_eq!(ids.map(|id| used_of(&book, id, NOW_MS)), want);
    drop(admit(&book, "/team/x", NOW_MS, ask(50, "0.5")).unwrap());
    let want = [(dollars("0.125"), dollars("0.125")), (20, 20), (2, 2), (0, 0)];
    assert_eq!(ids.map(|id| used_of(&book, id, NOW_MS)), want, "dropped: the request was made all the same");
}

#[test]
fn what_nobody_stated_counts_as_it_was_reserved_and_what_has_no_price_not_at_all() {
    let book =
        book(&[at("/", Measure::Cost(Period::Day), dollars("1")), at("/", Measure::Tokens(MINUTE), 100)]);
    let _ = admit(&book, "/", NOW_MS, ask(60, "0.75")).unwrap().settle(Used::default());
    assert_eq!(used_of(&book, "path:/:tokens:60s", NOW_MS), (60, 60));
    assert_eq!(used_of(&book, "path:/:cost:daily", NOW_MS), (dollars("0.75"), dollars("0.75")));
    let unpriced = Ask { cost: None, ..ask(10, "0") };
    admit(&book, "/", NOW_MS, unpriced).unwrap().settle(Used { tokens: Some(10), cost: None });
    assert_eq!(used_of(&book, "path:/:cost:daily", NOW_MS).1, dollars("0.75"));
    admit(&book, "/", NOW_MS, ask(10, "0.1")).unwrap().settle(used(10, "-5"));
    assert_eq!(
        used_of(&book, "path:/:cost:daily", NOW_MS).1,
        dollars("0.75"),
        "no budget grows by a correction"
    );
}

#[test]
fn a_request_settles_in_the_window_in_which_it_was_admitted() {
    let book = book(&[at("/", Measure::Tokens(MINUTE), 100)]);
    let late = admit(&book, "/", NOW_MS + 59_000, ask(80, "0")).unwrap();
    let next = admit(&book, "/", NOW_MS + 60_000, ask(90, "0")).unwrap();
    late.settle(used(10, "0"));
    assert_eq!(used_of(&book, "path:/:tokens:60s", NOW_MS + 60_000), (90, 0));
    next.settle(used(120, "0"));
    assert_eq!(
        used_of(&book, "path:/:tokens:60s", NOW_MS + 60_000),
        (120, 120),
        "more than was reserved is counted"
    );
    assert!(admit(&book, "/", NOW_MS + 61_000, ask(1, "0")).is_err());
}

#[test]
fn a_refusal_names_whose_limit_it_was_and_when_to_come_back() {
    let check = |allowance: Allowance,
                 now_ms: u64,
                 asked: Ask,
                 code: &str,
                 after: Option<u32>,
                 sentence: &str| {
        let book = book(&[allowance]);
        let taken = ask(1, "0.75");
        let applicable = book.applicable(None, &path("/team"), &["red"], Some(("p", "m")));
        let held = applicable.admit(now_ms, taken).unwrap();
        let refusal = applicable.admit(now_ms, asked).unwrap_err().refusal();
        drop(held);
        assert_eq!((refusal.status, refusal.code, refusal.retry_after_s), (429, code, after), "{sentence}");
        assert_eq!(refusal.message, sentence);
    };
    let (minute, limit, budget) = (Measure::Requests(MINUTE), "rate_limit_exceeded", "budget_exceeded");
    let sentence = "The limit of the user path /team is reached: 1 requests, 60s.";
    check(at("/team", minute, 1), NOW_MS, ask(1, "0"), limit, Some(60), sentence);
    check(at("/team", minute, 1), NOW_MS + 59_001, ask(1, "0"), limit, Some(1), sentence);
    check(at("/team", minute, 1), NOW_MS + 58_001, ask(1, "0"), limit, Some(2), sentence);
    let sentence = "The limit of the provider p is reached: 1 requests at a time.";
    let concurrent = Allowance::hard(Subject::Provider("p".into()), Measure::Concurrent, 1);
    check(concurrent, NOW_MS, ask(1, "0"), limit, Some(1), sentence);
    let sentence = "The budget of the label red is used up: 1 US dollars, daily, of which 0.75 US dollars are spent or \
                    reserved.";
    let label = Allowance::hard(Subject::Label("red".into()), Measure::Cost(Period::Day), dollars("1"));
    check(label, NOW_MS, ask(1, "0.5"), budget, Some(14 * 3600), sentence);
    let sentence = "The request may take 7 tokens, more than the whole limit of the model m: 5 tokens, 60s.";
    let model = Allowance::hard(Subject::Model("m".into()), Measure::Tokens(MINUTE), 5);
    check(model, NOW_MS, ask(7, "0"), limit, None, sentence);
}

#[test]
fn of_several_full_accounts_the_longest_wait_is_told() {
    let book =
        book(&[at("/", Measure::Requests(MINUTE), 1), at("/", Measure::Requests(Period::Seconds(3600)), 1)]);
    let _ = admit(&book, "/", NOW_MS, ask(1, "0")).unwrap();
    let rejected = admit(&book, "/", NOW_MS + 1_000, ask(1, "0")).unwrap_err();
    assert_eq!(rejected.retry_after_s, Some(3_599));
    assert!(admit(&book, "/", NOW_MS + 3_600_000, ask(1, "0")).is_ok(), "and then it is let in");
}

#[test]
fn a_budget_may_name_another_model() {
    let mut budget = at("/", Measure::Cost(Period::Day), dollars("1"));
    budget.instead = Some("cheap".into());
    let (limit, other) =
        (at("/", Measure::Requests(MINUTE), 1), at("/", Measure::Cost(Period::Hour), dollars("1")));
    let instead = |allowances: &[Allowance]| {
        let book = book(allowances);
        let _ = admit(&book, "/", NOW_MS, ask(1, "0.5")).unwrap();
        let name = admit(&book, "/", NOW_MS, ask(1, "2")).unwrap_err().instead().map(|name| name.to_string());
        // The model in its place is held to all but the budgets that name one.
        let on_it = admit(&book, "/", NOW_MS, Ask { budgets: Budgets::Instead, ..ask(1, "2") });
        (name, on_it.map(drop).is_ok())
    };
    let cheap = Some("cheap".to_owned());
    assert_eq!(instead(&[budget.clone()]), (cheap, true));
    assert_eq!(instead(&[budget.clone(), limit]), (None, false), "a limit is reached as well");
    assert_eq!(instead(&[budget.clone(), other]), (None, false), "another budget names none");
    let book = book(&[budget]);
    let on_it = admit(&book, "/", NOW_MS, Ask { budgets: Budgets::Instead, ..ask(1, "2") }).unwrap();
    let _ = on_it.settle(used(1, "2"));
    assert_eq!(used_of(&book, "path:/:cost:daily", NOW_MS).1, dollars("2"), "what it costs is counted");
    let counted = Ask { budgets: Budgets::Count, ..ask(1, "2") };
    assert!(admit(&book, "/", NOW_MS, counted).is_ok(), "and no budget refuses what is only counted");
}

#[test]
fn a_soft_budget_tells_once_and_refuses_nobody() {
    let mut soft = at("/", Measure::Cost(Period::Day), dollars("1"));
    soft.strength = Strength::Soft;
    let book = book(&[soft]);
    let told: Vec<usize> = (0..5)
        .map(|_| admit(&book, "/", NOW_MS, ask(1, "9")).unwrap().settle(used(1, "0.5")).len())
        .collect();
    assert_eq!(told, [0, 0, 1, 0, 0]);
    let tomorrow = NOW_MS + 86_400_000;
    let hold = admit(&book, "/", tomorrow, ask(1, "9")).unwrap();
    assert_eq!(hold.settle(used(1, "3")).len(), 1, "and again in the next window");
}

#[test]
fn another_book_goes_on_counting_and_a_reset_begins_anew() {
    let (limit, budget) =
        (at("/", Measure::Requests(MINUTE), 2), at("/", Measure::Cost(Period::Day), dollars("1")));
    let first = book(&[limit.clone(), budget.clone()]);
    let hold = admit(&first, "/", NOW_MS, ask(1, "0.5")).unwrap();
    let more = Allowance { max: 3, ..limit };
    let second = Book::new(&[more.clone(), more.clone(), budget.clone()], Calendar::default(), Some(&first));
    assert_eq!(second.accounts().count(), 2, "one id, one account");
    hold.settle(used(1, "0.25"));
    assert_eq!(
        used_of(&second, "path:/:cost:daily", NOW_MS).1,
        dollars("0.25"),
        "settled through the book before"
    );
    let _ = (admit(&second, "/", NOW_MS, ask(1, "0")), admit(&second, "/", NOW_MS, ask(1, "0")));
    assert!(
        admit(&second, "/", NOW_MS, ask(1, "0")).is_err(),
        "three of three, one of them in the book before"
    );
    let third = Book::new(&[budget], Calendar::default(), Some(&second));
    third.accounts().for_each(|account| account.reset());
    assert_eq!(used_of(&third, "path:/:cost:daily", NOW_MS), (0, 0));
}

#[test]
fn another_calendar_finds_its_own_window() {
    let budget = at("/", Measure::Cost(Period::Day), dollars("1"));
    let first = book(std::slice::from_ref(&budget));
    let _ = admit(&first, "/", NOW_MS, ask(1, "0.5")).unwrap().settle(used(1, "0.5"));
    let noon = Calendar { hour: 9, ..Calendar::default() };
    let second = Book::new(&[budget], noon, Some(&first));
    let rejected =
        admit(&second, "/", NOW_MS, ask(1, "1.0")).map(drop).map_err(|rejected| rejected.retry_after_s);
    assert_eq!(rejected, Ok(()), "the window that began at nine is another one");
    let account = second.accounts().next().unwrap();
    assert_eq!(account.window(NOW_MS).unwrap().rest_ms(NOW_MS), 23 * 3_600_000);
}

#[test]
fn counters_survive_a_restart_without_the_reservations() {
    let all = [
        at("/", Measure::Cost(Period::Day), dollars("1")),
        at("/", Measure::Requests(MINUTE), 9),
        at("/", Measure::Concurrent, 9),
    ];
    let before = book(&all);
    let _ = admit(&before, "/", NOW_MS, ask(1, "0.5")).unwrap().settle(used(1, "0.25"));
    let lost = admit(&before, "/", NOW_MS, ask(1, "0.5")).unwrap();
    let mut counters = before.counters();
    counters.sort_by(|a, b| a.id.cmp(&b.id));
    let shown: Vec<(&str, u128)> = counters.iter().map(|counter| (&*counter.id, counter.amount)).collect();
    assert_eq!(shown, [("path:/:cost:daily", dollars("0.25")), ("path:/:requests:60s", 2)]);
    let after = book(&all);
    after.restore(&counters);
    assert_eq!(used_of(&after, "path:/:cost:daily", NOW_MS), (dollars("0.25"), dollars("0.25")));
    assert_eq!(used_of(&after, "path:/:requests:60s", NOW_MS), (2, 2));
    assert!(
        admit(&after, "/", NOW_MS, ask(1, "0.75")).is_ok(),
        "the reservation that was lost holds nothing"
    );
    drop(lost);
}

#[test]
fn the_tightest_limits_are_told() {
    let mut soft = at("/", Measure::Requests(Period::Seconds(1)), 0);
    soft.strength = Strength::Soft;
    let book = book(&[
        at("/", Measure::Requests(MINUTE), 10),
        at("/", Measure::Requests(Period::Seconds(3600)), 5),
        at("/", Measure::Tokens(MINUTE), 100),
        soft,
    ]);
    let applicable = book.of_caller(None, &path("/"), &[]);
    let hold = applicable.admit(NOW_MS + 30_000, ask(40, "0")).unwrap();
    let mut out = Vec::new();
    applicable.rates(NOW_MS + 30_000).write_lines(&mut out);
    let want = "x-ratelimit-limit-requests: 5\r\nx-ratelimit-remaining-requests: 4\r\n\
                x-ratelimit-reset-requests: 59m30s\r\nx-ratelimit-limit-tokens: 100\r\n\
                x-ratelimit-remaining-tokens: 60\r\nx-ratelimit-reset-tokens: 30s\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), want);
    drop(hold);
    assert_eq!(Book::default().of_caller(None, &path("/"), &[]).rates(NOW_MS), Default::default());
}

/// 512 callers at once on a budget that is enough for ten: the sum that is really spent never is above the budget.
#[test]
fn a_budget_for_ten_requests_is_never_overspent_by_hundreds_at_once() {
    let book = book(&[
        at("/", Measure::Cost(Period::Day), dollars("1")),
        at("/", Measure::Requests(MINUTE), 100_000),
    ]);
    let applicable = book.of_caller(None, &path("/"), &[]);
    let (spent, admitted, start) = (AtomicU64::new(0), AtomicU64::new(0), Barrier::new(16));
    std::thread::scope(|scope| {
        for thread in 0..16_u64 {
            let (applicable, spent, admitted, start) = (&applicable, &spent, &admitted, &start);
            scope.spawn(move || {
                start.wait();
                for call in 0..32_u64 {
                    let Ok(hold) = applicable.admit(NOW_MS, ask(1, "0.1")) else { continue };
                    admitted.fetch_add(1, Ordering::Relaxed);
                    // Up to all of what was reserved.
                    let cost = PICO_PER_DOLLAR as u64 / 10 - (thread + call) % 3 * 10_000_000_000;
                    spent.fetch_add(cost, Ordering::Relaxed);
                    hold.settle(Used { tokens: None, cost: Some(Pico(i128::from(cost))) });
                }
            });
        }
    });
    let (spent, admitted) = (spent.into_inner(), admitted.into_inner());
    assert!(u128::from(spent) <= dollars("1"), "{spent}");
    assert!((10..=12).contains(&admitted), "{admitted}");
    assert_eq!(used_of(&book, "path:/:cost:daily", NOW_MS), (u128::from(spent), u128::from(spent)));
    assert_eq!(
        used_of(&book, "path:/:requests:60s", NOW_MS).0,
        u128::from(admitted),
        "the refused count nowhere"
    );
}

#[test]
fn a_refusal_gives_back_what_more_accounts_than_usual_had_taken_and_so_does_a_request_that_is_dropped() {
    let all = [
        at("/", Measure::Requests(MINUTE), 9),
        at("/", Measure::Tokens(MINUTE), 50),
        at("/", Measure::Cost(MINUTE), dollars("5")),
        at("/", Measure::Concurrent, 2),
        at("/a", Measure::Requests(MINUTE), 9),
        at("/a", Measure::Tokens(MINUTE), 100),
    ];
    let book = book(&all);
    let taken =
        || -> Vec<u128> { all.iter().map(|allowance| used_of(&book, &allowance.id(), NOW_MS).0).collect() };
    assert!(admit(&book, "/a", NOW_MS, ask(60, "1")).is_err(), "the wider one has no room");
    assert_eq!(taken(), [0; 6]);
    let hold = admit(&book, "/a", NOW_MS, ask(40, "1")).expect("room");
    assert_eq!(taken(), [1, 40, dollars("1"), 1, 1, 40]);
    drop(hold);
    assert_eq!(taken(), [1, 0, 0, 0, 1, 0], "the request was made and stays counted");
    let hold = admit(&book, "/a", NOW_MS, ask(40, "1")).expect("room");
    let _ = hold.settle(used(7, "0.5"));
    assert_eq!(taken(), [2, 7, dollars("0.5"), 0, 2, 7]);
}
