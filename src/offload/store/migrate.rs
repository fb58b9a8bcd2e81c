//! What to do with a store of some schema version: bring it forward, leave it, or refuse it.

use super::error::StoreError;
use super::schema::{Schema, Step};

/// The steps that are missing; none when the store is of this version. A newer one is refused: its tables may mean
/// something else by now, and nothing is ever taken back.
pub fn missing_steps(schema: &Schema, found: i64) -> Result<Vec<Step>, StoreError> {
    if found > i64::from(schema.version) {
        return Err(StoreError::newer(found, schema.version));
    }
    Ok(schema.steps_from(u32::try_from(found).unwrap_or(0)))
}
