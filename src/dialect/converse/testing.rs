//! What the tests of the readers share: events as lines, and a watch over what readers promise.

use crate::dialect::middle::{Arguments, Block, Delta, Event, Place, Rules};

/// Events as lines, held against the promises as they come.
#[derive(Default)]
pub struct Seen {
    pub lines: Vec<String>,
    is_started: bool,
    is_finished: bool,
    is_over: bool,
    open: Vec<Place>,
    opened: u32,
}

impl Seen {
    pub fn add(&mut self, event: &Event<'_>) {
        assert!(!self.is_over, "nothing follows the end: {event:?}");
        self.check(event);
        self.lines.push(line(event));
    }

    /// The lines, one behind the other.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    pub fn has_ended(&self) -> bool {
        self.is_over
    }

    fn check(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(_) => assert!(!std::mem::replace(&mut self.is_started, true), "one start"),
            Event::Open { at, .. } => {
                assert!(self.is_started && !self.is_finished);
                assert_eq!((at.choice, at.block), (0, self.opened), "places are dense");
                self.opened += 1;
                self.open.push(*at);
            }
            Event::Delta { at, delta } => {
                assert!(self.open.contains(at), "a delta belongs to an open block");
                let is_empty = match delta {
                    Delta::Text(text) | Delta::Arguments(Arguments::Piece(text)) => text.is_empty(),
                    Delta::Signature(signature) => signature.value.is_empty(),
                    _ => false,
                };
                assert!(!is_empty, "no delta is empty");
            }
            Event::Close { at } => {
                let position = self.open.iter().position(|open| open == at);
                self.open.remove(position.expect("only what is open is closed"));
            }
            Event::Finish { choice, .. } => {
                assert!(*choice == 0 && self.is_started && self.open.is_empty() && !self.is_finished);
                self.is_finished = true;
            }
            Event::End => {
                assert!(self.is_finished, "the end is behind the finish");
                self.is_over = true;
            }
            Event::Error(_) => self.is_over = true,
            Event::Usage(_) | Event::Ping | Event::Surplus => {}
        }
    }
}

fn line(event: &Event<'_>) -> String {
    match event {
        Event::Start(_) => "start".to_owned(),
        Event::Open { at, block } => format!("open {} {}", at.block, block_line(block)),
        Event::Delta { at, delta } => format!("{} {}", at.block, delta_line(delta)),
        Event::Close { at } => format!("close {}", at.block),
        Event::Finish { finish, .. } => match &finish.stop_sequence {
            Some(sequence) => format!("finish {:?} at {}", finish.reason, sequence.decoded()),
            None => format!("finish {:?}", finish.reason),
        },
        Event::Usage(usage) => {
            let word = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
            let [input, output] = [usage.input, usage.output].map(word);
            format!("usage {input} {output} cache {} {}", word(usage.cache_read), word(usage.cache_write))
        }
        Event::Error(error) => format!("error {:?} {} {}", error.kind, error.status, error.message),
        Event::Ping => "ping".to_owned(),
        Event::Surplus => "surplus".to_owned(),
        Event::End => "end".to_owned(),
    }
}

fn block_line(block: &Block<'_>) -> String {
    match block {
        Block::Text => "text".to_owned(),
        Block::Refusal => "refusal".to_owned(),
        Block::Thinking => "thinking".to_owned(),
        Block::HiddenThinking { data } => format!("hidden {}:{}", data.vendor, data.value.decoded()),
        Block::ToolCall { id, name, .. } => format!("call {} {}", id.decoded(), name.decoded()),
        Block::Media { kind, base64 } => format!("media {} {}", kind.decoded(), base64.decoded()),
        Block::Foreign { raw } => format!("foreign {}", String::from_utf8_lossy(raw)),
    }
}

fn delta_line(delta: &Delta<'_>) -> String {
    match delta {
        Delta::Text(text) => format!("text {}", text.decoded()),
        Delta::Arguments(Arguments::Piece(text)) => format!("arguments {}", text.decoded()),
        Delta::Arguments(Arguments::Whole(raw)) => format!("arguments {}", String::from_utf8_lossy(raw)),
        Delta::Signature(signature) => {
            format!("signature {}:{}", signature.vendor, signature.value.decoded())
        }
        Delta::Citation { url, title, cited } => {
            let word = |text: &Option<crate::dialect::middle::Text<'_>>| {
                text.as_ref().map_or("-".to_owned(), |text| text.decoded().into_owned())
            };
            format!("citation {} {} {}", word(url), word(title), word(cited))
        }
        Delta::Logprobs(raw) => format!("logprobs {}", String::from_utf8_lossy(raw)),
    }
}

/// Rules of a provider whose signatures have a name.
pub fn rules() -> Rules {
    Rules { vendor: "maker".into(), ..Rules::default() }
}

/// Every file of the folder with recordings, where it stands beside the project: its name and its text.
#[expect(clippy::disallowed_methods, reason = "a test reads recordings")]
pub fn recordings() -> Vec<(String, String)> {
    let mut folders = vec![format!("{}/../shared/fixtures/bedrock", env!("CARGO_MANIFEST_DIR")).into()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let folder: std::path::PathBuf = folder;
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read(&path) {
                files.push((path.display().to_string(), String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
    files.sort();
    files
}

/// The streams that a file holds in base64, on one line or on several.
pub fn streams_in(text: &str) -> Vec<Vec<u8>> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut streams = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        for (at, _) in line.match_indices("AAA") {
            if line[..at].chars().next_back().is_some_and(is_base64) {
                continue;
            }
            let rest = &line[at..];
            let end = rest.find(|c| !is_base64(c)).unwrap_or(rest.len());
            let mut joined = rest[..end].to_owned();
            if at + end == line.len() {
                let more =
                    lines[index + 1..].iter().take_while(|l| !l.is_empty() && l.chars().all(is_base64));
                more.for_each(|line| joined.push_str(line));
            }
            let bytes = from_base64(&joined);
            if matches!(
                crate::wire::eventstream::Frames::default().next(&bytes),
                crate::wire::eventstream::FrameStep::Frame(_)
            ) {
                streams.push(bytes);
            }
        }
    }
    streams
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let word = group.iter().fold(0, |word, &byte| word << 6 | digit(byte)) << (6 * (4 - group.len()));
        out.extend_from_slice(&word.to_be_bytes()[1..group.len()]);
    }
    out
}
