//! The scanner: a state machine over any number of inputs that looks at each byte once and never goes back.

use super::text::{Utf8Tail, find_plain_end, find_text_end};
use super::{JsonFault, JsonStep, Kind, Member};
use crate::base::Span;
use crate::base::limits::{JSON_DEPTH_MAX, JSON_KEYS_BYTES_MAX, JSON_KEYS_COUNT_MAX};

/// Scans one object. After `Done` or `Bad` it is finished.
///
/// Invariant: bit `depth - 1` of `kinds` says whether the innermost open container is an object.
#[derive(Clone, Debug, Default)]
pub struct Scanner {
    state: State,
    depth: usize,
    kinds: u64,
    /// Bytes of earlier inputs.
    base: usize,
    key_at: usize,
    key: Span,
    /// Top-level keys that began, and the bytes of those that ended.
    keys_count: usize,
    keys_bytes: usize,
    value_at: usize,
    kind: Option<Kind>,
    /// What is left of a literal.
    rest: &'static [u8],
    hex_left: u8,
    in_key: bool,
    key_is_escaped: bool,
    utf8: Utf8Tail,
    /// `None` leaves the check for keys that stand twice to the caller, who has the whole document.
    keys: Option<Keys>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Value,
    /// Behind `[`: a value or `]`.
    ValueOrEnd,
    /// Behind `{`: a key or `}`.
    KeyOrEnd,
    Key,
    Colon,
    AfterValue,
    Text,
    Escape,
    Hex,
    Literal,
    Minus,
    Zero,
    Integer,
    Dot,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// Boxed, because it is rare and would make every result of the hot path large.
type Scanned = Result<(), Box<JsonFault>>;

impl Scanner {
    /// A scanner for documents that come in pieces: it remembers the keys and refuses one that stands twice.
    pub fn new() -> Scanner {
        Scanner { keys: Some(Keys::default()), ..Scanner::default() }
    }

    /// Takes more of the document and appends the members that were completed. Places count from the document's start.
    pub fn step(&mut self, input: &[u8], members: &mut Vec<Member>) -> JsonStep {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            let result = match self.state {
                State::Text => self.text(input, &mut at, members),
                _ => self.byte(byte, &mut at, members),
            };
            match result {
                Ok(()) => {}
                Err(fault) => return JsonStep::Bad(*fault),
            }
            if self.depth == 0 && self.state == State::AfterValue {
                return JsonStep::Done { used: at };
            }
        }
        self.base += input.len();
        JsonStep::More
    }

    /// Where the value of the current top-level member began, while it is open.
    pub(super) fn open_value_at(&self) -> Option<usize> {
        self.kind.map(|_| self.value_at)
    }

    /// The unescaped key of the top-level member with this index, counted from the first.
    pub(super) fn key_name(&self, index: usize) -> &[u8] {
        self.keys.as_ref().map_or(&[], |keys| keys.name(index))
    }

    /// One byte outside of a text. Advances `at`, except where the byte only ended a number.
    fn byte(&mut self, byte: u8, at: &mut usize, members: &mut Vec<Member>) -> Scanned {
        let here = self.base + *at;
        if self.is_in_number() {
            return match self.number(byte) {
                Some(next) => {
                    self.state = next;
                    *at += 1;
                    Ok(())
                }
                None if self.number_may_end() => self.end_value(here, members),
                None => fault(JsonFault::Syntax { at: here }),
            };
        }
        *at += 1;
        match (self.state, byte) {
            (State::Escape, _) => self.escape(byte, here),
            (State::Hex, _) => self.hex(byte, here),
            (State::Literal, _) => self.literal(byte, here, members),
            (_, b' ' | b'\n' | b'\r' | b'\t') => Ok(()),
            (State::Start, b'{') => self.open(Kind::Object, here),
            (State::Start, _) => fault(JsonFault::NotAnObject),
            (State::ValueOrEnd, b']') => self.close(Kind::Array, here, members),
            (State::Value | State::ValueOrEnd, _) => self.value(byte, here),
            (State::KeyOrEnd | State::Key, b'"') => self.begin_key(here),
            (State::Colon, b':') => self.become_state(State::Value),
            (State::AfterValue, b',') if self.is_in_object() => self.become_state(State::Key),
            (State::AfterValue, b',') => self.become_state(State::Value),
            (State::KeyOrEnd | State::AfterValue, b'}') => self.close(Kind::Object, here, members),
            (State::AfterValue, b']') => self.close(Kind::Array, here, members),
            _ => fault(JsonFault::Syntax { at: here }),
        }
    }

    fn become_state(&mut self, state: State) -> Scanned {
        self.state = state;
        Ok(())
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8, here: usize) -> Scanned {
        let (kind, state, rest): (Kind, State, &'static [u8]) = match byte {
            b'{' => return self.open(Kind::Object, here),
            b'[' => return self.open(Kind::Array, here),
            b'"' => (Kind::String, State::Text, b""),
            b't' => (Kind::True, State::Literal, b"rue"),
            b'f' => (Kind::False, State::Literal, b"alse"),
            b'n' => (Kind::Null, State::Literal, b"ull"),
            b'-' => (Kind::Number, State::Minus, b""),
            b'0' => (Kind::Number, State::Zero, b""),
            b'1'..=b'9' => (Kind::Number, State::Integer, b""),
            _ => return fault(JsonFault::Syntax { at: here }),
        };
        self.begin_value(kind, here);
        self.in_key = false;
        self.rest = rest;
        self.become_state(state)
    }

    fn begin_value(&mut self, kind: Kind, here: usize) {
        if self.depth == 1 {
            self.kind = Some(kind);
            self.value_at = here;
        }
    }

    fn open(&mut self, kind: Kind, here: usize) -> Scanned {
        if self.depth == JSON_DEPTH_MAX {
            return fault(JsonFault::TooDeep { at: here });
        }
        self.begin_value(kind, here);
        let bit = 1 << self.depth;
        self.depth += 1;
        if kind == Kind::Object {
            self.kinds |= bit;
            return self.become_state(State::KeyOrEnd);
        }
        self.kinds &= !bit;
        self.become_state(State::ValueOrEnd)
    }

    fn close(&mut self, kind: Kind, here: usize, members: &mut Vec<Member>) -> Scanned {
        if self.is_in_object() != (kind == Kind::Object) {
            return fault(JsonFault::Syntax { at: here });
        }
        self.depth -= 1;
        self.end_value(here + 1, members)
    }

    /// A value ended in front of `end`; at the top level that completes a member.
    fn end_value(&mut self, end: usize, members: &mut Vec<Member>) -> Scanned {
        if self.depth == 1
            && let Some(kind) = self.kind.take()
        {
            let (key, key_is_escaped) = (self.key, self.key_is_escaped);
            members.push(Member { key, value: Span::new(self.value_at, end), kind, key_is_escaped });
        }
        self.become_state(State::AfterValue)
    }

    fn begin_key(&mut self, here: usize) -> Scanned {
        self.in_key = true;
        if self.depth == 1 {
            (self.key_at, self.key_is_escaped) = (here + 1, false);
            self.keys_count += 1;
            if self.keys_count > JSON_KEYS_COUNT_MAX {
                return fault(JsonFault::TooManyKeys);
            }
        }
        self.become_state(State::Text)
    }

    /// Bytes inside a text, as many as can be judged at once.
    fn text(&mut self, input: &[u8], at: &mut usize, members: &mut Vec<Member>) -> Scanned {
        let start = *at;
        if !self.utf8.is_empty() {
            *at += 1;
            self.keep_key(&input[start..start + 1]);
            return self
                .utf8
                .push(input[start])
                .or_else(|()| fault(JsonFault::NotUtf8 { at: self.base + start }));
        }
        let mut end = start + find_plain_end(&input[start..]);
        if input.get(end).is_some_and(|&b| b >= 0x80) {
            let run_at = end;
            end += find_text_end(&input[run_at..]);
            let checked = self.utf8.check(&input[run_at..end], end == input.len());
            checked.or_else(|bad| fault(JsonFault::NotUtf8 { at: self.base + run_at + bad }))?;
        }
        self.keep_key(&input[start..end]);
        *at = end;
        let Some(&stop) = input.get(end) else { return Ok(()) };
        *at += 1;
        match stop {
            b'"' => self.end_text(self.base + end, members),
            b'\\' => {
                self.keep_key(b"\\");
                self.key_is_escaped |= self.in_key && self.depth == 1;
                self.become_state(State::Escape)
            }
            _ => fault(JsonFault::Syntax { at: self.base + end }),
        }
    }

    fn end_text(&mut self, here: usize, members: &mut Vec<Member>) -> Scanned {
        if !self.in_key {
            return self.end_value(here + 1, members);
        }
        self.in_key = false;
        if self.depth == 1 {
            self.key = Span::new(self.key_at, here);
            self.keys_bytes += self.key.len();
            if self.keys_bytes > JSON_KEYS_BYTES_MAX {
                return fault(JsonFault::TooManyKeys);
            }
            if let Some(keys) = &mut self.keys {
                keys.end()?;
            }
        }
        self.become_state(State::Colon)
    }

    fn keep_key(&mut self, bytes: &[u8]) {
        if self.in_key
            && self.depth == 1
            && let Some(keys) = &mut self.keys
        {
            keys.push(bytes);
        }
    }

    fn escape(&mut self, byte: u8, here: usize) -> Scanned {
        self.keep_key(&[byte]);
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.become_state(State::Text),
            b'u' => {
                self.hex_left = 4;
                self.become_state(State::Hex)
            }
            _ => fault(JsonFault::Syntax { at: here }),
        }
    }

    fn hex(&mut self, byte: u8, here: usize) -> Scanned {
        self.keep_key(&[byte]);
        if !byte.is_ascii_hexdigit() {
            return fault(JsonFault::Syntax { at: here });
        }
        self.hex_left -= 1;
        if self.hex_left == 0 { self.become_state(State::Text) } else { Ok(()) }
    }

    fn literal(&mut self, byte: u8, here: usize, members: &mut Vec<Member>) -> Scanned {
        match self.rest.split_first() {
            Some((&want, rest)) if want == byte => self.rest = rest,
            _ => return fault(JsonFault::Syntax { at: here }),
        }
        if self.rest.is_empty() { self.end_value(here + 1, members) } else { Ok(()) }
    }

    fn is_in_number(&self) -> bool {
        self.state as u8 >= State::Minus as u8
    }

    /// The state behind one more byte of a number, `None` when the byte is not part of it (RFC 8259 §6).
    fn number(&self, byte: u8) -> Option<State> {
        match (self.state, byte) {
            (State::Minus, b'0') => Some(State::Zero),
            (State::Minus, b'1'..=b'9') | (State::Integer, b'0'..=b'9') => Some(State::Integer),
            (State::Zero | State::Integer, b'.') => Some(State::Dot),
            (State::Dot | State::Fraction, b'0'..=b'9') => Some(State::Fraction),
            (State::Zero | State::Integer | State::Fraction, b'e' | b'E') => Some(State::Exponent),
            (State::Exponent, b'+' | b'-') => Some(State::ExponentSign),
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => {
                Some(State::ExponentDigits)
            }
            _ => None,
        }
    }

    fn number_may_end(&self) -> bool {
        matches!(self.state, State::Zero | State::Integer | State::Fraction | State::ExponentDigits)
    }

    fn is_in_object(&self) -> bool {
        self.depth > 0 && self.kinds >> (self.depth - 1) & 1 == 1
    }
}

#[cold]
fn fault(fault: JsonFault) -> Scanned {
    Err(Box::new(fault))
}

/// The top-level keys so far, unescaped, and their alphabetical order: many keys that look alike cost no more than others.
#[derive(Clone, Debug, Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    sorted: Vec<u16>,
}

impl Keys {
    /// Keeps more of the open key. A key that is longer than all may be together is refused when it ends, and not kept
    /// until then.
    fn push(&mut self, raw: &[u8]) {
        if self.bytes.len() <= JSON_KEYS_BYTES_MAX {
            self.bytes.extend_from_slice(raw);
        }
    }

    /// The key is whole: unescapes it in place and refuses it when it stood before.
    fn end(&mut self) -> Scanned {
        let start = self.ends.last().copied().unwrap_or(0);
        if self.bytes[start..].contains(&b'\\') {
            let plain = super::text::unescaped(&self.bytes[start..]).into_owned();
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(plain.as_bytes());
        }
        let name = &self.bytes[start..];
        match self.sorted.binary_search_by(|&index| self.name(index.into()).cmp(name)) {
            Ok(_) => fault(JsonFault::DuplicateKey { key: String::from_utf8_lossy(name).into_owned() }),
            Err(place) => {
                self.sorted.insert(place, self.ends.len() as u16);
                self.ends.push(self.bytes.len());
                Ok(())
            }
        }
    }

    fn name(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

const _: () = assert!(JSON_KEYS_COUNT_MAX <= u16::MAX as usize, "the order of the keys is kept in 16 bits");
