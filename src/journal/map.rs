//! One segment in memory: a file whose blocks the disk has already given, so that writing to it cannot fail for want of room.
#![expect(unsafe_code, reason = "a mapping of a file has no safe form")]

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use memmap2::{Advice, MmapMut};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::base::limits::SEGMENT_BYTES;

/// Makes a file of [`SEGMENT_BYTES`] zeros and maps it. Nothing of it stays when that fails.
pub fn create(path: &Path) -> io::Result<MmapMut> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    let made = reserve(&file).and_then(|()| {
        // SAFETY: nobody but this gateway writes to its journal, and it never shortens a segment: the file was made just
        // now, under a folder that is locked for this process, and the one who reads it only ever reads, renames or removes it.
        unsafe { MmapMut::map_mut(&file) }
    });
    if made.is_err() {
        let _ = std::fs::remove_file(path);
    }
    made
}

/// Brings a range of a segment into this process's memory, to be written to: at once that costs less than a fault for each
/// page that is touched.
pub fn bring_in(map: &MmapMut, at: usize, bytes: usize) {
    // Where the kernel does not know the advice (before Linux 5.14), pages come as they are touched.
    let _ = map.advise_range(Advice::PopulateWrite, at, bytes);
}

/// Asks the processor for the line of its cache that holds a place of a segment, so that it is near when it is written to.
/// Nothing waits for it, and a place outside of the segment is none.
pub fn fetch(map: &MmapMut, at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(byte) = map.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads and writes nothing that the program could see, of a byte that is there.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (map, at);
}

/// Whether the file system of a folder gives a file new room whenever it is written to, also where it was written before: a full
/// disk would then be told by a signal that ends the process. Of what cannot be told, it is thought not to.
pub fn copies_on_write(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|system| COPY_ON_WRITE.contains(&(system.f_type as u32)))
}

/// btrfs, bcachefs and ZFS, by the numbers in `linux/magic.h`, bcachefs and OpenZFS.
const COPY_ON_WRITE: [u32; 3] = [0x9123_683E, 0xCA45_1A4E, 0x2FC1_2FC1];

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
