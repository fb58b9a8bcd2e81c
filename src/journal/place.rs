//! Where journals lie: the folder of the running instance, and those that others left behind. Two processes may share a data
//! folder, as they do while one takes over from the other: each has a folder of its own and a lock on it.
#![expect(clippy::disallowed_methods, reason = "the room that owns the journal's files")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::base::clock;
use crate::ledger::frame::{HEADER_BYTES, Header};

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

    /// The shards that have segments.
    pub fn shards(&self) -> io::Result<Vec<u32>> {
        let mut shards: Vec<u32> = left(&self.folder)?.into_iter().map(|segment| segment.shard).collect();
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
    format!("{shard}-{number:016}{SEGMENT}")
}

/// A segment was read to its end: its file gets a name that is nobody's to read.
pub(super) fn rename_to_read(folder: &Path, shard: u32, number: u64) -> io::Result<()> {
    fs::rename(folder.join(segment_name(shard, number)), folder.join(read_name(shard, number)))
}

/// The file of a segment that was read becomes that of another one. Where it cannot, it is taken away.
pub(super) fn rename_from_read(folder: &Path, shard: u32, before: u64, number: u64) -> io::Result<()> {
    let read = folder.join(read_name(shard, before));
    fs::rename(&read, folder.join(segment_name(shard, number))).inspect_err(|_| {
        // Whatever the disk will not do with it, it goes with the folder.
        let _ = fs::remove_file(&read);
    })
}

fn read_name(shard: u32, number: u64) -> String {
    format!("{shard}-{number:016}{READ}")
}

/// Shard and number of every segment in the folder of a running instance.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|name| parts(name, SEGMENT)));
    }
    found.sort_unstable();
    Ok(found)
}

/// A segment of an instance that has ended.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Left {
    pub(super) shard: u32,
    pub(super) number: u64,
    pub(super) path: PathBuf,
}

/// The segments that an ended instance left, in their order. Which they are is told by their headers: after a loss of power, the
/// bytes of a file may be those of a later segment than the file has its name of. What has no header that is known goes by its
/// name. None are those that nobody has written, and those that were read.
pub(super) fn left(folder: &Path) -> io::Result<Vec<Left>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (named, read) = (parts(name, SEGMENT), parts(name, READ));
        let Some((shard, number)) = named.or(read) else { continue };
        let mut header = Vec::new();
        File::open(&path)?.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
        let is_blank = header.iter().all(|&byte| byte == 0);
        let header = Header::read(&header).unwrap_or(Header { shard, number });
        if !is_blank && read != Some((header.shard, header.number)) {
            found.push(Left { shard: header.shard, number: header.number, path });
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn parts(name: &str, kind: &str) -> Option<(u32, u64)> {
    let (shard, number) = name.strip_suffix(kind)?.split_once('-')?;
    Some((shard.parse().ok()?, number.parse().ok()?))
}

const SEGMENT: &str = ".seg";
const READ: &str = ".read";
const FOLDER: &str = "journal";
const ATTEMPTS_MAX: u32 = 16;
