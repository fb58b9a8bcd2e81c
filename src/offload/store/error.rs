//! What went wrong with a store, and whether the same call can succeed later.

use std::fmt;

/// A failed call. Nothing of a batch was written, except where MongoDB has no transaction: there a batch that is written
/// again skips what is in already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    pub kind: ErrorKind,
    /// What the engine said, for the operator. Holds no value of a row and no password.
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It cannot be reached, or the connection broke.
    Down,
    /// It did not answer in time.
    Late,
    /// Somebody else held a lock for too long, or the call lost against another.
    Busy,
    /// No room on its disk.
    Full,
    /// It takes no writes now: a replica, a file system mounted read-only, a file without permission.
    ReadOnly,
    /// Name, password or right are wrong.
    Refused,
    /// The schema is of another version than this program's.
    OtherVersion,
    /// Another row has a value that may stand only once.
    Conflict,
    /// A value does not fit its column.
    Unfit,
    /// Tables or columns are not as described, or the file is damaged.
    Broken,
}

impl ErrorKind {
    /// Whether the same call can succeed later, without a change to it or to the program.
    pub fn is_passing(self) -> bool {
        match self {
            ErrorKind::Down | ErrorKind::Late | ErrorKind::Busy => true,
            // An operator makes room, remounts, or puts the password right.
            ErrorKind::Full | ErrorKind::ReadOnly | ErrorKind::Refused => true,
            ErrorKind::OtherVersion | ErrorKind::Conflict | ErrorKind::Unfit | ErrorKind::Broken => false,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            ErrorKind::Down => "the store cannot be reached",
            ErrorKind::Late => "the store did not answer in time",
            ErrorKind::Busy => "the store is locked by others",
            ErrorKind::Full => "the store has no room left",
            ErrorKind::ReadOnly => "the store takes no writes",
            ErrorKind::Refused => "the store refused name, password or right",
            ErrorKind::OtherVersion => "the store is of another version",
            ErrorKind::Conflict => "a value that may stand only once stands there already",
            ErrorKind::Unfit => "a value does not fit the store",
            ErrorKind::Broken => "the store is not as described",
        }
    }
}

impl StoreError {
    pub fn new(kind: ErrorKind, what: impl fmt::Display) -> StoreError {
        StoreError { kind, what: what.to_string() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.sentence(), self.what)
    }
}

impl std::error::Error for StoreError {}
