//! Which dialect a request speaks, and what it asks for there: found in its path alone.

/// The dialects that providers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Chat,
    Completions,
    Embeddings,
    Messages,
}

/// A request that is answered by what its body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub dialect: Dialect,
    pub task: Task,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// An answer, whole or as a stream as the body says.
    Answer,
    Whole,
    CountTokens,
}

impl Ask {
    /// What a request to this path asks for; `None` for every other path.
    pub fn of(path: &[u8]) -> Option<Ask> {
        let rest = path.strip_prefix(b"/v1").unwrap_or(path);
        let (dialect, task) = match rest {
            b"/chat/completions" => (Dialect::Chat, Task::Answer),
            b"/completions" => (Dialect::Completions, Task::Answer),
            b"/embeddings" => (Dialect::Embeddings, Task::Whole),
            b"/messages" => (Dialect::Messages, Task::Answer),
            b"/messages/count_tokens" => (Dialect::Messages, Task::CountTokens),
            _ => return None,
        };
        Some(Ask { dialect, task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_what_is_asked() {
        let check = |path: &str, want: Option<(Dialect, Task)>| {
            let want = want.map(|(dialect, task)| Ask { dialect, task });
            assert_eq!(Ask::of(path.as_bytes()), want, "{path}");
        };
        use Dialect::*;
        for prefix in ["", "/v1"] {
            check(&format!("{prefix}/chat/completions"), Some((Chat, Task::Answer)));
            check(&format!("{prefix}/messages"), Some((Messages, Task::Answer)));
            check(&format!("{prefix}/messages/count_tokens"), Some((Messages, Task::CountTokens)));
        }
        for other in ["/", "/v1", "/v1/models/m", "/v1/audio/speech"] {
            check(other, None);
        }
    }
}
