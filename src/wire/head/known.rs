//! The names of headers whose meaning some room acts on. A name of at most sixteen bytes is looked up as one number: one
//! multiplication and one comparison, whatever the name.

/// A header whose meaning some room acts on; every other one is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    Other,
    Accept,
    AcceptEncoding,
    AltSvc,
    ApiKey,
    Authorization,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Host,
    KeepAlive,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    RetryAfter,
    RetryAfterMs,
    Server,
    SetCookie,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    WwwAuthenticate,
    XApiKey,
    XGoogApiKey,
    XRequestId,
    XRingwayHops,
    XShouldRetry,
}

impl Known {
    /// The word for a header's name, in any case.
    pub fn of(name: &[u8]) -> Known {
        if name.len() > NAME_WORD_BYTES {
            return LONG_NAMES
                .iter()
                .find(|(long, _)| is_same(long, name))
                .map_or(Known::Other, |&(_, known)| known);
        }
        // A word is filled up with zero bytes, which no name of the table holds.
        if name.contains(&0) {
            return Known::Other;
        }
        Known::of_word(NameWord::new(name))
    }

    /// The word for the name that was made to this number. The name holds no zero byte.
    #[inline]
    pub(super) fn of_word(word: NameWord) -> Known {
        let (name, known) = &SLOTS[slot(word.0)];
        if *name == word.0 { *known } else { Known::Other }
    }

    /// This name's bit in a set of names.
    #[inline]
    pub(super) fn bit(self) -> u64 {
        1 << self as u8
    }

    /// Whether the header shows who the caller is to the server it was meant for.
    pub fn names_caller(self) -> bool {
        matches!(
            self,
            Known::Authorization | Known::XApiKey | Known::ApiKey | Known::XGoogApiKey | Known::Cookie
        )
    }

    /// Whether the header speaks about one connection only (RFC 9110 §7.6.1) or about framing, and so never passes.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::ContentLength
                | Known::KeepAlive
                | Known::ProxyAuthenticate
                | Known::ProxyAuthorization
                | Known::ProxyConnection
                | Known::Te
                | Known::Trailer
                | Known::TransferEncoding
                | Known::Upgrade
        )
    }
}

/// A name of at most sixteen bytes in lower case as one little-endian number.
#[derive(Clone, Copy)]
pub(super) struct NameWord(u128);

impl NameWord {
    fn new(name: &[u8]) -> NameWord {
        let mut bytes = [0; NAME_WORD_BYTES];
        bytes[..name.len()].copy_from_slice(name);
        bytes.make_ascii_lowercase();
        NameWord(u128::from_le_bytes(bytes))
    }

    /// The word of the first `length` bytes, all of which are letters, digits, dashes and underscores.
    #[inline]
    pub(super) fn of_usual(bytes: &[u8; NAME_WORD_BYTES], length: usize) -> NameWord {
        // The bit that makes a letter a lower-case one is set in digits and dashes already. An underscore becomes DEL, which
        // no name of the table holds.
        NameWord((u128::from_le_bytes(*bytes) | (EVERY_BYTE * 0x20)) & FIRST_BYTES[length])
    }
}

fn is_same(name: &str, other: &[u8]) -> bool {
    name.as_bytes().eq_ignore_ascii_case(other)
}

/// Where a word stands in the table, if it does.
#[inline]
const fn slot(word: u128) -> usize {
    let folded = word as u64 ^ (word >> 64) as u64;
    (folded.wrapping_mul(SLOT_FACTOR) >> (u64::BITS - SLOTS_COUNT.ilog2())) as usize
}

/// The bytes of a name that is looked up as one number.
pub(super) const NAME_WORD_BYTES: usize = 16;
const EVERY_BYTE: u128 = u128::from_le_bytes([1; NAME_WORD_BYTES]);
/// The masks of a word's first bytes.
static FIRST_BYTES: [u128; NAME_WORD_BYTES + 1] = {
    let mut masks = [u128::MAX; NAME_WORD_BYTES + 1];
    let mut length = 0;
    while length < NAME_WORD_BYTES {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};
const SLOTS_COUNT: usize = 64;
/// Found by trying; it gives each name a slot of its own, which is asserted when the table is made.
const SLOT_FACTOR: u64 = 0x4608_68BE_1B92_758B;

/// Every name that fits a word, at its place.
static SLOTS: [(u128, Known); SLOTS_COUNT] = {
    let mut slots = [(0, Known::Other); SLOTS_COUNT];
    let mut index = 0;
    while index < NAMES.len() {
        let (name, known) = (NAMES[index].0.as_bytes(), NAMES[index].1);
        let (mut bytes, mut at) = ([0; NAME_WORD_BYTES], 0);
        while at < name.len() {
            bytes[at] = name[at];
            at += 1;
        }
        let word = u128::from_le_bytes(bytes);
        assert!(slots[slot(word)].0 == 0, "two names share a slot: another factor is needed");
        slots[slot(word)] = (word, known);
        index += 1;
    }
    slots
};

const NAMES: [(&str, Known); 29] = [
    ("accept", Known::Accept),
    ("accept-encoding", Known::AcceptEncoding),
    ("alt-svc", Known::AltSvc),
    ("api-key", Known::ApiKey),
    ("authorization", Known::Authorization),
    ("connection", Known::Connection),
    ("content-encoding", Known::ContentEncoding),
    ("content-length", Known::ContentLength),
    ("content-type", Known::ContentType),
    ("cookie", Known::Cookie),
    ("date", Known::Date),
    ("expect", Known::Expect),
    ("host", Known::Host),
    ("keep-alive", Known::KeepAlive),
    ("proxy-connection", Known::ProxyConnection),
    ("retry-after", Known::RetryAfter),
    ("retry-after-ms", Known::RetryAfterMs),
    ("server", Known::Server),
    ("set-cookie", Known::SetCookie),
    ("te", Known::Te),
    ("trailer", Known::Trailer),
    ("upgrade", Known::Upgrade),
    ("user-agent", Known::UserAgent),
    ("www-authenticate", Known::WwwAuthenticate),
    ("x-api-key", Known::XApiKey),
    ("x-goog-api-key", Known::XGoogApiKey),
    ("x-request-id", Known::XRequestId),
    ("x-ringway-hops", Known::XRingwayHops),
    ("x-should-retry", Known::XShouldRetry),
];
const LONG_NAMES: [(&str, Known); 3] = [
    ("transfer-encoding", Known::TransferEncoding),
    ("proxy-authenticate", Known::ProxyAuthenticate),
    ("proxy-authorization", Known::ProxyAuthorization),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The slow twin: every name, letter by letter.
    fn named(name: &[u8]) -> Known {
        let all = NAMES.iter().chain(&LONG_NAMES);
        let found = all.into_iter().find(|(known, _)| is_same(known, name));
        found.map_or(Known::Other, |&(_, known)| known)
    }

    fn check(name: &[u8]) {
        let want = named(name);
        assert_eq!(Known::of(name), want, "{name:?}");
        let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.len() <= NAME_WORD_BYTES && name.iter().all(is_usual) {
            let mut bytes = [b'Q'; NAME_WORD_BYTES];
            bytes[..name.len()].copy_from_slice(name);
            assert_eq!(Known::of_word(NameWord::of_usual(&bytes, name.len())), want, "{name:?}");
        }
    }

    #[test]
    fn a_name_is_known_in_any_case_and_with_any_byte_changed_it_is_judged_as_the_twin_does() {
        for (name, known) in NAMES.iter().chain(&LONG_NAMES) {
            assert_eq!(Known::of(name.as_bytes()), *known);
            for name in [name.to_ascii_uppercase(), (*name).to_owned(), name.replace('-', "_")] {
                check(name.as_bytes());
                check(&[name.as_bytes(), b"\0"].concat());
                check(&[name.as_bytes(), b"a"].concat());
                check(&name.as_bytes()[1..]);
                for at in 0..name.len() {
                    for byte in 0..=u8::MAX {
                        let mut changed = name.clone().into_bytes();
                        changed[at] = byte;
                        check(&changed);
                    }
                }
            }
        }
    }

    #[test]
    fn every_header_has_a_name() {
        let mut words: Vec<u8> = NAMES.iter().chain(&LONG_NAMES).map(|&(_, known)| known as u8).collect();
        words.sort_unstable();
        assert_eq!(words, (1..=Known::XShouldRetry as u8).collect::<Vec<_>>());
    }
}
