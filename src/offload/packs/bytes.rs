//! A pack as bytes, small and quick to add up. Reading never panics; what is cut or changed is told as damage and never as another
//! exchange.
//!
//! ```text
//! pack     := version 5 | exchange* | sum u32                  (CRC-32 over all before it)
//! exchange := own | number | common when that is 0 | end       (texts have their lengths in front)
//! end      := kind | what stands behind the id in the record of an end
//! ```
//!
//! `own` and `common` are the two parts of the beginning, and few exchanges have a second part that none before them has: the number
//! says the how-manieth of the pack it is, counted from one, and 0 stands before the next new one. Packs of
//! version 4 hold no plain ends, and their usage says everything. In packs of versions 3 and 2 the whole record of the end stands in its place, and in those of
//! version 2 it says times and names in full; in those of version 1 an exchange is `begun | ended`, two whole records.

use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;

use crate::base::id::Ids;
use crate::base::limits::{PACK_AGES_MS, PACK_BYTES_MAX, PACK_EXCHANGES_MAX, PACK_SPAN_MS_MAX};
use crate::ledger::codec::{Take, put_number, put_text};
use crate::ledger::record::{
    self, Attempts, Auth, Begun, BegunGlance, End, Ended, Glance, RecordId, Session,
};
use crate::offload::store::{Row, Value, tables};

/// A pack that is being filled.
pub struct Pack {
    bytes: Vec<u8>,
    /// The second parts that it has, and the number of each.
    commons: HashMap<Box<[u8]>, u64, RandomState>,
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
            commons: HashMap::default(),
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
        put_text(&mut self.bytes, pair.own);
        match self.commons.get(pair.common) {
            Some(&number) => put_number(&mut self.bytes, number),
            None => {
                self.commons.insert(pair.common.into(), self.commons.len() as u64 + 1);
                put_number(&mut self.bytes, 0);
                put_text(&mut self.bytes, pair.common);
            }
        }
        put_number(&mut self.bytes, 1 + pair.end.rest.len() as u64);
        self.bytes.push(pair.end.kind);
        self.bytes.extend_from_slice(pair.end.rest);
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
        } else if let Ok(bare) = pair.without_audit() {
            pack.add(BegunGlance { skips_audit: true, ..glance }, bare.pair());
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

/// An exchange as the two records of it, the first one in its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'p> {
    pub id: RecordId,
    pub own: &'p [u8],
    pub common: &'p [u8],
    pub end: End<'p>,
}

impl<'p> Pair<'p> {
    /// An exchange by its two records, whose beginning looks like this; `None` when they are not of one.
    pub fn of(id: RecordId, begun: &'p [u8], glance: BegunGlance, ended: &'p [u8]) -> Option<Pair<'p>> {
        let (own, common) = begun.split_at(glance.common_at);
        let (_, end) = End::of(ended).filter(|(of, _)| *of == id)?;
        Some(Pair { id, own, common, end })
    }

    /// What they say.
    pub fn read(&self) -> Result<(Box<Begun<'p>>, Box<Ended<'p>>), Damage> {
        match (record::read_begun(self.own, self.common), self.end.read()) {
            (Some((_, begun)), Some(ended)) => Ok((begun, ended)),
            _ => Err(Damage::Changed),
        }
    }

    /// The same without what only the audit log shows: addresses, user agents, paths, attempts.
    pub fn without_audit(&self) -> Result<Bare, Damage> {
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
            attempts: Attempts::default(),
            attempts_unlisted: 0,
            ..*ended
        };
        let mut bare = Bare { id: self.id, own: Vec::new(), common: Vec::new(), ended: Vec::new() };
        record::write_own(&mut bare.own, self.id, &begun, Session::of(&begun));
        record::write_common(&mut bare.common, &begun);
        record::write_ended(&mut bare.ended, self.id, &ended);
        Ok(bare)
    }
}

/// An exchange of which only usage is left.
pub struct Bare {
    id: RecordId,
    own: Vec<u8>,
    common: Vec<u8>,
    ended: Vec<u8>,
}

impl Bare {
    pub fn pair(&self) -> Pair<'_> {
        let (_, end) = End::of(&self.ended).expect("it was written as an end");
        Pair { id: self.id, own: &self.own, common: &self.common, end }
    }
}

/// The exchanges of a pack, whose sum is held against its bytes first.
pub fn read(bytes: &[u8]) -> Result<Vec<Pair<'_>>, Damage> {
    let (mut held, mut pairs) = (open(bytes)?, Vec::new());
    while let Some((pair, _)) = held.next_pair()? {
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Opens a pack, when its sum is right.
pub fn open(bytes: &[u8]) -> Result<Held<'_>, Damage> {
    let (held, sum) = bytes.split_last_chunk().ok_or(Damage::Changed)?;
    if crc32fast::hash(held) != u32::from_le_bytes(*sum) {
        return Err(Damage::Changed);
    }
    match held.split_first() {
        Some((&version @ VERSION_1..=VERSION, held)) => {
            Ok(Held { take: Take(held), version, commons: Vec::new() })
        }
        Some(_) => Err(Damage::Later),
        None => Err(Damage::Changed),
    }
}

/// What of a pack is not read yet.
pub struct Held<'p> {
    take: Take<'p>,
    version: u8,
    /// The second parts that came so far.
    commons: Vec<&'p [u8]>,
}

impl<'p> Held<'p> {
    /// The bytes that are not read yet.
    pub fn bytes(&self) -> &'p [u8] {
        self.take.0
    }

    /// The next exchange, and which of the pack's second parts it has, counted from zero. Those of one number are the same.
    pub fn next_pair(&mut self) -> Result<Option<(Pair<'p>, usize)>, Damage> {
        if self.take.0.is_empty() {
            return Ok(None);
        }
        let next = if self.version == VERSION_1 { self.next_of_1() } else { self.next_of_now() };
        next.map(Some).ok_or(Damage::Changed)
    }

    fn next_of_now(&mut self) -> Option<(Pair<'p>, usize)> {
        let own = self.take.raw()?;
        let number = match usize::try_from(self.take.number()?).ok()? {
            0 => {
                self.commons.push(self.take.raw()?);
                self.commons.len() - 1
            }
            number => number - 1,
        };
        let common = *self.commons.get(number)?;
        let (id, ended) = (record::glance_own(own)?.id, self.take.raw()?);
        let end = match self.version {
            VERSION_4..=VERSION => End::of_bytes(ended)?,
            _ => End::of(ended).filter(|(of, _)| *of == id)?.1,
        };
        Some((Pair { id, own, common, end }, number))
    }

    fn next_of_1(&mut self) -> Option<(Pair<'p>, usize)> {
        let (begun, ended) = (self.take.raw()?, self.take.raw()?);
        let Glance::Begun(id, glance) = record::glance(begun)? else { return None };
        let pair = Pair::of(id, begun, glance, ended)?;
        self.commons.push(pair.common);
        Some((pair, self.commons.len() - 1))
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

/// Changes when the form above does, and when records say what no version before could read.
const VERSION: u8 = 5;
const VERSION_4: u8 = 4;
const VERSION_1: u8 = 1;
