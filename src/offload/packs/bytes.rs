//! A pack as bytes: a version, then of each exchange its beginning and its end with their lengths in front, then a sum over all
//! of it. Reading never panics; what is cut or changed is told as damage and never as another exchange.

use std::fmt;

use crate::base::id::Ids;
use crate::base::limits::{PACK_AGES_MS, PACK_BYTES_MAX, PACK_EXCHANGES_MAX, PACK_SPAN_MS_MAX};
use crate::ledger::codec::{Take, put_text};
use crate::ledger::record::{self, Auth, Begun, BegunGlance, Ended, Glance, Record, RecordId};
use crate::offload::store::{Row, Value, tables};

/// A pack that is being filled.
pub struct Pack {
    bytes: Vec<u8>,
    first: RecordId,
    from_ms: u64,
    to_ms: u64,
    count: u64,
    has_usage: bool,
    has_audit: bool,
}

impl Default for Pack {
    fn default() -> Pack {
        let first = RecordId(u128::MAX);
        Pack {
            bytes: vec![VERSION],
            first,
            from_ms: u64::MAX,
            to_ms: 0,
            count: 0,
            has_usage: false,
            has_audit: false,
        }
    }
}

impl Pack {
    /// Adds an exchange by the bytes of its two records.
    pub fn add(&mut self, glance: BegunGlance, pair: Pair<'_>) {
        put_text(&mut self.bytes, pair.begun);
        put_text(&mut self.bytes, pair.ended);
        self.first = self.first.min(pair.id);
        self.from_ms = self.from_ms.min(glance.at_ms);
        self.to_ms = self.to_ms.max(glance.at_ms);
        self.count += 1;
        self.has_usage |= !glance.skips_usage;
        self.has_audit |= !glance.skips_audit;
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_BYTES_MAX || self.count as usize >= PACK_EXCHANGES_MAX
    }

    /// Whether it spans no more than it may with an exchange of this time.
    fn can_span(&self, at_ms: u64) -> bool {
        self.count == 0 || self.to_ms.max(at_ms) - self.from_ms.min(at_ms) <= PACK_SPAN_MS_MAX
    }

    /// The row that holds it.
    pub fn row(mut self) -> Row {
        self.bytes.extend_from_slice(&crc32fast::hash(&self.bytes).to_le_bytes());
        let until = |is_held: bool| if is_held { Value::time_ms(self.to_ms) } else { Value::Null };
        Row::of_values(
            &tables::RECORD_PACKS,
            vec![
                Value::Text(text_of(self.first)),
                Value::time_ms(self.from_ms),
                Value::time_ms(self.to_ms),
                until(self.has_usage),
                until(self.has_audit),
                Value::count(self.count),
                Value::Bytes(self.bytes),
            ],
        )
    }
}

/// The packs of one batch. Exchanges that took long stand apart, so that a pack of others spans little time: whoever looks for a
/// moment reads all packs that span it.
pub struct Packs {
    audits: bool,
    filling: [Pack; PACK_AGES_MS.len() + 1],
    full: Vec<Pack>,
}

impl Packs {
    /// None yet; what only the audit log shows is left out where it is not kept.
    pub fn new(audits: bool) -> Packs {
        Packs { audits, filling: Default::default(), full: Vec::new() }
    }

    /// Adds an exchange that ended about now.
    pub fn add(&mut self, now_ms: u64, glance: BegunGlance, pair: Pair<'_>) {
        if glance.skips_usage && (glance.skips_audit || !self.audits) {
            return;
        }
        let age_ms = now_ms.saturating_sub(glance.at_ms);
        let place = PACK_AGES_MS.iter().position(|&most| age_ms < most).unwrap_or(PACK_AGES_MS.len());
        let pack = &mut self.filling[place];
        if !pack.can_span(glance.at_ms) {
            self.full.push(std::mem::take(pack));
        }
        if self.audits && !glance.skips_audit {
            pack.add(glance, pair);
        } else if let Ok([begun, ended]) = pair.without_audit() {
            let glance = BegunGlance { skips_audit: true, ..glance };
            pack.add(glance, Pair { id: pair.id, begun: &begun, ended: &ended });
        }
        if pack.is_full() {
            self.full.push(std::mem::take(pack));
        }
    }

    /// The rows that hold them.
    pub fn rows(self) -> Vec<Row> {
        let all = self.full.into_iter().chain(self.filling);
        all.filter(|pack| pack.has_usage || pack.has_audit).map(Pack::row).collect()
    }
}

/// Why a pack cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is not as it was written.
    Changed,
    /// A later version of the gateway wrote it.
    Later,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Damage::Changed => "is damaged: its bytes are not those that were written",
            Damage::Later => "was written by a later version of the gateway",
        })
    }
}

/// An exchange as the two records of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'p> {
    pub id: RecordId,
    pub begun: &'p [u8],
    pub ended: &'p [u8],
}

impl<'p> Pair<'p> {
    /// What they say.
    pub fn read(&self) -> Result<(Box<Begun<'p>>, Box<Ended<'p>>), Damage> {
        match (record::read(self.begun), record::read(self.ended)) {
            (Some(Record::Begun(_, begun)), Some(Record::Ended(_, ended))) => Ok((begun, ended)),
            _ => Err(Damage::Changed),
        }
    }

    /// Its records without what only the audit log shows: addresses, user agents, paths, attempts.
    pub fn without_audit(&self) -> Result<[Vec<u8>; 2], Damage> {
        let (begun, ended) = self.read()?;
        let begun = Begun {
            auth: Auth::NoKey,
            method: "",
            path: "",
            client_ip: "",
            user_agent: "",
            skips_audit: true,
            ..*begun
        };
        let ended = Ended {
            error: "",
            first_byte_us: None,
            first_token_us: None,
            bytes_in: 0,
            bytes_out: 0,
            attempts: Vec::new(),
            attempts_unlisted: 0,
            ..*ended
        };
        let mut out = [Vec::new(), Vec::new()];
        record::write_begun(&mut out[0], self.id, &begun);
        record::write_ended(&mut out[1], self.id, &ended);
        Ok(out)
    }
}

/// The exchanges of a pack, whose sum is held against its bytes first.
pub fn read(bytes: &[u8]) -> Result<Vec<Pair<'_>>, Damage> {
    pairs(open(bytes)?)
}

/// What a pack holds, after its sum was found to be right.
pub fn open(bytes: &[u8]) -> Result<&[u8], Damage> {
    let (held, sum) = bytes.split_last_chunk().ok_or(Damage::Changed)?;
    if crc32fast::hash(held) != u32::from_le_bytes(*sum) {
        return Err(Damage::Changed);
    }
    match held.split_first() {
        Some((&VERSION, held)) => Ok(held),
        Some(_) => Err(Damage::Later),
        None => Err(Damage::Changed),
    }
}

/// The exchanges in what a pack holds.
pub fn pairs(held: &[u8]) -> Result<Vec<Pair<'_>>, Damage> {
    let (mut take, mut pairs) = (Take(held), Vec::new());
    while !take.0.is_empty() {
        pairs.push(next(&mut take).ok_or(Damage::Changed)?);
    }
    Ok(pairs)
}

fn next<'p>(take: &mut Take<'p>) -> Option<Pair<'p>> {
    let (begun, ended) = (take.raw()?, take.raw()?);
    match (record::glance(begun)?, record::glance(ended)?) {
        (Glance::Begun(id, _), Glance::Ended(of)) if id == of => Some(Pair { id, begun, ended }),
        _ => None,
    }
}

/// The id in the form of a UUID.
pub fn text_of(id: RecordId) -> String {
    String::from_utf8_lossy(&Ids::text_of(id.0)).into_owned()
}

/// The id of this text, as [`text_of`] writes it.
pub fn id_of(text: &str) -> Option<RecordId> {
    let digits = text.len() == 36 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    let number = u128::from_str_radix(&text.replace('-', ""), 16).ok().filter(|_| digits)?;
    Some(RecordId(number)).filter(|id| text_of(*id) == text)
}

/// Changes when the form above does; what the records in it look like is told by their own kinds.
const VERSION: u8 = 1;
