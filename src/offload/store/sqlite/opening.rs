//! Opening the file, which other processes may be doing too.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::super::error::{ErrorKind, StoreError};
use super::super::migrate::{Upgrade, missing_steps};
use super::super::schema::Schema;
use super::super::sql::{self, Flavour};
use super::translated;

use crate::base::clock;
use crate::base::limits::{SQLITE_LOCKED_PAUSE_MS, SQLITE_PAGE_BYTES, SQLITE_STATEMENTS_KEPT};

/// Opens the file for the one connection that writes, in the schema's form. `Upgrade::Forward` makes file and folders that are not
/// there and brings an older form forward. Others' locks are waited for at most twice `lock_wait`; `Busy` is told behind that.
pub fn to_write(
    path: &Path,
    lock_wait: Duration,
    schema: &Schema,
    upgrade: Upgrade,
) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if upgrade == Upgrade::Forward {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.map_or(Ok(()), make_folder)?;
    }
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| named(path, &error))?;
    if upgrade == Upgrade::Forward {
        close_to_others(path);
    }
    until_free(lock_wait, || {
        prepare(&connection, lock_wait)?;
        bring_forward(&mut connection, schema, upgrade)
    })
    .map_err(|error| match error.kind {
        ErrorKind::OtherVersion => error,
        _ => of_file(path, error),
    })?;
    Ok(connection)
}

/// Tries again what found the file locked, for as long as others' locks are waited for. SQLite does so itself at nearly
/// every place, but answers at once where a wait could last for ever: where two connections want to make one new file WAL,
/// and where the last one of another process is closing (sqlite.org/wal.html).
fn until_free(
    lock_wait: Duration,
    mut work: impl FnMut() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let end_us = clock::monotonic_us() + u64::try_from(lock_wait.as_micros()).unwrap_or(u64::MAX / 2);
    loop {
        match work() {
            Err(error) if error.kind == ErrorKind::Busy && clock::monotonic_us() < end_us => {
                std::thread::sleep(Duration::from_millis(SQLITE_LOCKED_PAUSE_MS));
            }
            result => return result,
        }
    }
}

/// Takes the file away from the eyes of other users; the files that SQLite puts beside it get the mode that it has. One that
/// belongs to somebody else keeps its mode: it is open to us because its owner wants it so.
fn close_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o700));
    }
}

/// Only the user that the gateway runs as may look inside.
fn make_folder(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull => ErrorKind::Full,
            std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            std::io::ErrorKind::PermissionDenied => ErrorKind::ReadOnly,
            _ => ErrorKind::Down,
        };
        StoreError::new(kind, format_args!("the folder {} cannot be made: {error}", folder.display()))
    })
}

/// Opens the file, which is there, for reading alone. Each read waits for others' locks for `lock_wait`.
pub fn to_read(path: &Path, lock_wait: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| named(path, &error))?;
    connection.busy_timeout(lock_wait).map_err(|error| named(path, &error))?;
    Ok(connection)
}

fn prepare(connection: &Connection, lock_wait: Duration) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(SQLITE_STATEMENTS_KEPT);
    connection.busy_timeout(lock_wait)?;
    // Of a new file only; one that is there keeps the size that it has. Records are written at the ends of their trees, and
    // each page costs two writes and a sum over it.
    connection.pragma_update(None, "page_size", SQLITE_PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// One transaction, whose lock makes a second process wait and then find nothing left to do.
fn bring_forward(connection: &mut Connection, schema: &Schema, upgrade: Upgrade) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for text in sql::version_table() {
        transaction.execute(&text, [])?;
    }
    let found: i64 = transaction.query_row(&sql::version(), [], |row| row.get(0))?;
    for step in missing_steps(schema, found, upgrade)? {
        transaction.execute(&sql::step(Flavour::Sqlite, &step), [])?;
    }
    transaction.execute(&sql::set_version(schema.version), [])?;
    Ok(transaction.commit()?)
}

fn named(path: &Path, error: &rusqlite::Error) -> StoreError {
    of_file(path, translated(error))
}

fn of_file(path: &Path, error: StoreError) -> StoreError {
    StoreError::new(error.kind, format_args!("{}: {}", path.display(), error.what))
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::offload::store::tables::SCHEMA;

    #[test]
    fn a_new_file_may_be_opened_from_all_sides_at_once() {
        const SIDES: usize = 8;
        let folder = std::env::temp_dir().join(format!("ringway-opening-{}", std::process::id()));
        for round in 0..40 {
            let (path, together) = (folder.join(format!("{round}.db")), Barrier::new(SIDES));
            let open = || {
                together.wait();
                to_write(&path, Duration::from_secs(60), &SCHEMA, Upgrade::Forward).map(drop)
            };
            let all: [_; SIDES] = std::thread::scope(|scope| {
                std::array::from_fn(|_| scope.spawn(open)).map(|one| one.join().expect("it does not panic"))
            });
            assert_eq!(all, [const { Ok(()) }; SIDES], "round {round}");
        }
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
