//! The beginnings that outlived their segments: a stream may run for hours while the segments around it come and go. One
//! file that is written anew and put in the place of the old one.
#![expect(clippy::disallowed_methods, reason = "the one file of the journal that the offload thread writes")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub struct Carried {
    path: PathBuf,
}

impl Carried {
    /// The file in the folder of an instance.
    pub fn of(folder: &Path) -> Carried {
        Carried { path: folder.join("carried") }
    }

    /// Writes these records, and only these.
    pub fn replace<'r>(&self, records: impl Iterator<Item = &'r Box<[u8]>>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            let length = u32::try_from(record.len()).expect("a record is shorter than that");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
            bytes.extend_from_slice(record);
        }
        if bytes.is_empty() {
            // A disk that is full has room again only when segments go, which wait for this.
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            };
        }
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(&new, &self.path)?;
        // What it replaces is safe only when the name is: segments that held these records are written again, at once.
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    /// The records in it; none when there is no such file. What is damaged ends the reading.
    pub fn read(&self) -> io::Result<Vec<Vec<u8>>> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        let (mut rest, mut records) = (&bytes[..], Vec::new());
        while let Some((record, behind)) = next(rest) {
            records.push(record.to_vec());
            rest = behind;
        }
        Ok(records)
    }
}

fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (crc32fast::hash(record) == u32::from_le_bytes(*sum)).then_some((record, rest))
}
