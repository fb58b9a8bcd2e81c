//! Ids of files and batches as clients see them: the provider's own, with the name of the instance behind it. Which
//! provider an id belongs to so stands in the id itself, and no table of ours can lose it.

/// Stands between the provider's id and its name. It needs no escape in a path (RFC 3986 §2.3), no name of an instance
/// holds it, and neither do the ids of providers.
pub const MARK: char = '~';

/// Takes an id apart: the provider's own, and the name of the instance where one stands behind it.
pub fn split(id: &str) -> (&str, Option<&str>) {
    match id.rsplit_once(MARK) {
        Some((own, name)) if !own.is_empty() && !name.is_empty() => (own, Some(name)),
        _ => (id, None),
    }
}

/// What stands behind an id of this provider's.
pub fn ending(name: &str) -> String {
    format!("{MARK}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_together_comes_apart() {
        for (id, name) in [("file-abc", "openai"), ("msgbatch_01", "my-own.2"), ("a~b", "c")] {
            assert_eq!(split(&format!("{id}{}", ending(name))), (id, Some(name)));
        }
        for id in ["file-abc", "", "~", "~openai", "file-abc~"] {
            assert_eq!(split(id), (id, None), "{id}");
        }
    }
}
