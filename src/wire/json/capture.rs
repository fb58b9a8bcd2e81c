//! Catches the values of a few top-level keys while their document streams by. Keeps those values only, and no more of
//! each than `JSON_CAPTURE_BYTES_MAX`.

use super::{JsonStep, Kind, Member, Scanner};
use crate::base::limits::JSON_CAPTURE_BYTES_MAX;

/// A watch over one document. A fault in the document ends the watch and nothing else.
#[derive(Clone, Debug)]
pub struct Capture {
    keys: &'static [&'static str],
    values: Vec<Option<(Vec<u8>, Kind)>>,
    scanner: Scanner,
    members: Vec<Member>,
    members_seen: usize,
    /// The bytes of the open value that came with earlier inputs, when it is one that is watched.
    open: Vec<u8>,
    base: usize,
    state: Watch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Running,
    Ended,
    Failed,
}

impl Capture {
    pub fn new(keys: &'static [&'static str]) -> Capture {
        Capture {
            keys,
            values: vec![None; keys.len()],
            scanner: Scanner::new(),
            members: Vec::new(),
            members_seen: 0,
            open: Vec::new(),
            base: 0,
            state: Watch::Running,
        }
    }

    /// Looks at more of the document.
    pub fn step(&mut self, input: &[u8]) {
        if self.state != Watch::Running {
            return self.judge_rest(input);
        }
        if self.base + input.len() > u32::MAX as usize {
            self.state = Watch::Failed;
            return;
        }
        self.members.clear();
        let step = self.scanner.step(input, &mut self.members);
        let members = std::mem::take(&mut self.members);
        for member in &members {
            self.close(*member, input);
        }
        self.members = members;
        match step {
            JsonStep::More => self.keep_open_value(input),
            JsonStep::Done { used } => {
                self.state = Watch::Ended;
                self.judge_rest(&input[used..]);
            }
            JsonStep::Bad(_) => self.state = Watch::Failed,
        }
        self.base += input.len();
    }

    /// Whether the document was one whole JSON object.
    pub fn ended_well(&self) -> bool {
        self.state == Watch::Ended
    }

    /// The value of a watched key as it was spelled, with its kind; `None` when it did not come or was too long.
    pub fn value(&self, key: &str) -> Option<(&[u8], Kind)> {
        let index = self.keys.iter().position(|&watched| watched == key)?;
        self.values[index].as_ref().map(|(bytes, kind)| (&bytes[..], *kind))
    }

    fn judge_rest(&mut self, rest: &[u8]) {
        if rest.iter().any(|&b| !super::is_space(b)) {
            self.state = Watch::Failed;
        }
    }

    fn watched(&self, member_index: usize) -> Option<usize> {
        let name = self.scanner.key_name(member_index);
        self.keys.iter().position(|key| key.as_bytes() == name)
    }

    /// A member was completed in this input; its value may have begun earlier.
    fn close(&mut self, member: Member, input: &[u8]) {
        if let Some(index) = self.watched(self.members_seen) {
            let start = (member.value.start as usize).max(self.base) - self.base;
            let end = member.value.end as usize - self.base;
            self.open.extend_from_slice(&input[start..end]);
            if self.open.len() <= JSON_CAPTURE_BYTES_MAX {
                self.values[index] = Some((std::mem::take(&mut self.open), member.kind));
            }
        }
        self.open.clear();
        self.members_seen += 1;
    }

    fn keep_open_value(&mut self, input: &[u8]) {
        let Some(value_at) = self.scanner.open_value_at() else { return };
        if self.watched(self.members_seen).is_some() && self.open.len() <= JSON_CAPTURE_BYTES_MAX {
            let start = value_at.max(self.base) - self.base;
            let room = JSON_CAPTURE_BYTES_MAX + 1 - self.open.len();
            let end = input.len().min(start + room);
            self.open.extend_from_slice(&input[start..end]);
        }
    }
}
