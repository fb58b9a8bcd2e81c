//! The fast way through a document that is here as a whole: the scanner's grammar as straight code. It only ever says
//! yes. What it does not like is judged by [`super::Scanner`], its slow twin, which knows the fault and its place.

use super::block::{BLOCK_BYTES, block_marks, equal_marks, padded_block};
use super::text::{find_plain_end, find_text_end};
use super::{Kind, Member, is_space, key_is};
use crate::base::Span;
use crate::base::limits::{JSON_DEPTH_MAX, JSON_KEYS_BYTES_MAX, JSON_KEYS_COUNT_MAX};

/// What is known of an object that was scanned.
pub(super) struct Scanned {
    /// The place behind it.
    pub end: usize,
    /// No two keys are the same. Otherwise that is open.
    pub keys_differ: bool,
}

/// Appends the members of the object that the document begins with. `None` leaves the judgement to the scanner.
pub(super) fn scan(document: &[u8], members: &mut Vec<Member>) -> Option<Scanned> {
    let (mut keys_bytes, mut seen, mut keys_differ) = (0, 0, true);
    let mut place = opening(document)?;
    loop {
        let at = match place {
            Place::Key(at) => at,
            Place::End(end) => return Some(Scanned { end, keys_differ }),
        };
        let member = member(document, at)?;
        keys_bytes += member.key.len();
        if members.len() == JSON_KEYS_COUNT_MAX || keys_bytes > JSON_KEYS_BYTES_MAX {
            return None;
        }
        let bit = key_bit(member.key.of(document));
        keys_differ &= seen & bit == 0 && !member.key_is_escaped;
        seen |= bit;
        place = behind_member(document, member.value.range().end)?;
        members.push(member);
    }
}

/// The first member with this key, `Some(None)` in an object that has none. `None` leaves the judgement to the scanner; what
/// stands behind the member is not looked at.
pub(super) fn first_member(document: &[u8], key: &str) -> Option<Option<Member>> {
    let mut place = opening(document)?;
    while let Place::Key(at) = place {
        let member = member(document, at)?;
        if key_is(document, &member, key) {
            return Some(Some(member));
        }
        place = behind_member(document, member.value.range().end)?;
    }
    Some(None)
}

/// The text under `key` where it stands in front of all that nests and of all escapes, as the first members of answers do: in
/// an object, what has the key in quotes and a colon behind it is that member then, for a quote inside of a text is escaped.
/// Does not judge what stands in front. The value with its quotes; `None` says nothing.
pub(super) fn early_text(document: &[u8], key: &str) -> Option<Span> {
    let begin = behind(document, skip_space(document, 0), b'{')?;
    let key_at = find_early_key(document, begin, key.as_bytes())?;
    let value_at =
        skip_space(document, behind(document, skip_space(document, key_at + key.len() + 2), b':')?);
    let (value_end, _) = text(document, behind(document, value_at, b'"')?)?;
    Some(Span::new(value_at, value_end))
}

/// Where the first `"key"` behind `begin` stands; only looked for a few blocks far, and only where nothing in front nests, ends
/// or is escaped.
fn find_early_key(document: &[u8], begin: usize, key: &[u8]) -> Option<usize> {
    let first = *key.first()?;
    let mut at = begin;
    while at < begin + EARLY_BYTES
        && let Some(block) = document[at..].first_chunk::<BLOCK_BYTES>()
        && let Some(seconds) = document[at + 1..].first_chunk::<BLOCK_BYTES>()
    {
        let mut marks = equal_marks(block, b'"') & equal_marks(seconds, first);
        while marks != 0 {
            let found = at + marks.trailing_zeros() as usize;
            let rest = document[found + 1..].strip_prefix(key);
            if rest.is_some_and(|rest| rest.first() == Some(&b'"')) {
                // Both brackets, both braces and the backslash, with a bit set that letters of either case share, and one more.
                let is_odd = |byte: u8| matches!(byte | 0x20, b'{'..=b'}');
                let has_odd = document[begin..found].iter().fold(false, |has, &byte| has | is_odd(byte));
                return (!has_odd).then_some(found);
            }
            marks &= marks - 1;
        }
        at += BLOCK_BYTES;
    }
    None
}

/// Where the top-level object goes on.
enum Place {
    /// With the key whose quote is there.
    Key(usize),
    /// Not at all: it closes in front of that.
    End(usize),
}

#[inline]
fn opening(document: &[u8]) -> Option<Place> {
    let at = skip_space(document, behind(document, skip_space(document, 0), b'{')?);
    let is_empty = document.get(at) == Some(&b'}');
    Some(if is_empty { Place::End(at + 1) } else { Place::Key(at) })
}

/// The member whose key's quote is at `at`.
#[inline]
fn member(document: &[u8], at: usize) -> Option<Member> {
    let key_at = behind(document, at, b'"')?;
    let (key_end, key_is_escaped) = text(document, key_at)?;
    let value_at = skip_space(document, behind(document, skip_space(document, key_end), b':')?);
    let (kind, value_end) = value(document, value_at)?;
    let (key, value) = (Span::new(key_at, key_end - 1), Span::new(value_at, value_end));
    Some(Member { key, value, kind, key_is_escaped })
}

#[inline]
fn behind_member(document: &[u8], value_end: usize) -> Option<Place> {
    let at = skip_space(document, value_end);
    match document.get(at)? {
        b',' => Some(Place::Key(skip_space(document, at + 1))),
        b'}' => Some(Place::End(at + 1)),
        _ => None,
    }
}

/// A coarse filter by length and first byte: keys with different bits are different.
#[inline]
pub(super) fn key_bit(key: &[u8]) -> u64 {
    1 << ((key.len() * 7 + usize::from(key.first().copied().unwrap_or(0))) % 64)
}

/// The place of the object that the last member `"key"` of a whole document holds at its top level, found from behind: an
/// answer's last members are often all that matters of it. Appends the members of that object, and says whether they are
/// known to differ. `None` when there is no such member, or when the document is not as usual, which says nothing about it.
pub(super) fn find_last_object(
    document: &[u8],
    key: &str,
    members: &mut Vec<Member>,
) -> Option<(Span, bool)> {
    // A quote inside of a text is escaped, so what is found without a backslash is a text of its own.
    let key_at = find_last_key(document, key.as_bytes())?;
    if key_at > 0 && document[key_at - 1] == b'\\' {
        return None;
    }
    let key_end = key_at + key.len() + 2;
    let value_at = skip_space(document, behind(document, skip_space(document, key_end), b':')?);
    let scanned = scan(&document[value_at..], members)?;
    let end = value_at + scanned.end;
    // The rest closes one container, the top-level object: so the member belongs to it.
    let mut at = skip_space(document, end);
    while document.get(at) == Some(&b',') {
        let (_, member_end) = value(document, value_of_key(document, skip_space(document, at + 1))?)?;
        at = skip_space(document, member_end);
    }
    let is_top = document.get(at) == Some(&b'}') && skip_space(document, at + 1) == document.len();
    is_top.then(|| (Span::new(value_at, end), scanned.keys_differ))
}

/// Where the last `"key"` begins, in whatever it stands. Looks at blocks for a quote with the key's first byte behind it: a
/// searcher of the memchr crate costs more to make than the search does here.
fn find_last_key(document: &[u8], key: &[u8]) -> Option<usize> {
    let first = *key.first()?;
    let is_key = |at: &usize| {
        let behind = document.get(at + 1..).and_then(|rest| rest.strip_prefix(key));
        document[*at] == b'"' && behind.is_some_and(|rest| rest.first() == Some(&b'"'))
    };
    let mut end = document.len();
    while let Some((front, seconds)) = document[..end].split_last_chunk::<BLOCK_BYTES>()
        && let Some(at) = front.len().checked_sub(1)
        && let Some(firsts) = document[at..].first_chunk::<BLOCK_BYTES>()
    {
        let mut marks = equal_marks(firsts, b'"') & equal_marks(seconds, first);
        while marks != 0 {
            let last = marks.ilog2();
            let found = Some(at + last as usize).filter(is_key);
            if found.is_some() {
                return found;
            }
            marks ^= 1 << last;
        }
        end -= BLOCK_BYTES;
    }
    (0..end).rev().find(is_key)
}

/// A value: its kind, and the place behind it.
#[inline]
pub(super) fn value(document: &[u8], at: usize) -> Option<(Kind, usize)> {
    match document.get(at)? {
        b'{' => Some((Kind::Object, container(document, at)?)),
        b'[' => Some((Kind::Array, container(document, at)?)),
        _ => scalar(document, at),
    }
}

#[inline]
fn scalar(document: &[u8], at: usize) -> Option<(Kind, usize)> {
    let first = *document.get(at)?;
    if first == b'"' {
        return Some((Kind::String, text(document, at + 1)?.0));
    }
    let literal =
        |word: &[u8], kind: Kind| document[at..].starts_with(word).then_some((kind, at + word.len()));
    match first {
        b't' => literal(b"true", Kind::True),
        b'f' => literal(b"false", Kind::False),
        b'n' => literal(b"null", Kind::Null),
        b'-' | b'0'..=b'9' => Some((Kind::Number, number(document, at)?)),
        _ => None,
    }
}

/// The place behind the container that opens at `at`, inside of the top-level object.
fn container(document: &[u8], mut at: usize) -> Option<usize> {
    // The lowest bit says whether the innermost open container is an object.
    let (mut kinds, mut depth) = (0_u64, 0);
    loop {
        let open = *document.get(at)?;
        if open == b'{' || open == b'[' {
            if depth + 1 == JSON_DEPTH_MAX {
                return None;
            }
            (kinds, depth) = (kinds << 1 | u64::from(open == b'{'), depth + 1);
            at = skip_space(document, at + 1);
            match (kinds & 1, document.get(at)?) {
                (1, b'}') | (0, b']') => {}
                (1, _) => {
                    at = value_of_key(document, at)?;
                    continue;
                }
                _ => continue,
            }
        } else {
            at = scalar(document, at)?.1;
        }
        loop {
            at = skip_space(document, at);
            match (kinds & 1, document.get(at)?) {
                (1, b'}') | (0, b']') => {
                    (at, kinds, depth) = (at + 1, kinds >> 1, depth - 1);
                    if depth == 0 {
                        return Some(at);
                    }
                }
                (0, b',') => {
                    at = skip_space(document, at + 1);
                    break;
                }
                (1, b',') => {
                    at = value_of_key(document, skip_space(document, at + 1))?;
                    break;
                }
                _ => return None,
            }
        }
    }
}

/// The place of the value whose key begins at `at`.
#[inline]
fn value_of_key(document: &[u8], at: usize) -> Option<usize> {
    let (key_end, _) = text(document, behind(document, at, b'"')?)?;
    Some(skip_space(document, behind(document, skip_space(document, key_end), b':')?))
}

/// The place behind the quote that ends the text which begins at `at`, and whether the text holds an escape. Most texts are
/// plain and end within one block.
#[inline]
pub(super) fn text(document: &[u8], at: usize) -> Option<(usize, bool)> {
    if let Some(block) = padded_block(document, at) {
        // A block without a mark may have the quote right behind it, and tells nothing of the bytes beyond.
        let end = (block_marks::<true>(&block) | 1 << BLOCK_BYTES).trailing_zeros() as usize;
        if document.get(at + end) == Some(&b'"') {
            return Some((at + end + 1, false));
        }
    }
    any_text(document, at)
}

/// The same for any text. A call of its own, so that the plain ones need no room for what it keeps.
#[inline(never)]
fn any_text(document: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut is_escaped = false;
    loop {
        at += find_plain_end(&document[at..]);
        match document.get(at)? {
            b'"' => return Some((at + 1, is_escaped)),
            b'\\' => {
                is_escaped = true;
                at += escape_len(&document[at + 1..])?;
            }
            0x80.. => {
                let end = at + find_text_end(&document[at..]);
                std::str::from_utf8(&document[at..end]).ok()?;
                at = end;
            }
            _ => return None,
        }
    }
}

/// The length of an escape whose backslash stands in front of `rest`.
#[inline]
fn escape_len(rest: &[u8]) -> Option<usize> {
    match rest.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// The place behind a number (RFC 8259 §6).
fn number(document: &[u8], mut at: usize) -> Option<usize> {
    if document.get(at) == Some(&b'-') {
        at += 1;
    }
    match document.get(at)? {
        b'0' => at += 1,
        _ => at = digits(document, at)?,
    }
    if document.get(at) == Some(&b'.') {
        at = digits(document, at + 1)?;
    }
    if let Some(b'e' | b'E') = document.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = document.get(at) {
            at += 1;
        }
        at = digits(document, at)?;
    }
    Some(at)
}

/// The place behind one digit or more.
#[inline]
fn digits(document: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    while document.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    (end > at).then_some(end)
}

#[inline]
fn behind(document: &[u8], at: usize, byte: u8) -> Option<usize> {
    (document.get(at) == Some(&byte)).then_some(at + 1)
}

#[inline]
fn skip_space(document: &[u8], mut at: usize) -> usize {
    // What is above a space is none, and stands in most places.
    while document.get(at).is_some_and(|&byte| byte <= b' ' && is_space(byte)) {
        at += 1;
    }
    at
}

/// How far a text is looked for that stands early.
const EARLY_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_is_found_where_a_plain_search_finds_it() {
        let mut random = crate::wire::fuzz::Random::new(3);
        for round in 0..50_000 {
            let length = round % 80;
            let mut document: Vec<u8> = (0..length).map(|_| b"\"abc"[random.below(4)]).collect();
            if length > 4 && round % 3 == 0 {
                let at = random.below(length - 4);
                document[at..at + 4].copy_from_slice(b"\"ab\"");
            }
            for key in ["ab", "a", "abcabcabcabcabcabcabc"] {
                let want = memchr::memmem::rfind(&document, format!("\"{key}\"").as_bytes());
                assert_eq!(find_last_key(&document, key.as_bytes()), want, "{}", document.escape_ascii());
            }
        }
    }
}
