//! User paths: who a request is for, as a place in a tree, `/team/alpha/service`. Text in, its one normal form or a
//! reason out.

use std::borrow::Borrow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::base::limits::{USER_PATH_BYTES_MAX, USER_PATH_DEPTH_MAX};

/// A user path in its normal form: `/` alone, or segments that each have a `/` before them. Cheap to clone. Letter case
/// counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserPath {
    text: Arc<str>,
}

/// Why a text is no user path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    NotText,
    TooLong,
    TooDeep,
    Dots,
    Character(char),
}

impl UserPath {
    /// The top of the tree: everybody.
    pub fn root() -> UserPath {
        static ROOT: LazyLock<UserPath> = LazyLock::new(|| UserPath { text: Arc::from("/") });
        ROOT.clone()
    }

    /// Normalises: blanks around segments, empty segments and a slash at the end fall away, a slash at the beginning may
    /// be missing. A segment is made of letters, digits, inner blanks and `-_.@+~=`, and is not `.` or `..`.
    pub fn new(text: &str) -> Result<UserPath, BadPath> {
        let segments = text.split('/').map(str::trim).filter(|segment| !segment.is_empty());
        let mut normal = String::with_capacity(text.len() + 1);
        let mut depth = 0;
        for segment in segments {
            check_segment(segment)?;
            normal.push('/');
            normal.push_str(segment);
            depth += 1;
        }
        if normal.len() > USER_PATH_BYTES_MAX {
            return Err(BadPath::TooLong);
        }
        if depth > USER_PATH_DEPTH_MAX {
            return Err(BadPath::TooDeep);
        }
        if depth == 0 {
            return Ok(UserPath::root());
        }
        Ok(UserPath { text: normal.into() })
    }

    /// The same for the value of a header.
    pub fn from_bytes(bytes: &[u8]) -> Result<UserPath, BadPath> {
        UserPath::new(std::str::from_utf8(bytes).map_err(|_| BadPath::NotText)?)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn is_root(&self) -> bool {
        self.text.len() == 1
    }

    /// Whether it is this place or one below it.
    pub fn is_within(&self, place: &UserPath) -> bool {
        let below = self.text.strip_prefix(&*place.text);
        place.is_root() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The path itself, the one above it, and so on up to `/`.
    pub fn upward(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(&*self.text), |path| above(path))
    }
}

fn above(path: &str) -> Option<&str> {
    // A byte of its own in UTF-8, wherever it stands.
    match memchr::memrchr(b'/', path.as_bytes())? {
        0 => (path.len() > 1).then_some("/"),
        at => Some(&path[..at]),
    }
}

fn check_segment(segment: &str) -> Result<(), BadPath> {
    if matches!(segment, "." | "..") {
        return Err(BadPath::Dots);
    }
    let is_good = |c: char| c.is_alphanumeric() || " -_.@+~=".contains(c);
    segment.chars().find(|&c| !is_good(c)).map_or(Ok(()), |c| Err(BadPath::Character(c)))
}

impl Borrow<str> for UserPath {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for UserPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadPath::NotText => f.write_str("it is not UTF-8"),
            BadPath::TooLong => write!(f, "it is longer than {USER_PATH_BYTES_MAX} bytes"),
            BadPath::TooDeep => write!(f, "it has more than {USER_PATH_DEPTH_MAX} segments"),
            BadPath::Dots => f.write_str("`.` and `..` are no segments"),
            BadPath::Character(c) => write!(f, "it holds {c:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Result<&str, BadPath>) {
        let got = UserPath::new(text);
        assert_eq!(got.as_ref().map(UserPath::as_str).map_err(|bad| *bad), want, "{text:?}");
        if let Ok(path) = got {
            assert_eq!(
                UserPath::new(path.as_str()),
                Ok(path.clone()),
                "the normal form of {text} is its own"
            );
        }
    }

    #[test]
    fn paths_have_one_normal_form_or_a_reason() {
        check("/team/alpha", Ok("/team/alpha"));
        check("team/alpha/", Ok("/team/alpha"));
        check(" //team / /alpha// ", Ok("/team/alpha"));
        check("/Team A/me@example.com", Ok("/Team A/me@example.com"));
        check("/équipe/漢字", Ok("/équipe/漢字"));
        check("", Ok("/"));
        check("///", Ok("/"));
        check("/team/../root", Err(BadPath::Dots));
        check("/./a", Err(BadPath::Dots));
        check("/a/...", Ok("/a/..."));
        check("/a%2fb", Err(BadPath::Character('%')));
        check("/a\\b", Err(BadPath::Character('\\')));
        check("/a\u{0}", Err(BadPath::Character('\u{0}')));
        check("/a\tb", Err(BadPath::Character('\t')));
        check("/a*", Err(BadPath::Character('*')));
        check(&"/a".repeat(USER_PATH_DEPTH_MAX), Ok(&"/a".repeat(USER_PATH_DEPTH_MAX)));
        check(&"/a".repeat(USER_PATH_DEPTH_MAX + 1), Err(BadPath::TooDeep));
        check(&"a".repeat(USER_PATH_BYTES_MAX), Err(BadPath::TooLong));
        assert_eq!(UserPath::from_bytes(b"/\xff"), Err(BadPath::NotText));
    }

    #[test]
    fn a_path_is_within_itself_and_what_is_above_it() {
        let path = |text: &str| UserPath::new(text).unwrap();
        let alpha = path("/team/alpha");
        for (place, want) in [
            ("/", true),
            ("/team", true),
            ("/team/alpha", true),
            ("/tea", false),
            ("/team/alpha/x", false),
            ("/x", false),
        ] {
            assert_eq!(alpha.is_within(&path(place)), want, "{place}");
        }
        assert!(!path("/team/alphabet").is_within(&alpha));
    }

    #[test]
    fn upward_ends_at_the_root() {
        let upward =
            |text: &str| UserPath::new(text).unwrap().upward().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(upward("/a/b/c"), ["/a/b/c", "/a/b", "/a", "/"]);
        assert_eq!(upward("/a"), ["/a", "/"]);
        assert_eq!(upward("/"), ["/"]);
    }
}
