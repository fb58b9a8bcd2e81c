//! What to do with a store of some schema version: bring it forward, leave it, or refuse it.

use super::error::{ErrorKind, StoreError};
use super::schema::{Schema, Step};

/// What may be done to an older store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// It is brought to this version, or made where there is none.
    Forward,
    /// It is left alone. An older program may be using it, and would find it newer at its next start.
    Never,
}

/// The steps that are missing; none when the store is of this version. A newer one is refused: its tables may mean
/// something else by now, and nothing is ever taken back.
pub fn missing_steps(schema: &Schema, found: i64, upgrade: Upgrade) -> Result<Vec<Step>, StoreError> {
    let known = schema.version;
    let refused = |what: String| Err(StoreError::new(ErrorKind::OtherVersion, what));
    if found > i64::from(known) {
        return refused(format!(
            "its schema has version {found} and this program knows versions up to {known}: \
             start the newer Ringway that it was last used with, or name another store"
        ));
    }
    if found < i64::from(known) && upgrade == Upgrade::Never {
        return refused(format!(
            "its schema has version {found} and this program needs version {known}: \
             `ringway serve` of this version brings it forward"
        ));
    }
    Ok(schema.steps_from(u32::try_from(found).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offload::store::tables::SCHEMA;

    #[test]
    fn a_refusal_names_both_versions_and_what_to_do() {
        let check = |known, found, upgrade, want: &[&str]| {
            let schema = Schema { version: known, ..SCHEMA };
            match missing_steps(&schema, found, upgrade) {
                Ok(_) => assert!(want.is_empty(), "{known} {found} {upgrade:?}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(!want.is_empty() && want.iter().all(|part| text.contains(part)), "{text}");
                    assert!(error.kind == ErrorKind::OtherVersion && !error.kind.is_passing());
                }
            }
        };
        check(3, 3, Upgrade::Forward, &[]);
        check(3, 3, Upgrade::Never, &[]);
        check(3, 0, Upgrade::Forward, &[]);
        check(3, 7, Upgrade::Forward, &["version 7", "up to 3", "start the newer Ringway"]);
        check(3, 7, Upgrade::Never, &["version 7", "up to 3"]);
        check(3, 2, Upgrade::Never, &["version 2", "needs version 3", "ringway serve"]);
    }
}
