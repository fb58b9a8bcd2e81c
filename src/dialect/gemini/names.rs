//! Names of functions: what the API does not take is renamed, the same way each time, and the names are told for the way
//! back.

use super::super::middle::{Part, Request, Text, ToolChoice, ToolKind};

/// The names that had to be changed: as sent, and the client's.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) renamed: Vec<(String, String)>,
}

impl Names {
    /// Looks through all names of a request, tools first, so that a conversation that grows keeps its names.
    pub(super) fn of(request: &Request<'_>) -> Names {
        let tools = request.tools.iter().filter(|tool| tool.kind != ToolKind::Foreign).map(|tool| &tool.name);
        let chosen = match &request.tool_choice {
            Some(ToolChoice::Named(name)) => Some(name),
            _ => None,
        };
        let called = request.turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match part {
            Part::ToolCall { name, .. } => Some(name),
            Part::ToolResult { name, .. } => name.as_ref(),
            _ => None,
        });
        let all: Vec<_> = tools.chain(chosen).chain(called).map(Text::decoded).collect();
        let mut names = Names::default();
        for name in all.iter().filter(|name| !is_valid(name)) {
            if names.sent(name).is_none() {
                let is_taken =
                    |sent: &str| all.iter().any(|other| other == sent) || names.client(sent).is_some();
                let sent = fitting(name, is_taken);
                names.renamed.push((sent, name.to_string()));
            }
        }
        names
    }

    /// Writes the name as it is sent, as a JSON string.
    pub(super) fn write(&self, name: &Text<'_>, out: &mut Vec<u8>) {
        if self.renamed.is_empty() {
            return name.write(out);
        }
        match self.sent(&name.decoded()) {
            Some(sent) => crate::wire::json::write_string(sent, out),
            None => name.write(out),
        }
    }

    fn sent(&self, client: &str) -> Option<&str> {
        self.renamed.iter().find(|(_, other)| other == client).map(|(sent, _)| &**sent)
    }

    fn client(&self, sent: &str) -> Option<&str> {
        self.renamed.iter().find(|(other, _)| other == sent).map(|(_, client)| &**client)
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_.-]{0,63}`: the rule of the reference for `FunctionDeclaration.name` without the colon, which
/// Vertex does not take.
fn is_valid(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.len() <= NAME_BYTES_MAX && name.starts_with(is_start) && name.chars().all(is_part)
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// A valid name that looks like this one and is not taken.
fn fitting(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut plain: String = name.chars().map(|c| if is_part(c) { c } else { '_' }).collect();
    if !plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        plain.insert(0, '_');
    }
    plain.truncate(NAME_BYTES_MAX);
    let mut fitting = plain.clone();
    let mut count = 2_u32;
    while is_taken(&fitting) {
        let ending = format!("_{count}");
        fitting.clone_from(&plain);
        fitting.truncate(NAME_BYTES_MAX - ending.len());
        fitting.push_str(&ending);
        count += 1;
    }
    fitting
}

const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::super::middle::Tool;
    use super::*;

    #[test]
    fn names_that_are_not_taken_are_renamed_without_meeting_another() {
        let long = "x".repeat(70);
        let tools = ["ok.name-1", "a/b", "a_b", "a b", "1st", &long].map(|name| Tool {
            kind: ToolKind::Function,
            name: Text::of(name),
            description: None,
            schema: None,
            strict: None,
            cache_control: None,
        });
        let names = Names::of(&Request { tools: tools.to_vec(), ..Request::default() });
        let want = [("a_b_2", "a/b"), ("a_b_3", "a b"), ("_1st", "1st"), (&long[..64], &*long)];
        let want: Vec<_> = want.iter().map(|(sent, client)| (sent.to_string(), client.to_string())).collect();
        assert_eq!(names.renamed, want);
        let mut out = Vec::new();
        names.write(&Text::escaped(br"a\/b"), &mut out);
        names.write(&Text::of("a_b"), &mut out);
        assert_eq!(out, br#""a_b_2""a_b""#);
    }
}
