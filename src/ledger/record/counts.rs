//! The usage and the amounts of money in a record, as bytes and back.

use crate::base::Pico;
use crate::ledger::codec::{Take, put_number, put_optional, put_text};
use crate::ledger::usage::{Mode, ToolCalls, Usage};

/// Most counts of most exchanges are unknown: one bit each says so, and only those that are known follow. Two more bits say that the
/// total is what it mostly is, and that nothing but counts is known.
pub(super) fn put_usage(out: &mut Vec<u8>, usage: &Usage) {
    let mut counts = counts(usage);
    let has_sum = usage.stated_total.is_some() && usage.stated_total == whole(usage.input, usage.output);
    if has_sum {
        counts[TOTAL] = None;
    }
    let has_rest = !usage.tools.is_empty()
        || usage.stated_cost.is_some()
        || usage.mode.is_some()
        || usage.has_surcharge
        || usage.is_estimated;
    let known = counts.iter().enumerate().filter(|(_, count)| count.is_some());
    let bits = known.fold(0, |bits, (at, _)| bits | 1 << at);
    put_number(out, bits | u64::from(has_sum) << TOTAL_IS_SUM | u64::from(!has_rest) << HAS_ONLY_COUNTS);
    counts.into_iter().flatten().for_each(|count| put_number(out, count));
    if !has_rest {
        return;
    }
    let used = usage.tools.0.iter().rposition(|&calls| calls > 0).map_or(0, |last| last + 1);
    put_number(out, used as u64);
    usage.tools.0[..used].iter().for_each(|&calls| put_number(out, calls.into()));
    put_money(out, usage.stated_cost);
    let mode = usage.mode.and_then(|mode| MODES.iter().position(|&known| known == mode));
    put_optional(out, mode.map(|mode| mode as u64));
    out.push(u8::from(usage.has_surcharge) | u8::from(usage.is_estimated) << 1);
}

fn counts(usage: &Usage) -> [Option<u64>; COUNTS] {
    [
        usage.input,
        usage.output,
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        usage.input_audio,
        usage.input_image,
        usage.cache_read_audio,
        usage.reasoning,
        usage.output_audio,
        usage.output_image,
        usage.stated_total,
    ]
}

pub(super) fn take_usage(take: &mut Take<'_>) -> Option<Usage> {
    let bits = take.number()?;
    let mut counts = [None; COUNTS];
    for (at, count) in counts.iter_mut().enumerate() {
        if bits >> at & 1 == 1 {
            *count = Some(take.number()?);
        }
    }
    let [input, output, cache_read, cache_write, cache_write_1h, input_audio, input_image, ..] = counts;
    let [.., cache_read_audio, reasoning, output_audio, output_image, mut stated_total] = counts;
    if bits >> TOTAL_IS_SUM & 1 == 1 {
        stated_total = Some(whole(input, output)?);
    }
    let counted = Usage {
        input,
        output,
        cache_read,
        cache_write,
        cache_write_1h,
        input_audio,
        input_image,
        cache_read_audio,
        reasoning,
        output_audio,
        output_image,
        stated_total,
        ..Usage::default()
    };
    if bits >> HAS_ONLY_COUNTS & 1 == 1 {
        return Some(counted);
    }
    let mut tools = ToolCalls::default();
    let used = usize::try_from(take.number()?).ok()?;
    for calls in tools.0.get_mut(..used)? {
        *calls = u32::try_from(take.number()?).ok()?;
    }
    let stated_cost = take_money(take)?;
    let mode = match take.optional()? {
        Some(mode) => Some(*MODES.get(usize::try_from(mode).ok()?)?),
        None => None,
    };
    let flags = take.byte()?;
    let (has_surcharge, is_estimated) = (flags & 1 != 0, flags & 2 != 0);
    Some(Usage { tools, stated_cost, mode, has_surcharge, is_estimated, ..counted })
}

/// A whole of two counts, where both are known.
fn whole(input: Option<u64>, output: Option<u64>) -> Option<u64> {
    input?.checked_add(output?)
}

/// A cost of two parts, where both are known.
pub(super) fn sum_of(input: Option<Pico>, output: Option<Pico>) -> Option<Pico> {
    input?.checked_add(output?)
}

/// Money is as many bytes as it needs behind their number, the lowest first and the highest bit its sign; an unknown amount is
/// none.
pub(super) fn put_money(out: &mut Vec<u8>, amount: Option<Pico>) {
    let Some(Pico(amount)) = amount else { return put_text(out, b"") };
    let same_bits = if amount < 0 { amount.leading_ones() } else { amount.leading_zeros() };
    let bytes = (i128::BITS + 1 - same_bits).div_ceil(8) as usize;
    put_text(out, &amount.to_le_bytes()[..bytes]);
}

pub(super) fn take_money(take: &mut Take<'_>) -> Option<Option<Pico>> {
    let bytes = take.raw()?;
    let Some(last) = bytes.last() else { return Some(None) };
    let mut all = if last & 0x80 == 0 { [0; 16] } else { [0xFF; 16] };
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(Some(Pico(i128::from_le_bytes(all))))
}

/// The counts of a usage, and its modes by their number in a record: new ones go to the end.
const COUNTS: usize = 12;
const TOTAL: usize = 11;
/// Bits that stand for no count: the next count of all has bit 14. Records of versions before these bits have none of them.
const TOTAL_IS_SUM: usize = 12;
const HAS_ONLY_COUNTS: usize = 13;
const MODES: [Mode; 5] = [Mode::Standard, Mode::Batch, Mode::Flex, Mode::Priority, Mode::Other];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_comes_back_and_takes_no_more_bytes_than_it_needs() {
        let check = |amount: i128, bytes: usize| {
            let mut out = Vec::new();
            put_money(&mut out, Some(Pico(amount)));
            assert_eq!(
                (out.len(), take_money(&mut Take(&out))),
                (1 + bytes, Some(Some(Pico(amount)))),
                "{amount}"
            );
        };
        for (amount, bytes) in
            [(0, 1), (127, 1), (128, 2), (-1, 1), (-128, 1), (-129, 2), (32_767, 2), (32_768, 3)]
        {
            check(amount, bytes);
        }
        check(i128::MAX, 16);
        check(i128::MIN, 16);
        // As versions before this one wrote them, and nothing longer.
        let whole = [&[16][..], &5_i128.to_le_bytes()].concat();
        assert_eq!(take_money(&mut Take(&whole)), Some(Some(Pico(5))));
        assert_eq!(take_money(&mut Take(&[&[17][..], &[0; 17]].concat())), None);
        assert_eq!((take_money(&mut Take(&[0])), take_money(&mut Take(&[1]))), (Some(None), None));
    }

    #[test]
    fn counts_alone_take_little_and_come_back_as_all_others_do() {
        let check = |usage: Usage, bytes: usize| {
            let mut out = Vec::new();
            put_usage(&mut out, &usage);
            assert_eq!((out.len(), take_usage(&mut Take(&out))), (bytes, Some(usage)), "{usage:?}");
            for cut in 0..out.len() {
                assert_eq!(take_usage(&mut Take(&out[..cut])), None, "{usage:?} cut at {cut}");
            }
        };
        let counted = Usage { input: Some(10), output: Some(20), ..Usage::default() };
        let mut alone = Vec::new();
        put_usage(&mut alone, &counted);
        assert_eq!(alone, [0x83, 0x40, 10, 20], "bit 13 is for what is not known");
        check(Usage::default(), 2);
        check(counted, 4);
        check(Usage { stated_total: Some(30), ..counted }, 4);
        check(Usage { stated_total: Some(31), ..counted }, 5);
        check(Usage { stated_total: Some(30), input: None, ..counted }, 4);
        check(Usage { input: Some(u64::MAX), stated_total: Some(19), ..counted }, 14);
        for more in [
            Usage { mode: Some(Mode::Standard), ..counted },
            Usage { stated_cost: Some(Pico(0)), ..counted },
            Usage { has_surcharge: true, ..counted },
            Usage { is_estimated: true, ..counted },
            Usage { tools: ToolCalls([1, 0, 0, 0, 0]), ..counted },
        ] {
            let mut out = Vec::new();
            put_usage(&mut out, &more);
            assert_eq!(take_usage(&mut Take(&out)), Some(more));
        }
    }

    #[test]
    fn counts_of_earlier_versions_are_read() {
        let mut old = Vec::new();
        put_number(&mut old, 0b1000_0000_0011);
        [10, 20, 30].into_iter().for_each(|count| put_number(&mut old, count));
        // No tools, no stated cost, no mode, no flags.
        old.extend_from_slice(&[0, 0, 0, 0]);
        let want = Usage { input: Some(10), output: Some(20), stated_total: Some(30), ..Usage::default() };
        assert_eq!(take_usage(&mut Take(&old)), Some(want));
        // A total that is a sum of what is not there.
        let mut none = Vec::new();
        put_number(&mut none, 0b01 | 1 << TOTAL_IS_SUM | 1 << HAS_ONLY_COUNTS);
        put_number(&mut none, 10);
        assert_eq!(take_usage(&mut Take(&none)), None);
    }
}
