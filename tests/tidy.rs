//! The rules of the house, as an ordinary test: it reads the tree and complains. It never changes a file.
//!
//! The rules are the functions below [`RULES`]; what they allow stands in the tables at the end. A ratchet is a list of
//! what was too long when the rule came: its numbers may only go down.
#![allow(clippy::disallowed_methods, reason = "reads the tree")]

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn the_house_holds_its_rules() {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    let complaints = tree.complaints();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_pipeline_runs_the_check_and_nothing_else() {
    let run =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run")).expect("the pipeline");
    let lines: Vec<&str> = run.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines, ["exec scripts/check"]);
}

/// One rule: what is wrong with the tree, as lines `path:line: complaint`.
type Rule = fn(&Tree) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("opening", opening),
    ("room order", room_order),
    ("unsafe", unsafe_code),
    ("banned words", banned_words),
    ("providers", provider_names),
    ("function length", function_length),
    ("file length", file_length),
    ("todo", todos),
    ("traits", lonely_traits),
    ("workplace", workplaces),
];

/// Every file of the repository that people write, and what the rules need to know of it.
struct Tree {
    files: Vec<File>,
    providers: Vec<String>,
    ratchets: Ratchets,
}

/// What was too long when the rules came.
#[derive(Clone, Copy)]
struct Ratchets {
    files: &'static [(&'static str, usize)],
    functions: &'static [(&'static str, &'static str, usize)],
}

struct File {
    path: String,
    text: String,
    /// The text with comments and the contents of strings blanked; lines and columns stay.
    code: String,
    /// The same with strings left in.
    code_and_strings: String,
    /// Where the file's own tests begin, in bytes.
    tests_at: usize,
}

impl Tree {
    fn read(root: &Path) -> Tree {
        let mut files = Vec::new();
        collect(root, root, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let name = |file: &File| {
            Some(file.path.strip_prefix("config/providers/")?.strip_suffix(".yaml")?.to_owned())
        };
        let providers = files.iter().filter_map(name).collect();
        Tree { files, providers, ratchets: RATCHETS }
    }

    fn complaints(&self) -> Vec<String> {
        RULES
            .iter()
            .flat_map(|(name, rule)| rule(self).into_iter().map(move |c| format!("[{name}] {c}")))
            .collect()
    }

    fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.starts_with("src/") && file.is_rust())
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !FOLDERS_SKIPPED.contains(&name.as_str()) {
                collect(root, &path, files);
            }
        } else if !FILES_SKIPPED.contains(&name.as_str())
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            files.push(File::new(path, text));
        }
    }
}

impl File {
    fn new(path: impl Into<String>, text: impl Into<String>) -> File {
        let (path, text) = (path.into(), text.into());
        let is_rust = path.ends_with(".rs");
        let code = if is_rust { blanked(&text, Strings::Blank) } else { String::new() };
        let code_and_strings = if is_rust { blanked(&text, Strings::Keep) } else { String::new() };
        let is_test = path.ends_with("/tests.rs") || path.ends_with("/testing.rs");
        let tests_at = if is_test { 0 } else { code.find("#[cfg(test)]").unwrap_or(code.len()) };
        File { path, text, code, code_and_strings, tests_at }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The folder or file right below `src`, which is a room.
    fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or_default();
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn own_code(&self) -> &str {
        &self.code[..self.tests_at]
    }

    fn at(&self, byte: usize, complaint: &str) -> String {
        format!("{}:{}: {complaint}", self.path, line_of(&self.text, byte))
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte].iter().filter(|&&b| b == b'\n').count() + 1
}

/// Every file says first what it is for.
fn opening(tree: &Tree) -> Vec<String> {
    let is_silent = |file: &&File| file.is_rust() && !file.text.starts_with("//! ");
    tree.files
        .iter()
        .filter(is_silent)
        .map(|file| file.at(0, "does not open with `//!`: say its job"))
        .collect()
}

/// A room uses only those that stand above it in `src/lib.rs`; rooms of one group there do not know each other.
fn room_order(tree: &Tree) -> Vec<String> {
    let Some(lib) = tree.files.iter().find(|file| file.path == "src/lib.rs") else { return Vec::new() };
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    let mut group = 0;
    for line in lib.code.lines() {
        match line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            Some(room) => drop(groups.insert(room, group)),
            None => group += 1,
        }
    }
    let mut complaints = Vec::new();
    for file in tree.sources().filter(|file| !matches!(file.room(), "lib" | "main")) {
        let room = file.room();
        let Some(own) = groups.get(room) else {
            complaints.push(file.at(0, &format!("the room `{room}` is not in src/lib.rs")));
            continue;
        };
        for (at, _) in file.code.match_indices("crate::") {
            let used = word_at(&file.code, at + "crate::".len());
            let is_above = groups.get(used).is_some_and(|other| other < own);
            let is_strange = STRANGERS.iter().any(|(one, others)| *one == room && others.contains(&used));
            if used != room && (!is_above || is_strange) {
                complaints.push(file.at(at, &format!("`{room}` must not know `{used}`")));
            }
        }
    }
    complaints
}

/// Unsafe code only where the table says, announced by `expect`, each block with its proof.
fn unsafe_code(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let places: Vec<usize> = words(&file.code, "unsafe").collect();
        let is_listed = UNSAFE_FILES.contains(&file.path.as_str());
        if places.is_empty() && is_listed {
            complaints.push(file.at(0, "is listed for unsafe code and has none: take it off the list"));
        }
        if !places.is_empty() && !is_listed {
            complaints.push(file.at(places[0], "holds unsafe code and is not listed in tests/tidy.rs"));
        }
        let has_expect = file.code.replace(char::is_whitespace, "").contains("expect(unsafe_code,reason=");
        if !places.is_empty() && !has_expect {
            complaints.push(file.at(places[0], "needs `expect(unsafe_code, reason = …)`"));
        }
        for at in places {
            let is_function = file.code[at..].starts_with("unsafe fn");
            let mark = if is_function { "# Safety" } else { "SAFETY:" };
            if !has_mark_above(&file.text, at, mark) {
                complaints.push(file.at(at, &format!("unsafe without `{mark}` right above it")));
            }
        }
    }
    complaints
}

/// Whether the comment that ends right above the statement of this place holds the mark.
fn has_mark_above(text: &str, at: usize, mark: &str) -> bool {
    let line_at = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let above: Vec<&str> = text[..line_at].lines().rev().take(SAFETY_LINES_MAX).collect();
    let here = &text[line_at..at];
    let near = above.iter().position(|line| line.trim_start().starts_with("//"));
    let comment = above[near.unwrap_or(above.len()).min(above.len())..].iter();
    let is_near = near.is_some_and(|lines| lines <= 2);
    here.contains(mark)
        || is_near
            && comment.take_while(|line| line.trim_start().starts_with("//")).any(|line| line.contains(mark))
}

/// Words that a room, or every other room, must not use.
fn banned_words(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.sources() {
        for ban in BANS {
            if ban.rooms.holds(file.room()) {
                let places =
                    ban.words.iter().flat_map(|word| words(file.own_code(), word).map(move |at| (at, word)));
                complaints.extend(
                    places.map(|(at, word)| {
                        file.at(at, &format!("`{word}` in `{}`: {}", file.room(), ban.why))
                    }),
                );
            }
        }
    }
    complaints
}

/// Providers are data: their names stand in their files, in the list of built-in ones, and in grammars named after them.
fn provider_names(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let grammars: Vec<String> = tree.sources().filter(|file| file.room() == "dialect").map(stem).collect();
    for file in tree.sources().filter(|file| !matches!(file.room(), "dialect" | "simulate")) {
        if file.path == BUILTIN_LIST {
            continue;
        }
        for provider in &tree.providers {
            // A grammar's name in code is the grammar; in a string it is the provider.
            let in_code = words(file.own_code(), provider).filter(|_| !grammars.contains(provider));
            let with_strings = &file.code_and_strings[..file.tests_at];
            let in_strings = words(with_strings, provider).filter(|&at| {
                // A whole string is compared with something; a sentence for people is not.
                file.code[at..].starts_with(' ') && is_quoted(with_strings, at, provider.len())
            });
            let places = in_code.chain(in_strings);
            complaints.extend(
                places.map(|at| file.at(at, &format!("names the provider `{provider}`: make it data"))),
            );
        }
    }
    complaints
}

fn is_quoted(text: &str, at: usize, length: usize) -> bool {
    text[..at].ends_with('"') || text[at + length..].starts_with('"')
}

fn stem(file: &File) -> String {
    file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// Functions are read whole, so they fit a screen.
fn function_length(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.sources() {
        let known = tree.ratchets.functions.iter().filter(|(path, ..)| *path == file.path);
        let found = functions(file.own_code());
        for (at, name, lines) in &found {
            let allowed =
                known.clone().find(|(_, function, _)| function == name).map_or(FUNCTION_LINES_MAX, |f| f.2);
            if *lines > allowed {
                complaints.push(file.at(*at, &format!("`{name}` has {lines} lines; {allowed} are allowed")));
            }
        }
        for (_, name, allowed) in known {
            let longest =
                found.iter().filter(|(_, other, _)| other == name).map(|found| found.2).max().unwrap_or(0);
            complaints.extend(
                ratchet(longest, *allowed, FUNCTION_LINES_MAX)
                    .map(|what| file.at(0, &format!("`{name}` {what}"))),
            );
        }
    }
    complaints
}

/// Files are read whole as well. Their tests do not count.
fn file_length(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.sources() {
        let lines = file.own_code().lines().count();
        let known = tree.ratchets.files.iter().find(|(path, _)| *path == file.path).map(|known| known.1);
        if lines > known.unwrap_or(FILE_LINES_MAX) {
            let allowed = known.unwrap_or(FILE_LINES_MAX);
            complaints.push(file.at(0, &format!("has {lines} lines without tests; {allowed} are allowed")));
        }
        let what = known.and_then(|allowed| ratchet(lines, allowed, FILE_LINES_MAX));
        complaints.extend(what.map(|what| file.at(0, &what)));
    }
    complaints
}

/// A ratchet follows what it holds: a number that is too high would let it grow back.
fn ratchet(lines: usize, allowed: usize, most: usize) -> Option<String> {
    if lines <= most {
        return Some(format!("has {lines} lines: take it out of the ratchet"));
    }
    (lines + RATCHET_SLACK < allowed).then(|| format!("has {lines} lines: lower the ratchet from {allowed}"))
}

/// A TODO says what is to be done; other marks are not used.
fn todos(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != "tests/tidy.rs") {
        for (at, _) in file.text.match_indices(MARKS[0]).filter(|(at, mark)| is_word(&file.text, *at, mark)) {
            let line = file.text[at..].lines().next().unwrap_or_default();
            let is_explained = line.strip_prefix("TODO: ").is_some_and(|why| why.len() >= TODO_BYTES_MIN);
            if !is_explained {
                complaints.push(file.at(at, "a TODO without a colon and a sentence that explains it"));
            }
        }
        for mark in &MARKS[1..] {
            complaints.extend(
                words(&file.text, mark)
                    .map(|at| file.at(at, &format!("`{mark}`: write a TODO that explains"))),
            );
        }
    }
    complaints
}

/// A trait with one implementor is a function in disguise.
fn lonely_traits(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.sources() {
        for at in words(&file.code, "trait") {
            let name = word_at(&file.code, at + "trait ".len());
            let implementors =
                tree.sources().map(|other| other.code.matches(&format!("{name} for ")).count());
            if implementors.sum::<usize>() < 2 {
                complaints.push(file.at(at, &format!("the trait `{name}` has fewer than two implementors")));
            }
        }
    }
    complaints
}

/// The repository speaks of the project, not of the desk on which it was written.
fn workplaces(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.files.iter().filter(|file| file.path != "tests/tidy.rs") {
        for place in WORKPLACES {
            let places = file.text.match_indices(place).filter(|(at, _)| is_start_of_path(&file.text, *at));
            complaints.extend(
                places.map(|(at, _)| file.at(at, &format!("`{place}`: a path of somebody's machine"))),
            );
        }
    }
    complaints
}

fn is_start_of_path(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    !before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c))
}

/// The places of a whole word in a text.
fn words<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    text.match_indices(word).filter(|(at, word)| is_word(text, *at, word)).map(|(at, _)| at)
}

fn is_word(text: &str, at: usize, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    !text[..at].chars().next_back().is_some_and(is_part)
        && !text[at + word.len()..].chars().next().is_some_and(is_part)
}

fn word_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
}

/// Every function of blanked code that has a body: its place, its name, and its lines from signature to brace.
fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let name = word_at(code, (at + 3).min(code.len()));
        let Some(end) = end_of_function(&code[at..]).filter(|_| !name.is_empty()) else { continue };
        found.push((at, name.to_owned(), code[at..at + end].matches('\n').count() + 1));
    }
    found
}

/// The bytes from `fn` to the closing brace; `None` for a signature without a body.
fn end_of_function(code: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0_i32, 0_i32);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b';' if brackets == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' if braces == 1 => return Some(at + 1),
            b'}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// Whether the contents of strings are blanked as well as comments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    Keep,
    Blank,
}

/// Rust without its comments, and without its strings where that is asked for: blanks stand in their place.
fn blanked(text: &str, strings: Strings) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (end, is_string) = token_end(bytes, at);
        if end > at + 1 && (!is_string || strings == Strings::Blank) {
            out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        }
        at = end;
    }
    String::from_utf8(out).expect("whole characters are blanked")
}

/// Where the comment, string or character literal ends that begins here, and whether it is one of the latter two; the
/// next byte for anything else.
fn token_end(bytes: &[u8], at: usize) -> (usize, bool) {
    let rest = &bytes[at..];
    let until = |mark: &[u8], from: usize| {
        let found = rest[from..].windows(mark.len()).position(|window| window == mark);
        at + found.map_or(rest.len(), |found| from + found + mark.len())
    };
    let is_name_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => (until(b"\n", 0) - 1, false),
        [b'/', b'*', ..] => (until(b"*/", 2), false),
        [b'"', ..] => (at + quoted(rest, b'"'), true),
        [b'r', b'"' | b'#', ..] | [b'b', b'r', b'"' | b'#', ..] if !is_name_before => {
            let hashes = rest.iter().skip(1).skip_while(|&&b| b == b'r').take_while(|&&b| b == b'#').count();
            let open = rest.iter().position(|&b| b == b'"').unwrap_or(0);
            let mark = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            (until(&mark, open + 1), true)
        }
        [b'\'', b'\\', ..] => (at + quoted(rest, b'\''), true),
        [b'\'', first, ..] => {
            let width = if *first < 0x80 { 1 } else { rest[1..].iter().take_while(|&&b| b >= 0x80).count() };
            let is_literal = rest.get(1 + width) == Some(&b'\'');
            if is_literal { (at + width + 2, true) } else { (at + 1, false) }
        }
        _ => (at + 1, false),
    }
}

/// The length of a literal that ends at its unescaped mark.
fn quoted(rest: &[u8], mark: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != mark {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Which rooms a ban is for.
enum Rooms {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

impl Rooms {
    fn holds(&self, room: &str) -> bool {
        match self {
            Rooms::Only(rooms) => rooms.contains(&room),
            Rooms::AllBut(rooms) => !rooms.contains(&room),
        }
    }
}

struct Ban {
    rooms: Rooms,
    words: &'static [&'static str],
    why: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        rooms: Rooms::AllBut(&["net"]),
        words: &["monoio", "io_uring"],
        why: "the event loop is named in net only",
    },
    Ban {
        rooms: Rooms::Only(&[
            "base", "wire", "dialect", "provider", "policy", "ledger", "identity", "config",
        ]),
        words: &["async", "await", "TcpStream", "TcpListener", "OwnedFd", "std::thread"],
        why: "pure functions: no socket, no waiting",
    },
    Ban {
        rooms: Rooms::Only(&["wire", "dialect", "provider", "policy", "ledger", "identity"]),
        words: &["clock", "Instant", "SystemTime", "std::net", "std::fs", "std::env"],
        why: "time and bytes are passed in",
    },
    Ban {
        rooms: Rooms::Only(&["net"]),
        words: &["json", "serde_json", "sse"],
        why: "net moves bytes and reads none",
    },
    Ban {
        rooms: Rooms::Only(&["shard"]),
        words: &[
            "Mutex",
            "RwLock",
            "Condvar",
            "std::thread",
            "std::fs",
            "block_on",
            "recv_timeout",
            "eprintln",
            "println",
        ],
        why: "a shard waits for no one and holds no lock",
    },
    Ban {
        rooms: Rooms::AllBut(&["offload"]),
        words: &["to_socket_addrs", "ToSocketAddrs"],
        why: "the system's resolver blocks: ask the offload thread",
    },
    Ban {
        rooms: Rooms::AllBut(&["base"]),
        words: &["Instant::now", "SystemTime::now"],
        why: "base::clock owns time",
    },
];

/// Rooms that could know each other by their order and must not.
const STRANGERS: &[(&str, &[&str])] = &[
    ("dialect", &["identity"]),
    ("provider", &["identity"]),
    ("journal", &["config", "provider", "dialect", "wire", "identity"]),
    ("net", &["config", "provider", "dialect", "ledger", "identity"]),
    ("policy", &["provider", "dialect", "ledger"]),
    ("simulate", &["config", "provider", "dialect", "ledger", "identity", "policy", "offload", "shard"]),
];

const UNSAFE_FILES: &[&str] = &[
    "src/base/heap.rs",
    "src/journal/map.rs",
    "src/net/sys.rs",
    "src/net/watch/ring.rs",
    "src/offload/trim.rs",
    "src/wire/json/block.rs",
    "tests/allocations/counter.rs",
];
const BUILTIN_LIST: &str = "src/config/provider_file.rs";
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;
/// A ratchet may stand this much above what it holds.
const RATCHET_SLACK: usize = 20;
const RATCHETS: Ratchets = Ratchets { files: &[], functions: &[] };
const SAFETY_LINES_MAX: usize = 12;
const TODO_BYTES_MIN: usize = 20;
const MARKS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const WORKPLACES: &[&str] = &["/home/", "/root/", "/Users/", "/mnt/", "/workspace/"];
const FOLDERS_SKIPPED: &[&str] =
    &[".git", "target", ".venv", "node_modules", "corpus", "artifacts", "found", "results"];
const FILES_SKIPPED: &[&str] = &[".git", "Cargo.lock", "LICENSE"];

/// The test of the rules: every bad text gives the complaint that it should, and a good one gives none.
#[test]
fn a_bad_text_gives_a_complaint_for_each_rule() {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("opening", "src/base/a.rs", "fn f() {}\n", "does not open"),
        ("room order", "src/base/a.rs", "//! A.\nuse crate::wire::Step;\n", "`base` must not know `wire`"),
        ("room order", "src/policy/a.rs", "//! A.\nuse crate::net::tls;\n", "`policy` must not know `net`"),
        (
            "room order",
            "src/net/a.rs",
            "//! A.\nfn f(x: crate::config::Log) {}\n",
            "`net` must not know `config`",
        ),
        ("room order", "src/cellar/a.rs", "//! A.\n", "the room `cellar` is not in src/lib.rs"),
        ("unsafe", "src/base/a.rs", "//! A.\nfn f() { unsafe { g() } }\n", "not listed"),
        ("unsafe", "src/net/sys.rs", "//! A.\nfn f() {\n    unsafe { g() }\n}\n", "unsafe without `SAFETY:`"),
        ("unsafe", "src/net/sys.rs", "//! A.\n/// F.\npub unsafe fn f() {}\n", "unsafe without `# Safety`"),
        (
            "unsafe",
            "src/net/sys.rs",
            "//! A.\n// SAFETY: x.\nunsafe impl T for X {}\n",
            "needs `expect(unsafe_code",
        ),
        ("unsafe", "src/net/sys.rs", "//! A.\n", "take it off the list"),
        ("banned words", "src/shard/a.rs", "//! A.\nuse monoio::spawn;\n", "`monoio` in `shard`"),
        ("banned words", "src/wire/a.rs", "//! A.\nasync fn f() {}\n", "`async` in `wire`"),
        ("banned words", "src/shard/a.rs", "//! A.\nuse std::sync::Mutex;\n", "`Mutex` in `shard`"),
        ("banned words", "src/net/a.rs", "//! A.\nuse serde_json::Value;\n", "`serde_json` in `net`"),
        ("providers", "src/shard/a.rs", "//! A.\nconst A: &str = \"acme\";\n", "names the provider `acme`"),
        ("providers", "src/shard/a.rs", "//! A.\nfn acme() {}\n", "names the provider `acme`"),
        (
            "providers",
            "src/shard/a.rs",
            "//! A.\nconst A: &str = \"openai\";\n",
            "names the provider `openai`",
        ),
        ("todo", "src/base/a.rs", "//! A.\n// TODO later\n", "a TODO without"),
        ("todo", "docs/A.md", "FIXME\n", "`FIXME`"),
        ("traits", "src/base/a.rs", "//! A.\ntrait T {}\nimpl T for A {}\n", "the trait `T`"),
        ("workplace", "docs/A.md", "see `/home/me/notes`\n", "a path of somebody's machine"),
    ];
    for (rule, path, text, want) in cases {
        let complaints = tree_of(path, text).complaints();
        let is_told =
            complaints.iter().any(|c| c.starts_with(&format!("[{rule}] {path}")) && c.contains(want));
        assert!(is_told, "{path}: `{text}` should give `{want}`; gave {complaints:?}");
    }
}

#[test]
fn lengths_are_counted_without_tests_and_ratchets_only_go_down() {
    let check = |body_lines: usize, more: usize, want: &[&str]| {
        let body = "    g();\n".repeat(body_lines);
        let text =
            format!("//! A.\nfn long() {{\n{body}}}\n{}#[cfg(test)]\nmod tests {{}}\n", "\n".repeat(more));
        let mut tree = tree_of("src/base/a.rs", &text);
        let ratchets = &[("src/base/old.rs", "old", 200)];
        tree.ratchets = Ratchets { files: &[("src/base/old.rs", 600)], functions: ratchets };
        tree.files.push(File::new("src/base/old.rs", format!("//! A.\nfn old() {{\n{body}}}\n")));
        let complaints = tree.complaints();
        assert_eq!(complaints.len(), want.len(), "{complaints:?}");
        want.iter()
            .for_each(|want| assert!(complaints.iter().any(|c| c.contains(want)), "{want}: {complaints:?}"));
    };
    check(
        68,
        428,
        &["`old` has 70 lines: take it out of the ratchet", "has 71 lines: take it out of the ratchet"],
    );
    check(
        69,
        429,
        &["`long` has 71", "`old` has 71 lines: lower", "old.rs:1: has 72", "a.rs:1: has 501 lines"],
    );
    check(199, 0, &["`long` has 201", "`old` has 201 lines; 200 are", "old.rs:1: has 202 lines: take"]);
    check(
        600,
        0,
        &["`long` has", "`old` has", "old.rs:1: has 603 lines without tests; 600", "a.rs:1: has 603"],
    );
}

#[test]
fn good_texts_give_no_complaint() {
    let texts = [
        ("src/shard/a.rs", "//! A.\nuse crate::dialect::openai;\n// acme and Mutex may be talked about.\n"),
        (
            "src/wire/a.rs",
            "//! A.\nconst A: &str = \"await\"; // the word, not the thing\nfn f<'a>(x: &'a u8) -> char { '\"' }\n",
        ),
        (
            "src/net/watch/ring.rs",
            "//! A.\n#![expect(unsafe_code, reason = \"r\")]\nfn f() {\n    // SAFETY: f.\n    let x =\n        unsafe { g() };\n}\n",
        ),
        (
            "src/base/a.rs",
            "//! A.\n// TODO: say this in one sentence that explains it\ntrait T {}\nimpl T for A {}\nimpl T for B {}\n",
        ),
        ("docs/A.md", "see `src/home/a` and https://example.com/home/\n"),
    ];
    for (path, text) in texts {
        assert_eq!(tree_of(path, text).complaints(), [""; 0], "{text}");
    }
}

#[test]
fn comments_and_strings_are_told_from_code() {
    let text = "a /* b /* c */ \"d\\\"e\" r#\"f\"g\"# 'h' '\\'' 'i: b\"j\" k // l\n";
    let kept: String = blanked(text, Strings::Blank).split_whitespace().collect();
    assert_eq!(kept, "a'i:bk");
    assert_eq!(blanked(text, Strings::Blank).len(), text.len());
    assert!(blanked(text, Strings::Keep).contains("r#\"f\"g\"#"));
}

/// A small house with one more file in it.
fn tree_of(path: &str, text: &str) -> Tree {
    let lib = "//! The rooms.\n\npub mod base;\n\npub mod wire;\n\npub mod dialect;\n\npub mod config;\n\npub mod net;\npub mod policy;\n\npub mod shard;\n";
    let grammar = "//! A grammar.\n";
    let unsafe_file =
        "//! S.\n#![expect(unsafe_code, reason = \"r\")]\n// SAFETY: x.\nunsafe impl Sync for X {}\n";
    let mut files: Vec<File> = [
        ("src/lib.rs", lib),
        ("src/dialect/openai.rs", grammar),
        ("src/net/sys.rs", unsafe_file),
        ("src/net/watch/ring.rs", unsafe_file),
        ("src/wire/json/block.rs", unsafe_file),
    ]
    .into_iter()
    .filter(|(other, _)| *other != path)
    .map(|(path, text)| File::new(path, text))
    .collect();
    files.push(File::new(path, text));
    Tree {
        files,
        providers: vec!["acme".to_owned(), "openai".to_owned()],
        ratchets: Ratchets { files: &[], functions: &[] },
    }
}
