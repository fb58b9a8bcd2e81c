//! Where journals lie: the folder of the running instance, and those that others left behind. Two processes may share a data
//! folder, as they do while one takes over from the other: each has a folder of its own and a lock on it.
#![expect(clippy::disallowed_methods, reason = "the room that owns the journal's files")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::base::clock;

/// The folder of the running instance. Its lock is free as soon as the process has ended, however that was.
#[derive(Debug)]
pub struct Instance {
    pub folder: PathBuf,
    _lock: File,
}

/// A folder whose instance has ended, locked by us.
#[derive(Debug)]
pub struct Orphan {
    pub folder: PathBuf,
    _lock: File,
}

impl Instance {
    /// Makes a folder of a name that nobody had before, below `data`.
    pub fn begin(data: &Path) -> io::Result<Instance> {
        let journals = data.join(FOLDER);
        fs::create_dir_all(&journals)?;
        for attempt in 0..ATTEMPTS_MAX {
            let name = format!("{}-{}-{attempt}", clock::wall_ms(), std::process::id());
            let folder = journals.join(name);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            // Until it is locked, another process that starts now may think it left behind, and clear it away.
            if let Some(lock) = lock(&folder)? {
                return Ok(Instance { folder, _lock: lock });
            }
        }
        Err(io::Error::other("no folder for the journal could be locked"))
    }
}

impl Instance {
    /// Everything that was written is in the store: takes the folder away.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}

impl Orphan {
    /// The journals below `data` whose instances have ended, the oldest first.
    pub fn find(data: &Path) -> io::Result<Vec<Orphan>> {
        let mut folders: Vec<PathBuf> = fs::read_dir(data.join(FOLDER))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        let mut orphans = Vec::new();
        for folder in folders {
            // One that vanishes meanwhile was another's.
            if let Ok(Some(lock)) = lock(&folder) {
                orphans.push(Orphan { folder, _lock: lock });
            }
        }
        Ok(orphans)
    }

    /// The segments of each shard that has some, by their numbers.
    pub fn shards(&self) -> io::Result<Vec<u32>> {
        let mut shards: Vec<u32> = segments(&self.folder)?.into_iter().map(|(shard, _)| shard).collect();
        shards.sort_unstable();
        shards.dedup();
        Ok(shards)
    }

    /// Everything in it is in the store: takes it away.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}

/// Takes the lock of a folder; `None` when its instance lives.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn segment_name(shard: u32, number: u64) -> String {
    format!("{shard}-{number:016}.seg")
}

/// Shard and number of every segment in a folder.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let parts = name.to_str().and_then(|name| name.strip_suffix(".seg")?.split_once('-'));
        if let Some((Ok(shard), Ok(number))) = parts.map(|(shard, number)| (shard.parse(), number.parse())) {
            found.push((shard, number));
        }
    }
    found.sort_unstable();
    Ok(found)
}

const FOLDER: &str = "journal";
const ATTEMPTS_MAX: u32 = 16;
