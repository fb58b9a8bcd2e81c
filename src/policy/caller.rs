//! Where a request belongs in the tree of users, and which labels it carries.

use ring::digest;

use super::key::Key;
use crate::base::limits::{LABEL_BYTES_MAX, LABELS_COUNT_MAX};
use crate::base::{Refusal, RefusalKind};
use crate::identity::UserPath;

/// The user path of a request: its key's, else what its header says, else `/`. A header that is no path is refused also
/// where the key's path makes it unimportant: its sender is mistaken about something.
pub fn user_path(key: Option<&Key>, header: Option<&[u8]>) -> Result<UserPath, Refusal> {
    let said = header.map(UserPath::from_bytes).transpose().map_err(|bad| {
        Refusal::new(
            400,
            RefusalKind::InvalidRequest,
            "invalid_user_path",
            format!("The user path in the header cannot be used: {bad}."),
        )
    })?;
    let of_key = key.and_then(|key| key.path.clone());
    Ok(of_key.or(said).unwrap_or_else(UserPath::root))
}

/// The tenant of a key: its user path, which all keys of that path share, or else the key's own public id. A path begins
/// with a slash and an id never does.
pub fn tenant(key: &Key) -> &str {
    match key.path.as_ref().map(UserPath::as_str) {
        None | Some("/") => key.id.as_str(),
        Some(path) => path,
    }
}

/// What a tenant is to what the gateway keeps for its callers; unlike that of any key.
pub fn owner(tenant: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"tenant\0");
    context.update(tenant.as_bytes());
    let mut owner = [0; 32];
    owner.copy_from_slice(context.finish().as_ref());
    owner
}

/// The labels of the key and then of the request, each once, within their bounds.
pub fn labels<'l>(key: Option<&'l Key>, said: impl IntoIterator<Item = &'l str>) -> Vec<&'l str> {
    let of_key = key.into_iter().flat_map(|key| key.labels.iter().map(|label| &**label));
    let mut labels = Vec::new();
    for label in of_key.chain(said) {
        let is_good = !label.is_empty() && label.len() <= LABEL_BYTES_MAX && !labels.contains(&label);
        if is_good && labels.len() < LABELS_COUNT_MAX {
            labels.push(label);
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::key::{KeyFields, KeyId, Proof};
    use super::*;
    use crate::identity::Calendar;

    fn key(path: Option<&str>, labels: &[&str]) -> Key {
        let fields = KeyFields {
            path: path.map(|path| UserPath::new(path).unwrap()),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            ..KeyFields::default()
        };
        Key::new(
            KeyId::from_random([0; 16]),
            Proof::of_whole(b"k"),
            fields,
            &Arc::new(Calendar::default()),
            None,
        )
    }

    #[test]
    fn the_keys_path_wins_and_a_bad_header_is_refused() {
        let (bound, free) = (key(Some("/team"), &[]), key(None, &[]));
        let check = |key: Option<&Key>, header: Option<&str>, want: Result<&str, &str>| {
            let got = user_path(key, header.map(str::as_bytes));
            let got = got.as_ref().map(UserPath::as_str).map_err(|refusal| refusal.code);
            assert_eq!(got, want, "{header:?}");
        };
        check(Some(&bound), Some("/other"), Ok("/team"));
        check(Some(&free), Some("other/x/"), Ok("/other/x"));
        check(None, None, Ok("/"));
        check(None, Some(" "), Ok("/"));
        check(Some(&free), Some("/a/../b"), Err("invalid_user_path"));
        check(Some(&bound), Some("/a/../b"), Err("invalid_user_path"));
    }

    #[test]
    fn keys_of_one_path_are_one_tenant_and_others_are_their_own() {
        let (bound, rooted, free) = (key(Some("/team"), &[]), key(Some("/"), &[]), key(None, &[]));
        assert_eq!([&bound, &rooted, &free].map(tenant), ["/team", free.id.as_str(), free.id.as_str()]);
        assert_ne!(owner("/team"), owner("/team/alpha"));
    }

    #[test]
    fn labels_stand_once_and_are_bounded() {
        let key = key(None, &["a", "b"]);
        assert_eq!(labels(Some(&key), ["b", "c", "", &"x".repeat(LABEL_BYTES_MAX + 1)]), ["a", "b", "c"]);
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(labels(None, many.iter().map(String::as_str)).len(), LABELS_COUNT_MAX);
    }
}
