//! Costs against a table that was worked out without this code, and what has no cost at all.

use super::*;
use crate::ledger::price::{Body, Catalogue, Entry, Named, Prices};
use crate::ledger::usage::KnownBy;

#[test]
fn a_hundred_costs_are_those_of_the_table_to_the_last_pico_dollar() {
    let mut rows = 0;
    for line in TABLE.lines() {
        let (left, want) = line.rsplit_once(" = ").expect(line);
        let mut words = left.split_whitespace();
        let (model, mode) =
            (words.next().expect(line), Mode::of_word(words.next().expect(line)).expect(line));
        let cost = cost(&usage_of(words), Some(&price(model)), mode).expect(line);
        let want: i128 = want.replace('_', "").parse().expect(line);
        assert_eq!(cost.total, Pico(want), "{line}");
        let parts = cost.parts.expect(line);
        assert_eq!(parts.sum(), Some(cost.total), "{line}");
        rows += 1;
    }
    assert!(rows >= 100, "{rows}");
}

#[test]
fn what_has_no_price_has_no_cost_and_says_why() {
    let check = |model: &str, mode: Mode, usage: &str, want: Unpriced| {
        let usage = usage_of(usage.split_whitespace());
        assert_eq!(cost(&usage, Some(&price(model)), mode), Err(want), "{model} {usage:?}");
    };
    let standard = Mode::Standard;
    check("plain", standard, "in=9 out=1 ia=1", Unpriced::Rate(Rate::InputAudio));
    check("plain", standard, "in=9 out=1 oa=1", Unpriced::Rate(Rate::OutputAudio));
    check("plain", standard, "in=9 out=1 oi=1", Unpriced::Rate(Rate::OutputImage));
    check("plain", standard, "in=9 out=1 cw=1", Unpriced::Rate(Rate::CacheWrite));
    check("steps", standard, "in=9 out=1 cr=1", Unpriced::Rate(Rate::CacheRead));
    check("steps", Mode::Batch, "in=9 out=1", Unpriced::Mode(Mode::Batch));
    check("plain", Mode::Other, "in=9 out=1", Unpriced::Mode(Mode::Other));
    // A class without prices for large requests does not take its prices for small ones.
    check("long", Mode::Batch, "in=200001 out=1", Unpriced::Mode(Mode::Batch));
    check("embed", standard, "in=9 out=1", Unpriced::Rate(Rate::Output));
    check("plain", standard, "in=9 out=1 ws=1", Unpriced::Tool(ServerTool::WebSearch));
    check("plain", standard, "out=1", Unpriced::Uncounted("its input"));
    check("plain", standard, "in=1", Unpriced::Uncounted("its output"));
    check("cached", standard, "in=9 out=1 cw=1", Unpriced::Uncounted("for how long its cache was written"));
    check("audio", standard, "in=9 out=1 cr=4 ia=3", Unpriced::Uncounted("how much of its audio was cached"));
    let image = Unpriced::Uncounted("how many of its image tokens were cached");
    check("image", standard, "in=9 out=1 cr=4 ii=3", image);
    let reasoning = Unpriced::Uncounted("its reasoning, which has a price of its own");
    check("thinks", standard, "in=9 out=1", reasoning);
    check("plain", standard, "in=9 out=1 cr=10", Unpriced::Contradiction);
    check("plain", standard, "in=9 out=1 r=2", Unpriced::Contradiction);
    let all = "in=18446744073709551615 out=0 cr=18446744073709551615 cw=1 h=0";
    check("cached", standard, all, Unpriced::Contradiction);
    assert_eq!(cost(&usage_of("in=1 out=1".split(' ')), None, standard), Err(Unpriced::Model));
}

#[test]
fn the_largest_counts_at_the_largest_prices_fit_or_say_that_they_do_not() {
    let mut dear = price("plain");
    dear.tables.iter_mut().for_each(|table| table.rates.0 = [Some(u64::MAX); Rate::COUNT]);
    let most = usage_of("in=18446744073709551615 out=18446744073709551615".split(' '));
    assert_eq!(cost(&most, Some(&dear), Mode::Standard), Err(Unpriced::TooLarge));
    let half = usage_of("in=9223372036854775807 out=0".split(' '));
    let want = Pico(9_223_372_036_854_775_807 * 18_446_744_073_709_551_615);
    assert_eq!(cost(&half, Some(&dear), Mode::Standard).map(|cost| cost.total), Ok(want));
}

#[test]
fn a_cost_that_the_provider_bills_comes_before_any_price() {
    let mut usage = usage_of("in=9 out=1 ia=1".split(' '));
    usage.stated_cost = Some(Pico(77));
    let stated = cost(&usage, None, Mode::Standard).expect("it is stated");
    assert_eq!((stated.total, stated.parts, stated.source.name()), (Pico(77), None, "provider"));
}

#[test]
fn what_the_answer_says_of_its_class_counts_and_a_surcharge_is_not_left_out() {
    let mut usage = usage_of("in=1000 out=500".split(' '));
    usage.mode = Some(Mode::Priority);
    assert_eq!(
        cost(&usage, Some(&price("plain")), Mode::Standard).map(|c| c.total),
        Ok(Pico(12_750_000_000))
    );
    usage.has_surcharge = true;
    assert_eq!(cost(&usage, Some(&price("plain")), Mode::Standard), Err(Unpriced::Surcharge));
}

#[test]
fn embeddings_need_no_output_where_their_total_leaves_none() {
    let usage = Usage { input: Some(8), stated_total: Some(8), ..Usage::default() };
    assert_eq!(cost(&usage, Some(&price("embed")), Mode::Standard).map(|cost| cost.total), Ok(Pico(160_000)));
}

#[test]
fn an_estimate_and_kinds_that_nobody_stated_are_remarked() {
    let mut usage = usage_of("in=9 out=1".split(' '));
    let remark = |usage: &Usage, model: &str| {
        cost(usage, Some(&price(model)), Mode::Standard).expect("priced").remark.map(Remark::sentence)
    };
    assert_eq!(remark(&usage, "plain"), None);
    assert_eq!(remark(&usage, "audio"), Some(Remark::KindsUnstated.sentence()));
    usage.input_audio = Some(0);
    assert_eq!(remark(&usage, "audio"), None);
    usage.is_estimated = true;
    assert_eq!(
        (remark(&usage, "audio"), usage.known_by()),
        (Some(Remark::Estimated.sentence()), KnownBy::Estimated)
    );
}

fn price(model: &str) -> Price {
    let entries = PRICES.lines().map(|line| Entry::read(line).expect(line));
    let catalogue = Catalogue::of(entries.collect(), "2026-01-01");
    let prices = Prices::builtin().with_catalogue(catalogue);
    let named = Named { provider: "a", priced_as: "a", asked: model, answered: None };
    prices.find(named, 0).expect(model)
}

/// `in=9 out=1 cr=4 …` as a record.
fn usage_of<'w>(words: impl Iterator<Item = &'w str>) -> Usage {
    let mut usage = Usage::default();
    for word in words {
        let (name, count) = word.split_once('=').expect(word);
        let count: u64 = count.parse().expect(word);
        let place = match name {
            "in" => &mut usage.input,
            "out" => &mut usage.output,
            "cr" => &mut usage.cache_read,
            "cw" => &mut usage.cache_write,
            "h" => &mut usage.cache_write_1h,
            "r" => &mut usage.reasoning,
            "ia" => &mut usage.input_audio,
            "ii" => &mut usage.input_image,
            "cra" => &mut usage.cache_read_audio,
            "oa" => &mut usage.output_audio,
            "oi" => &mut usage.output_image,
            "ws" => {
                usage.tools.add(ServerTool::WebSearch, count);
                continue;
            }
            _ => panic!("{word}"),
        };
        *place = Some(count);
    }
    usage
}

#[test]
fn the_prices_of_the_table_are_lines_of_the_format() {
    for line in PRICES.lines() {
        let entry = Entry::read(line).expect(line);
        assert!(matches!(entry.body, Body::Price(_)));
        let mut out = String::new();
        entry.write(&mut out);
        assert_eq!(out.trim_end(), line);
    }
}

/// Pico-dollars per token: 2500000 is 2.50 dollars per million.
const PRICES: &str = r#"{"provider":"a","model":"plain","source":"s","prices":{"input":2500000,"output":10000000,"cache_read":1250000},"batch":{"input":1250000,"output":5000000,"cache_read":625000},"flex":{"input":1250000,"output":5000000,"cache_read":625000},"priority":{"input":4250000,"output":17000000,"cache_read":2125000}}
{"provider":"a","model":"cached","source":"s","prices":{"input":3000000,"output":15000000,"cache_read":300000,"cache_write":3750000,"cache_write_1h":6000000},"batch":{"input":1500000,"output":7500000,"cache_read":150000,"cache_write":1875000,"cache_write_1h":3000000}}
{"provider":"a","model":"tiered","source":"s","prices":{"input":1250000,"output":10000000,"cache_read":125000},"batch":{"input":625000,"output":5000000,"cache_read":62500},"above":[{"tokens":200000,"prices":{"input":2500000,"output":15000000,"cache_read":250000},"batch":{"input":1250000,"output":7500000,"cache_read":125000}}]}
{"provider":"a","model":"long","source":"s","prices":{"input":3000000,"output":15000000,"cache_read":300000,"cache_write":3750000,"cache_write_1h":6000000},"above":[{"tokens":200000,"prices":{"input":6000000,"output":22500000,"cache_read":600000,"cache_write":7500000,"cache_write_1h":12000000}}]}
{"provider":"a","model":"steps","source":"s","prices":{"input":50000,"output":400000},"above":[{"tokens":32000,"prices":{"input":100000,"output":800000}},{"tokens":128000,"prices":{"input":250000,"output":2000000}}]}
{"provider":"a","model":"audio","source":"s","prices":{"input":2500000,"output":10000000,"cache_read":1250000,"input_audio":40000000,"output_audio":80000000,"cache_read_audio":2500000}}
{"provider":"a","model":"image","source":"s","prices":{"input":5000000,"output":10000000,"cache_read":1250000,"input_image":8000000,"output_image":32000000}}
{"provider":"a","model":"thinks","source":"s","prices":{"input":400000,"output":1200000,"reasoning":4000000}}
{"provider":"a","model":"fine","source":"s","prices":{"input":435000,"output":870000,"cache_read":3625}}
{"provider":"a","model":"embed","source":"s","prices":{"input":20000},"batch":{"input":10000}}
{"provider":"a","model":"search","source":"s","prices":{"input":1000000,"output":1000000},"calls":{"web_search":10000000000},"request":5000000000}"#;

/// Model, class of service, counts and the cost in pico-dollars. The counts are input (`in`), output (`out`), read from the
/// cache (`cr`), written to it (`cw`), of that for an hour (`h`), reasoning (`r`), audio in and out (`ia`, `oa`), cached
/// audio (`cra`), images in and out (`ii`, `oi`) and web searches (`ws`).
const TABLE: &str = "plain  standard in=1000 out=500 = 7_500_000_000
plain  standard in=0 out=0 = 0
plain  standard in=1 out=1 = 12_500_000
plain  standard in=124435 out=7288 cr=4152 = 378_777_500_000
plain  standard in=163557 out=10996 cr=21240 = 492_302_500_000
plain  standard in=76375 out=5320 cr=29480 = 207_287_500_000
plain  standard in=165744 out=10264 cr=77225 = 420_468_750_000
plain  standard in=1715 out=900 r=417 = 13_287_500_000
plain  batch    in=1000 out=500 = 3_750_000_000
plain  batch    in=0 out=0 = 0
plain  batch    in=1 out=1 = 6_250_000
plain  batch    in=90460 out=4036 cr=71284 = 88_702_500_000
plain  batch    in=33654 out=8780 cr=26577 = 69_356_875_000
plain  batch    in=103221 out=11347 cr=48285 = 155_583_125_000
plain  batch    in=97341 out=3347 cr=64666 = 97_995_000_000
plain  batch    in=1238 out=900 r=586 = 6_047_500_000
plain  flex     in=1000 out=500 = 3_750_000_000
plain  flex     in=0 out=0 = 0
plain  flex     in=1 out=1 = 6_250_000
plain  flex     in=61975 out=11664 cr=50657 = 104_128_125_000
plain  flex     in=27694 out=5762 cr=19737 = 51_091_875_000
plain  flex     in=104377 out=4196 cr=68918 = 108_377_500_000
plain  flex     in=95882 out=4263 cr=4776 = 138_182_500_000
plain  flex     in=6833 out=900 r=303 = 13_041_250_000
plain  priority in=1000 out=500 = 12_750_000_000
plain  priority in=0 out=0 = 0
plain  priority in=1 out=1 = 21_250_000
plain  priority in=7375 out=2900 cr=3759 = 72_655_875_000
plain  priority in=88867 out=2969 cr=17416 = 391_148_750_000
plain  priority in=35513 out=3464 cr=22400 = 162_218_250_000
plain  priority in=121738 out=10166 cr=101254 = 475_043_750_000
plain  priority in=5550 out=900 r=412 = 38_887_500_000
cached standard in=9632 out=198 cr=6289 cw=3337 h=0 = 17_388_450_000
cached standard in=321 out=0 cr=0 cw=320 h=300 = 1_878_000_000
cached standard in=136046 out=3527 cr=79332 cw=49296 h=6097 = 297_536_850_000
cached standard in=112423 out=5 cr=57336 cw=46466 h=32392 = 290_268_300_000
cached standard in=57422 out=4362 cr=17829 cw=38936 h=13177 = 248_407_950_000
cached standard in=108935 out=3441 cr=71094 cw=36466 h=18275 = 254_934_450_000
cached standard in=133250 out=951 cr=77462 cw=47604 h=31122 = 310_595_100_000
cached standard in=119957 out=3261 cr=86593 cw=28080 h=18462 = 237_584_400_000
cached standard in=35781 out=2080 cr=13549 cw=17423 h=5781 = 128_035_200_000
cached standard in=91162 out=4178 cr=43618 cw=43406 h=38092 = 336_648_900_000
cached batch    in=9632 out=198 cr=6289 cw=3337 h=0 = 8_694_225_000
cached batch    in=321 out=0 cr=0 cw=320 h=300 = 939_000_000
cached batch    in=93905 out=2830 cr=79517 cw=10917 h=3469 = 62_731_050_000
cached batch    in=121692 out=7476 cr=72679 cw=40491 h=14063 = 171_496_350_000
cached batch    in=69702 out=3710 cr=50467 cw=18828 h=5010 = 76_944_300_000
cached batch    in=89037 out=6546 cr=58412 cw=23535 h=18104 = 132_986_925_000
cached batch    in=114995 out=5909 cr=82259 cw=28228 h=3334 = 120_096_600_000
cached batch    in=27942 out=7796 cr=1221 cw=26045 h=20634 = 131_714_775_000
cached batch    in=91555 out=6380 cr=68088 cw=21200 h=12970 = 115_804_950_000
cached batch    in=51962 out=752 cr=18775 cw=29567 h=3382 = 73_129_125_000
tiered standard in=200000 out=1000 = 260_000_000_000
tiered standard in=200001 out=1000 = 515_002_500_000
tiered standard in=199999 out=1 = 250_008_750_000
tiered standard in=291903 out=57823 cr=142322 = 1_276_878_000_000
tiered standard in=761945 out=2464 cr=57375 = 1_812_728_750_000
tiered standard in=808793 out=2515 cr=640426 = 618_749_000_000
tiered standard in=632191 out=53431 cr=14340 = 2_349_677_500_000
tiered standard in=739209 out=3971 cr=137214 = 1_598_856_000_000
tiered batch    in=200000 out=1000 = 130_000_000_000
tiered batch    in=200001 out=1000 = 257_501_250_000
tiered batch    in=199999 out=1 = 125_004_375_000
tiered batch    in=424018 out=11993 cr=328816 = 250_052_000_000
tiered batch    in=817124 out=51241 cr=539886 = 798_340_750_000
tiered batch    in=355531 out=34799 cr=82478 = 612_618_500_000
tiered batch    in=219732 out=32293 cr=115587 = 386_827_125_000
tiered batch    in=425109 out=20943 cr=140638 = 530_241_000_000
long   standard in=200000 out=7 cr=100000 cw=50000 h=20000 = 412_605_000_000
long   standard in=200001 out=7 cr=100000 cw=50000 h=20000 = 825_163_500_000
long   standard in=64971 out=7025 cr=14926 cw=3829 h=2159 = 267_717_300_000
long   standard in=185312 out=4458 cr=142122 cw=40855 h=28735 = 334_371_600_000
long   standard in=212830 out=6515 cr=90287 cw=37159 h=4838 = 1_013_527_200_000
long   standard in=125050 out=5369 cr=66075 cw=12671 h=6453 = 301_305_000_000
long   standard in=157985 out=2653 cr=123720 cw=20773 h=2637 = 201_219_000_000
long   standard in=273526 out=7461 cr=126672 cw=80595 h=24730 = 1_357_177_200_000
steps  standard in=1 out=235 = 94_050_000
steps  standard in=32000 out=0 = 1_600_000_000
steps  standard in=32001 out=4924 = 7_139_300_000
steps  standard in=128000 out=8780 = 19_824_000_000
steps  standard in=128001 out=417 = 32_834_250_000
steps  standard in=999999 out=7471 = 264_941_750_000
audio  standard in=30 out=9 ia=20 oa=7 = 1_405_000_000
audio  standard in=7693 out=2678 cr=321 ia=2914 cra=82 oa=2250 = 309_413_750_000
audio  standard in=5255 out=1225 cr=377 ia=1048 cra=38 oa=755 = 115_688_750_000
audio  standard in=5716 out=2768 cr=153 ia=1144 cra=141 oa=2638 = 264_227_500_000
audio  standard in=6867 out=1346 cr=153 ia=3012 cra=98 oa=1148 = 220_193_750_000
audio  standard in=4111 out=2734 cr=276 ia=2662 cra=177 oa=2486 = 304_701_250_000
audio  standard in=2569 out=2435 cr=154 ia=733 cra=73 oa=2146 = 205_641_250_000
image  standard in=300 out=4160 ii=258 oi=4160 = 135_394_000_000
image  standard in=5000 out=20 ii=0 cr=4096 = 9_840_000_000
image  standard in=90 out=1400 ii=12 oi=1056 = 37_718_000_000
thinks standard in=50 out=900 r=800 = 3_340_000_000
thinks standard in=50 out=900 r=0 = 1_100_000_000
thinks standard in=33333 out=12345 r=6789 = 47_156_400_000
fine   standard in=1 out=0 cr=1 = 3_625
fine   standard in=999983 out=7919 cr=777777 = 106_368_581_625
fine   standard in=64 out=1 cr=63 = 1_533_375
fine   standard in=123456789 out=987654321 cr=1 = 912_962_962_053_625
embed  standard in=8191 out=0 = 163_820_000
embed  batch    in=8191 out=0 = 81_910_000
embed  standard in=1 out=0 = 20_000
search standard in=12 out=300 = 5_312_000_000
search standard in=12 out=300 ws=1 = 15_312_000_000
search standard in=0 out=0 ws=1000 = 10_005_000_000_000";
