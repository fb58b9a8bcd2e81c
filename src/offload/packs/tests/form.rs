//! A pack as bytes: what it spans, what damage is told, and how its id is spelled.

use super::*;
use crate::ledger::codec::put_text;

#[test]
fn a_pack_that_was_cut_or_changed_anywhere_is_damaged_and_no_other_pack() {
    let all = exchanges(3, 2);
    let mut pack = Pack::default();
    all.iter().for_each(|known| pack.add(known.glance(), known.pair()));
    let data = pack.row().get("data").as_bytes().expect("bytes").to_vec();
    assert_eq!(bytes::read(&data), Ok(all.iter().map(Known::pair).collect()));
    for cut in 0..data.len() {
        assert_eq!(bytes::read(&data[..cut]), Err(Damage::Changed), "cut at {cut}");
    }
    for bit in 0..data.len() * 8 {
        let mut changed = data.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(bytes::read(&changed), Err(Damage::Changed), "bit {bit}");
    }
    // A good sum over something else.
    let sealed = |bytes: &[u8]| [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat();
    assert_eq!(bytes::read(&sealed(b"\x06")), Err(Damage::Later));
    assert_eq!(bytes::read(&sealed(b"")), Err(Damage::Changed));
    for version in [b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"] {
        assert_eq!(bytes::read(&sealed(version)), Ok(Vec::new()));
    }
    let held = &data[..data.len() - 4];
    let whole = [1, all[0].begun.len(), all[0].pair().end.rest.len()];
    for cut in 2..held.len() {
        let read = sealed(&held[..cut]);
        match bytes::read(&read) {
            Ok(pairs) => assert!(pairs.len() < all.len() && cut > whole[1] + whole[2], "cut at {cut}"),
            Err(damage) => assert_eq!(damage, Damage::Changed, "cut at {cut}"),
        }
    }
}

#[test]
fn packs_of_the_first_version_are_read() {
    let all = exchanges(20, 4);
    let mut data = vec![1];
    for known in &all {
        put_text(&mut data, &known.begun);
        put_text(&mut data, &known.ended);
    }
    data.extend_from_slice(&crc32fast::hash(&data).to_le_bytes());
    assert_eq!(bytes::read(&data), Ok(all.iter().map(Known::pair).collect()));
    let mut held = bytes::open(&data).expect("a pack");
    for number in 0..all.len() {
        assert_eq!(
            held.next_pair().map(|next| next.map(|(_, number)| number)),
            Ok(Some(number)),
            "nothing is shared"
        );
    }
}

#[test]
fn packs_with_whole_records_of_ends_are_read() {
    let all = exchanges(20, 4);
    for version in [2, 3] {
        let mut data = vec![version];
        for known in &all {
            put_text(&mut data, known.pair().own);
            put_text(&mut data, b"");
            put_text(&mut data, known.pair().common);
            put_text(&mut data, &known.ended);
        }
        data.extend_from_slice(&crc32fast::hash(&data).to_le_bytes());
        assert_eq!(bytes::read(&data), Ok(all.iter().map(Known::pair).collect()));
    }
    // Of another exchange than the beginning before it.
    let mut data = vec![3];
    put_text(&mut data, all[0].pair().own);
    put_text(&mut data, b"");
    put_text(&mut data, all[0].pair().common);
    put_text(&mut data, &all[1].ended);
    data.extend_from_slice(&crc32fast::hash(&data).to_le_bytes());
    assert_eq!(bytes::read(&data), Err(Damage::Changed));
}

#[test]
fn packs_of_the_version_before_plain_ends_are_read() {
    let all = exchanges(20, 4);
    let mut data = vec![4];
    for known in &all {
        let pair = known.pair();
        put_text(&mut data, pair.own);
        put_text(&mut data, b"");
        put_text(&mut data, pair.common);
        put_text(&mut data, &[&[pair.end.kind], pair.end.rest].concat());
    }
    data.extend_from_slice(&crc32fast::hash(&data).to_le_bytes());
    assert_eq!(bytes::read(&data), Ok(all.iter().map(Known::pair).collect()));
}

#[test]
fn what_exchanges_have_in_common_stands_in_a_pack_once() {
    let all = exchanges(200, 6);
    let (mut pack, mut commons) = (Pack::default(), Vec::new());
    for known in all.iter().chain(&all) {
        pack.add(known.glance(), known.pair());
        if !commons.contains(&known.pair().common) {
            commons.push(known.pair().common);
        }
    }
    let row = pack.row();
    let mut held = bytes::open(row.get("data").as_bytes().expect("bytes")).expect("a pack");
    for known in all.iter().chain(&all) {
        let (pair, number) = held.next_pair().expect("no damage").expect("an exchange");
        assert_eq!((pair, pair.common), (known.pair(), commons[number]));
    }
    assert_eq!(held.next_pair(), Ok(None));
    let own = |known: &Known| known.begun.len() - known.pair().common.len() + known.pair().end.rest.len();
    let bytes: usize = all.iter().map(|known| 2 * own(known)).sum();
    let shared: usize = commons.iter().map(|common| common.len()).sum();
    assert!(row.get("data").as_bytes().is_some_and(|data| data.len() < bytes + shared + 400 * 8));
}

#[test]
fn packs_span_no_more_than_they_may_and_old_exchanges_stand_apart() {
    let all = exchanges(1, 9);
    let check = |ages_ms: &[u64], want: &[(u64, i64)]| {
        let (mut packs, now_ms) = (Packs::new(true), START_MS + 10_000_000);
        for age_ms in ages_ms {
            let glance = BegunGlance { at_ms: now_ms - age_ms, skips_usage: false, ..all[0].glance() };
            packs.add(now_ms, glance, all[0].pair());
        }
        let row = |row: &Row| {
            let ms = |name: &str| row.get(name).as_integer().expect("a time");
            ((ms("to_ms") - ms("from_ms")) as u64, row.get("count").as_integer().expect("a count"))
        };
        let mut got: Vec<_> = packs.rows().iter().map(row).collect();
        got.sort_unstable();
        assert_eq!(got, want);
    };
    check(&[], &[]);
    check(&[0, 1, PACK_AGES_MS[0] - 1], &[(PACK_AGES_MS[0] - 1, 3)]);
    check(&[0, PACK_AGES_MS[0], PACK_AGES_MS[1]], &[(0, 1), (0, 1), (0, 1)]);
    let first = PACK_AGES_MS[1];
    check(&[first, first + PACK_SPAN_MS_MAX], &[(PACK_SPAN_MS_MAX, 2)]);
    check(&[first, first + PACK_SPAN_MS_MAX + 1], &[(0, 1), (0, 1)]);
}

#[test]
fn an_id_is_read_from_its_own_text_and_from_no_other() {
    let id = exchanges(1, 1)[0].id;
    let text = bytes::text_of(id);
    assert_eq!(bytes::id_of(&text), Some(id));
    for other in
        [text.to_uppercase(), text.replace('-', ""), format!("{text} "), String::new(), "é".repeat(18)]
    {
        assert_eq!(bytes::id_of(&other), None, "{other}");
    }
}

#[test]
fn an_exchange_is_found_by_a_request_id_that_stands_in_its_pack_as_a_number() {
    run(async {
        let all = exchanges(120, 12);
        let files = twins("numbers", &all).await;
        let is_named = |known: &&Known| known.pair().read().is_ok_and(|(begun, _)| begun.is_named_by_id);
        let named: Vec<String> = all.iter().filter(is_named).map(|known| bytes::text_of(known.id)).collect();
        assert!(named.len() > 20);
        let mut found = 0;
        for name in named {
            let own = Select::new(&tables::USAGE, Filter::all().equal("request_id", Value::text(name)), 9);
            let rows = files[1].store.select(own.clone()).await.expect("rows");
            assert_eq!(files[0].store.select(own).await.as_ref(), Ok(&rows));
            found += rows.len();
        }
        assert!(found > 15, "{found}");
    });
}
