//! Tells when the arguments of a call are all there, while they come in pieces: nothing can follow a closed object.

/// How far a JSON object has come, given as the content of a JSON string. Checks no grammar: it counts braces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    depth: u32,
    is_in_text: bool,
    is_behind_backslash: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Complete,
    /// It is no object, so its end cannot be seen.
    Other,
}

impl Progress {
    pub fn is_complete(self) -> bool {
        self.state == State::Complete
    }

    /// All came at once.
    pub fn complete(&mut self) {
        self.state = State::Complete;
    }

    /// Looks at the next piece, which holds escapes as a JSON string has them, none of them cut. Gives how much of it belongs
    /// to the object: all of it unless the object ends inside.
    pub fn step(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        while at < piece.len() && self.state == State::Open {
            let (byte, used) = character(&piece[at..]);
            at += used;
            self.byte(byte);
        }
        if self.state == State::Complete { at.min(piece.len()) } else { piece.len() }
    }

    fn byte(&mut self, byte: u8) {
        if self.is_in_text {
            match byte {
                _ if self.is_behind_backslash => self.is_behind_backslash = false,
                b'\\' => self.is_behind_backslash = true,
                b'"' => self.is_in_text = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'{' | b'[' => self.depth += 1,
            _ if self.depth == 0 && !byte.is_ascii_whitespace() => self.state = State::Other,
            b'"' => self.is_in_text = true,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.state = State::Complete;
                }
            }
            _ => {}
        }
    }
}

/// The first character behind its escape, and its length; 0xFF for one that is not ASCII.
pub(super) fn character(text: &[u8]) -> (u8, usize) {
    match text {
        [b'\\', b'u', a, b, c, d, ..] => {
            let digits = [*a, *b, *c, *d];
            let code = std::str::from_utf8(&digits).ok().and_then(|hex| u16::from_str_radix(hex, 16).ok());
            (code.and_then(|code| u8::try_from(code).ok()).unwrap_or(0xFF), 6)
        }
        [b'\\', b'n' | b'r' | b't' | b'b' | b'f', ..] => (b' ', 2),
        [b'\\', other, ..] => (*other, 2),
        [byte, ..] => (*byte, 1),
        [] => (0xFF, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::middle::Text;

    #[test]
    fn an_object_is_complete_at_its_last_brace_wherever_it_is_cut() {
        let cases = [
            (r#"{"a":"}\"]","b":[{}]}"#, true),
            (" {\n} ", true),
            (r#"{"a":{"b":1}"#, false),
            (r#"{"a":"\\"}"#, true),
            ("\"text {}\"", false),
            ("", false),
        ];
        for (json, is_complete) in cases {
            for cut in 0..=json.len() {
                let mut progress = Progress::default();
                for piece in [&json[..cut], &json[cut..]] {
                    progress.step(Text::of(piece).as_escaped());
                }
                assert_eq!(progress.is_complete(), is_complete, "{json} at {cut}");
            }
        }
        let mut progress = Progress::default();
        progress.step(br"{\u0022}\u0022:1}");
        assert!(progress.is_complete());
    }

    #[test]
    fn what_stands_behind_an_object_is_told_from_it() {
        for (piece, own) in [
            (r#"{\"a\":{}}{\"b\":1}"#, r#"{\"a\":{}}"#),
            (r#"{\"a\":\"}{\"}"#, r#"{\"a\":\"}{\"}"#),
            (r#"{\"a\":"#, r#"{\"a\":"#),
            ("a text {}{}", "a text {}{}"),
        ] {
            assert_eq!(Progress::default().step(piece.as_bytes()), own.len(), "{piece}");
        }
    }
}
