//! Reservations: bounds where there are bounds, and an agent that is let work all day.

use std::collections::BTreeMap;

use super::super::book::Book;
use super::super::hold::{Ask, Budgets, Hold, Used};
use super::*;
use crate::base::Pico;
use crate::identity::{Allowance, Calendar, Measure, Period, Subject, UserPath};

fn size(body_bytes: u64, output_tokens_max: Option<u64>) -> Size {
    Size { body_bytes, output_tokens_max, choices: 1 }
}

#[test]
fn nothing_known_reserves_the_bounds() {
    let observed = Observed::default();
    let check = |size: Size, want: (u64, u64)| {
        for strictness in [Strictness::Bound, Strictness::Usual] {
            let tokens = observed.reserve("m", size, strictness);
            assert_eq!((tokens.input, tokens.output), want, "{size:?}");
        }
    };
    check(size(1_000, Some(50)), (1_000, 50));
    check(size(1_000, None), (1_000, OUTPUT_TOKENS_DEFAULT));
    check(Size { choices: 3, ..size(10, Some(50)) }, (10, 150));
    check(Size { choices: 0, ..size(10, Some(50)) }, (10, 50));
}

#[test]
fn a_known_model_reserves_what_its_requests_usually_take() {
    let mut observed = Observed::default();
    for number in 0..ANSWERS_COUNT_MIN {
        assert_eq!(observed.reserve("m", size(4_096, None), Strictness::Usual).output, OUTPUT_TOKENS_DEFAULT);
        observed.observe("m", size(4_096, None), Tokens { input: 1_024, output: u64::from(number) });
    }
    let usual = observed.reserve("m", size(8_192, None), Strictness::Usual);
    assert_eq!(usual, Tokens { input: 287 * 8, output: 31 });
    let bound = observed.reserve("m", size(8_192, None), Strictness::Bound);
    assert_eq!(bound.input, 8_192);
    assert_eq!(observed.reserve("m", size(8_192, Some(9)), Strictness::Usual).output, 9);
    assert_eq!(observed.reserve("other", size(8_192, None), Strictness::Usual).output, OUTPUT_TOKENS_DEFAULT);
}

/// Never below the true quantile, and less than an eighth above it.
#[test]
fn a_quantile_keeps_its_bound() {
    let mut state = 7_u64;
    for most in [5, 100, 5_000, 1_000_000] {
        let mut distribution = Distribution::default();
        let mut numbers: Vec<u64> = (0..1_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % most
            })
            .collect();
        for count in 1..=numbers.len() {
            distribution.add(numbers[count - 1]);
            let Some(found) = distribution.usual() else { continue };
            numbers[..count].sort_unstable();
            let exact = numbers[(99 * count).div_ceil(100) - 1];
            assert!(exact <= found && found * 8 <= exact * 9, "{count} of {most}: {found} for {exact}");
        }
    }
}

#[test]
fn what_changed_is_followed() {
    let mut distribution = Distribution::default();
    (0..100_000).for_each(|_| distribution.add(10_000));
    (0..100_000).for_each(|_| distribution.add(10));
    assert!(distribution.usual().unwrap() < 12);
    assert!(distribution.total < ANSWERS_COUNT_MAX);
}

#[test]
fn every_number_lies_in_its_step() {
    for number in
        (0..5_000).chain((13..34).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]))
    {
        let step = step(number);
        assert!(number <= most_of(step), "{number}");
        assert!(step == 0 || most_of(step - 1) < number, "{number}");
    }
}

/// Four agents work for a day on one budget that is less than what they would use. None of them is refused before 95
/// of 100 of it are really used, with `max_tokens` and without.
#[test]
fn agents_can_use_their_budget_up() {
    // So little that byte for byte reservations of the input, or the greatest output, would end it too early.
    for (output_tokens_max, budget) in [(None, 50 * DOLLAR), (Some(32_000), 100 * DOLLAR)] {
        let mut day = Day::new(output_tokens_max, budget);
        day.run();
        let share = day.used() * 100 / budget;
        assert!(share >= 95, "{share} of 100 were used");
        assert!(day.used() <= budget * 101 / 100, "{share} of 100 were used");
        assert!(day.refused > 0, "they wanted more");
    }
}

const DOLLAR: u128 = 1_000_000_000_000;
const INPUT_PICO: i128 = 3_000_000;
const OUTPUT_PICO: i128 = 15_000_000;
const DAY_MS: u64 = 86_400_000;

type UnderWay = (Hold, Size, Tokens);

struct Day {
    budget: u128,
    book: Book,
    observed: Observed,
    output_tokens_max: Option<u64>,
    now_ms: u64,
    random: u64,
    refused: u32,
    /// What begins or ends when, of which agent.
    agenda: BTreeMap<(u64, u32), Option<UnderWay>>,
    turns: [u64; 4],
}

impl Day {
    fn new(output_tokens_max: Option<u64>, budget: u128) -> Day {
        let subject = Subject::Path(UserPath::root());
        let allowance = Allowance::hard(subject, Measure::Cost(Period::Day), budget);
        let book = Book::new(&[allowance], Calendar::default(), None);
        let agenda = (0..4).map(|agent| ((u64::from(agent) * 700, agent), None)).collect();
        let observed = Observed::default();
        Day {
            budget,
            book,
            observed,
            output_tokens_max,
            now_ms: 0,
            random: 1,
            refused: 0,
            agenda,
            turns: [0; 4],
        }
    }

    fn run(&mut self) {
        while let Some(((now_ms, agent), under_way)) =
            self.agenda.pop_first().filter(|((at, _), _)| *at < DAY_MS)
        {
            self.now_ms = now_ms;
            match under_way {
                Some((hold, size, used)) => self.end(agent, hold, size, used),
                None => self.begin(agent),
            }
        }
    }

    fn begin(&mut self, agent: u32) {
        // A conversation grows by every turn and begins anew after forty.
        let turn = self.turns[agent as usize] % 40;
        self.turns[agent as usize] += 1;
        let size = size(20_000 + 9_000 * turn, self.output_tokens_max);
        let tokens = self.observed.reserve("m", size, Strictness::Usual);
        let (tokens_all, cost) = (tokens.input + tokens.output, Some(cost(tokens)));
        let ask = Ask { requests: 1, tokens: tokens_all, cost, budgets: Budgets::Hold };
        let applicable = self.book.of_caller(None, &UserPath::root(), &[]);
        match applicable.admit(self.now_ms, ask) {
            Ok(hold) => {
                let output = if self.next().is_multiple_of(10) {
                    500 + self.next() % 6_000
                } else {
                    40 + self.next() % 900
                };
                let used = Tokens { input: size.body_bytes * 10 / (35 + self.next() % 10), output };
                let end_ms = self.now_ms + 2_000 + output * 20;
                self.agenda.insert((end_ms, agent), Some((hold, size, used)));
            }
            Err(rejected) => {
                self.refused += 1;
                assert!(
                    self.used() * 100 >= self.budget * 95,
                    "refused at {} of {}",
                    self.used(),
                    self.budget
                );
                let wait_s = rejected.retry_after_s.expect("it fits an empty window");
                self.agenda.insert((self.now_ms + u64::from(wait_s) * 1000, agent), None);
            }
        }
    }

    fn end(&mut self, agent: u32, hold: Hold, size: Size, used: Tokens) {
        hold.settle(Used { tokens: None, cost: Some(cost(used)) });
        self.observed.observe("m", size, used);
        let pause_ms = 500 + self.next() % 4_000;
        self.agenda.insert((self.now_ms + pause_ms, agent), None);
    }

    fn used(&self) -> u128 {
        self.book.accounts().map(|account| account.standing(self.now_ms).used).sum()
    }

    fn next(&mut self) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }
}

fn cost(tokens: Tokens) -> Pico {
    Pico(i128::from(tokens.input) * INPUT_PICO + i128::from(tokens.output) * OUTPUT_PICO)
}
