//! What the tests of the parsers share.

/// A small pseudo-random source (xorshift64); the same seed gives the same test.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A request of `tests/hostile/requests.txt`.
pub struct Hostile {
    pub name: String,
    pub is_good: bool,
    pub bytes: Vec<u8>,
}

/// The requests of the file; its first lines say how it is written.
pub fn hostile_requests() -> Vec<Hostile> {
    let text = include_str!("../../../tests/hostile/requests.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.splitn(3, " | ");
            let mut part = || parts.next().expect("three parts");
            let (name, verdict, bytes) = (part().to_owned(), part(), part());
            Hostile { name, is_good: verdict == "good", bytes: unescaped(bytes) }
        })
        .collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let kind = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match kind {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'x' => {
                out.push(u8::from_str_radix(&rest[..2], 16).expect("two digits"));
                rest = &rest[2..];
            }
            b'{' => {
                let (inner, behind) = rest.split_once('}').expect("a closed repetition");
                let (count, text) = inner.split_once('*').expect("a count");
                out.extend(unescaped(text).repeat(count.parse().expect("a number")));
                rest = behind;
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Recorded streams, where the folder with recordings stands beside the project; none elsewhere.
#[expect(clippy::disallowed_methods, reason = "a test reads recordings")]
pub fn recorded_streams() -> Vec<Vec<u8>> {
    let folder = format!("{}/../shared/fixtures", env!("CARGO_MANIFEST_DIR"));
    let Ok(manifest) = std::fs::read_to_string(format!("{folder}/manifest.jsonl")) else { return Vec::new() };
    let entries = manifest.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let raw = entries.filter(|entry| entry["format"] == "sse-or-raw" && entry["streaming"] == true);
    raw.filter_map(|entry| std::fs::read(format!("{folder}/{}", entry["file"].as_str()?)).ok()).collect()
}

/// The seeds of a fuzz target.
#[expect(clippy::disallowed_methods, reason = "a test reads seeds")]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).expect("the seeds").flatten();
    files.map(|file| std::fs::read(file.path()).expect("a seed")).collect()
}

/// Shows an input, and what becomes of it by changing, leaving out or putting in any one byte. `bytes` are those that are
/// put in.
pub fn for_each_mutation(input: &[u8], bytes: impl Iterator<Item = u8> + Clone, mut show: impl FnMut(&[u8])) {
    show(input);
    for at in 0..input.len() {
        let (before, behind) = (&input[..at], &input[at + 1..]);
        show(&[before, behind].concat());
        for byte in bytes.clone() {
            show(&[before, &[byte], behind].concat());
            show(&[before, &[byte], &input[at..]].concat());
        }
    }
}
