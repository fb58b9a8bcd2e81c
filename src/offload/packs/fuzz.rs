//! The body of the fuzz target for packs.

use super::bytes::{self, Packs, Pair};
use super::columns::{ATTEMPTS, AUDIT, Exchange, USAGE};
use crate::ledger::record::{self, Attempt, AttemptKind, Attempts, Begun, Ended, Glance, RecordId, Remarks};

/// Whatever a pack holds, reading it comes to an end and every exchange in it has its rows; and what was put into one comes back
/// as it was, with texts that came from anywhere, and not after a byte of it was changed.
pub fn pack(input: &[u8]) {
    read_all(input);
    // The same behind a good sum, which no chance would find.
    let mut sealed = input.to_vec();
    sealed.extend_from_slice(&crc32fast::hash(input).to_le_bytes());
    read_all(&sealed);
    let text = String::from_utf8_lossy(input);
    let (mut begun, mut ended) = (Vec::new(), Vec::new());
    let id = RecordId(u128::from(AT_MS) << 80 | 7 << 76 | 1);
    let attempt = Attempt {
        kind: AttemptKind::Primary,
        provider: &text,
        model: "m",
        status: 500,
        fault: "f",
        duration_us: 1,
    };
    let of_text = Begun { at_ms: AT_MS, path: "/v1", user_path: &text, labels: &text, ..Begun::default() };
    record::write_begun(&mut begun, id, &of_text);
    record::write_ended(
        &mut ended,
        id,
        &Ended { error: &text, attempts: Attempts::Shown(&[attempt]), ..Ended::default() },
    );
    let Some(Glance::Begun(_, glance)) = record::glance(&begun) else { panic!("it is a beginning") };
    let pair = Pair::of(id, &begun, glance, &ended).expect("both are of one exchange");
    let mut packs = Packs::new(true);
    packs.add(AT_MS, glance, pair);
    packs.add(AT_MS, glance, pair);
    let mut data = packs.rows()[0].get("data").as_bytes().expect("bytes").to_vec();
    assert_eq!(bytes::read(&data), Ok(vec![pair; 2]));
    let at = input.len() * 7 % data.len();
    data[at] ^= 1 << (input.len() % 8);
    assert!(bytes::read(&data).is_err(), "byte {at} was changed");
}

fn read_all(bytes: &[u8]) {
    for pair in bytes::read(bytes).unwrap_or_default() {
        let Ok((begun, ended)) = pair.read() else { continue };
        assert!(pair.without_audit().is_ok_and(|bare| bare.pair().read().is_ok()));
        assert_eq!(pair.end.cost(), Some(ended.cost));
        assert_eq!(record::glance_own(pair.own).map(|own| own.skips_usage), Some(begun.skips_usage));
        let exchange = Exchange { id: pair.id, begun: &begun, ended: &ended, remarks: Remarks::default() };
        for made in [&USAGE, &AUDIT, &ATTEMPTS] {
            (0..(made.rows)(&exchange)).for_each(|number| drop(made.row(&exchange, number)));
        }
    }
}

const AT_MS: u64 = 1_764_000_000_000;
