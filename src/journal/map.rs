//! One segment in memory: a file whose blocks the disk has already given, so that writing to it cannot fail for want of room.
#![expect(unsafe_code, reason = "a mapping of a file has no safe form")]

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::base::limits::SEGMENT_BYTES;

/// Makes a file of [`SEGMENT_BYTES`] zeros and maps it. Nothing of it stays when that fails.
pub fn create(path: &Path) -> io::Result<MmapMut> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    let made = reserve(&file).and_then(|()| {
        // SAFETY: nobody but this gateway writes to its journal, and it never shortens a segment: the file was made just
        // now, under a folder that is locked for this process, and the one who reads it only ever reads or removes it.
        unsafe { MmapMut::map_mut(&file) }
    });
    if made.is_err() {
        let _ = std::fs::remove_file(path);
    }
    made
}

/// Takes the room on the disk at once. A file system that cannot do that is written full of zeros.
fn reserve(file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, SEGMENT_BYTES as u64) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; SEGMENT_BYTES];
            std::os::unix::fs::FileExt::write_all_at(file, &zeros, 0)
        }
        result => result.map_err(io::Error::from),
    }
}
