//! Which price holds: names, dates, answers, overrides, layers; and that the built-in catalogue keeps its promise.

use super::*;
use crate::ledger::usage::{Mode, ServerTool};

const DAY_S: u64 = 86_400;
/// 2026-08-31.
const AUGUST_S: u64 = 20_696 * DAY_S;

fn of(lines: &str) -> Prices {
    let text = format!("{{\"ringway_prices\":1,\"date\":\"2026-01-01\"}}\n{lines}");
    let catalogue = Catalogue::read(&text).expect("a catalogue");
    Prices { overrides: Arc::default(), catalogues: vec![Arc::new(catalogue)] }
}

fn line(model: &str, more: &str, input: u64) -> String {
    format!(
        "{{\"provider\":\"p\",\"model\":\"{model}\"{more},\"source\":\"s\",\"prices\":{{\"input\":{input}}}}}\n"
    )
}

fn input_at(prices: &Prices, asked: &str, answered: Option<&str>, at_s: u64) -> Option<u64> {
    let named = Named { provider: "instance", priced_as: "p", asked, answered };
    prices.find(named, at_s)?.rates(Mode::Standard, 1)?.get(Rate::Input)
}

fn input(prices: &Prices, asked: &str, answered: Option<&str>) -> Option<u64> {
    input_at(prices, asked, answered, AUGUST_S)
}

#[test]
fn a_name_is_found_exactly_or_with_a_date_where_the_catalogue_allows_it() {
    let dated = line("m", ",\"dated\":true", 1) + &line("n", "", 2) + &line("n-2411", "", 3);
    let prices = of(&(dated + "{\"provider\":\"p\",\"model\":\"other-m\",\"as\":\"m\"}\n"));
    let check = |asked: &str, want: Option<u64>| assert_eq!(input(&prices, asked, None), want, "{asked}");
    check("m", Some(1));
    check("m-20260102", Some(1));
    check("m-2026-01-02", Some(1));
    check("m@20260102", Some(1));
    check("other-m", Some(1));
    check("m-mini", None);
    check("M", None);
    check("n", Some(2));
    check("n-20260102", None);
    check("n-2411", Some(3));
    check("m-latest", None);
    check("", None);
    check("*", None);
    let stranger = Named { provider: "p", priced_as: "q", asked: "m", answered: None };
    assert_eq!(prices.find(stranger, AUGUST_S), None);
}

#[test]
fn the_model_that_answered_counts_and_a_moving_name_has_no_price() {
    let prices = of(&(line("m", "", 1) + &line("m-2026-01-02", "", 2) + &line("k", "", 3)));
    let check = |asked: &str, answered: &str, want: Option<u64>| {
        assert_eq!(input(&prices, asked, Some(answered)), want, "{asked} {answered}");
    };
    check("m", "m-2026-01-02", Some(2));
    check("deployment", "m", Some(1));
    check("m-latest", "k", Some(3));
    check("m-latest", "m-latest", None);
    check("m", "", Some(1));
    // A longer spelling of what was asked for is the same model; another model is not.
    check("m", "models/m-001", Some(1));
    check("m", "z", None);
    // A path in front is the answer's, as aggregators have it.
    check("m", "vendor/m", Some(1));
}

#[test]
fn a_price_holds_from_its_first_day_on() {
    let (before, from, later) = (
        line("m", "", 2),
        line("m", ",\"from\":\"2026-09-01\"", 3),
        line("m", ",\"from\":\"2027-01-01\"", 4),
    );
    let prices = of(&(later + &before + &from));
    assert_eq!(input_at(&prices, "m", None, AUGUST_S + DAY_S - 1), Some(2));
    assert_eq!(input_at(&prices, "m", None, AUGUST_S + DAY_S), Some(3));
    assert_eq!(input_at(&prices, "m", None, AUGUST_S + 1_000 * DAY_S), Some(4));
    let new = of(&line("m", ",\"from\":\"2026-09-01\"", 3));
    assert_eq!(input(&new, "m", None), None, "nothing is known of the time before");
}

#[test]
fn an_override_is_the_whole_price_and_comes_first() {
    let made = |selector: &str, price: &str| {
        Override::of_fields(selector, "settings", [("input_per_mtok", price)], []).expect("an override")
    };
    let listed = line("m", "", 1) + &line("k", "", 1);
    let prices =
        of(&listed).with_overrides(vec![made("other/m", "7"), made("instance/m", "8"), made("k", "9")]);
    assert_eq!(input(&prices, "m", Some("k")), Some(8_000_000));
    assert_eq!(input(&prices, "alias", Some("k")), Some(9_000_000));
    assert_eq!(input(&prices, "k-latest", Some("k")), Some(9_000_000));
    assert_eq!(input(&prices.with_overrides(Vec::new()), "m", None), Some(1));
}

#[test]
fn a_catalogue_in_front_counts_and_the_rest_stays() {
    let front = Catalogue::of(vec![Entry::read(line("m", "", 5).trim_end()).expect("a line")], "2026-02-02");
    let prices = of(&(line("m", "", 1) + &line("k", "", 2))).with_catalogue(front);
    assert_eq!((input(&prices, "m", None), input(&prices, "k", None)), (Some(5), Some(2)));
    assert_eq!(prices.catalogues().map(|one| &*one.date).collect::<Vec<_>>(), ["2026-02-02", "2026-01-01"]);
}

#[test]
fn calls_that_cost_the_same_for_all_models_stand_once() {
    let every = "{\"provider\":\"p\",\"model\":\"*\",\"source\":\"s\",\"calls\":{\"web_search\":7,\"web_fetch\":0}}\n";
    let own = "{\"provider\":\"p\",\"model\":\"n\",\"source\":\"s\",\"prices\":{\"input\":1},\"calls\":{\"web_search\":9}}\n";
    let prices = of(&(every.to_owned() + own + &line("m", "", 1)));
    let calls = |asked: &str| {
        let named = Named { provider: "instance", priced_as: "p", asked, answered: None };
        prices.find(named, AUGUST_S).expect(asked).calls
    };
    let of = |calls: [Option<u64>; ServerTool::COUNT]| {
        (calls[ServerTool::WebSearch as usize], calls[ServerTool::WebFetch as usize])
    };
    assert_eq!((of(calls("m")), of(calls("n"))), ((Some(7), Some(0)), (Some(9), Some(0))));
}

#[test]
fn a_catalogue_with_mistakes_is_refused_with_every_line() {
    let check = |text: &str, want: &[&str]| {
        let complaints = Catalogue::read(text).expect_err(text);
        assert_eq!(complaints.len(), want.len(), "{complaints:?}");
        for (complaint, want) in complaints.iter().zip(want) {
            assert!(complaint.what.contains(want), "{complaint:?}");
        }
    };
    let head = "{\"ringway_prices\":1,\"date\":\"2026-01-01\"}\n";
    check("", &["empty"]);
    check("{}", &["first line must be"]);
    check("{\"ringway_prices\":2,\"date\":\"2026-01-01\"}", &["version 2"]);
    check("{\"ringway_prices\":1,\"date\":\"soon\"}", &["needs `date`"]);
    let lines = [
        line("m", "", 1),
        line("m", "", 2),
        line("a-latest", "", 1),
        "{\"provider\":\"p\",\"model\":\"x\",\"source\":\"s\"}\n".to_owned(),
        "{\"provider\":\"p\",\"model\":\"x\",\"prices\":{\"input\":1}}\n".to_owned(),
        "{\"provider\":\"p\",\"model\":\"y\",\"as\":\"nothing\"}\n".to_owned(),
        "{\"provider\":\"p\",\"model\":\"a\\\"b\",\"as\":\"m\"}\n".to_owned(),
    ];
    let wants = [
        "every few months",
        "no price per token",
        "needs `source`",
        "no quotes",
        "stands twice",
        "has no price",
    ];
    check(&(head.to_owned() + &lines.concat()), &wants);
}

#[test]
fn a_search_finds_every_line_of_any_catalogue() {
    for count in [1_usize, 2, 3, 7, 64, 321] {
        let lines: String =
            (0..count).map(|at| line(&format!("m{}", (at * 5 + 3) % count), "", at as u64)).collect();
        let prices = of(&lines);
        for at in 0..count {
            assert_eq!(
                input(&prices, &format!("m{}", (at * 5 + 3) % count), None),
                Some(at as u64),
                "{count} {at}"
            );
        }
        assert_eq!((input(&prices, "a", None), input(&prices, "z", None)), (None, None));
    }
}

#[test]
fn the_built_in_catalogue_is_checked_sorted_and_knows_what_its_source_is() {
    let read = Catalogue::read(BUILTIN).expect("the built-in catalogue");
    let body = |text: &str| text.split_once('\n').expect("a first line").1.to_owned();
    assert!(body(BUILTIN) == body(read.text()), "its lines are sorted and written as the format has them");
    let builtin = Prices::builtin();
    assert_eq!(builtin.catalogues().next().map(|catalogue| &*catalogue.date), Some(&*read.date));
    let entries: Vec<Entry> = read.entries().collect();
    assert!(entries.len() > 1_000, "{}", entries.len());
    for entry in &entries {
        let at_s = AUGUST_S * 2;
        let named = Named { provider: "", priced_as: &entry.provider, asked: &entry.model, answered: None };
        assert!(entry.model == "*" || builtin.find(named, at_s).is_some(), "{entry:?}");
    }
}

#[test]
fn known_prices_are_those_of_the_providers_pages() {
    let builtin = Prices::builtin();
    let million = |provider: &str, asked: &str, mode: Mode, input: u64| {
        let named = Named { provider, priced_as: provider, asked, answered: None };
        let price = builtin.find(named, AUGUST_S + 100 * DAY_S).expect(asked);
        let rates = *price.rates(mode, input).expect(asked);
        [Rate::Input, Rate::Output, Rate::CacheRead].map(|rate| rates.get(rate))
    };
    let some = |numbers: [u64; 3]| numbers.map(Some);
    let standard = Mode::Standard;
    assert_eq!(million("openai", "gpt-5", standard, 9), some([1_250_000, 10_000_000, 125_000]));
    assert_eq!(million("openai", "gpt-5", Mode::Flex, 9), some([625_000, 5_000_000, 62_500]));
    assert_eq!(million("openai", "gpt-5.4", standard, 272_001), some([5_000_000, 22_500_000, 500_000]));
    let sonnet = some([3_000_000, 15_000_000, 300_000]);
    assert_eq!(million("anthropic", "claude-sonnet-4-5-20250929", standard, 9), sonnet);
    let pro = some([2_500_000, 15_000_000, 250_000]);
    assert_eq!(million("gemini", "gemini-2.5-pro", standard, 200_001), pro);
}
