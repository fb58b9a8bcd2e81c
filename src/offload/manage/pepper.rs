//! The pepper of the virtual keys: the one that is set, or that of a file beside the journal, which is made when it is
//! first needed. It stands in no store.
#![expect(clippy::disallowed_methods, reason = "the one place that reads and makes the file of the pepper")]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::base::Secret;
use crate::base::limits::PEPPER_BYTES_MIN;
use crate::config::Snapshot;

/// The pepper, read or made.
pub fn pepper(snapshot: &Snapshot) -> io::Result<Secret> {
    if let Some(secret) = &snapshot.identity.pepper {
        return Ok(secret.clone());
    }
    let path = snapshot.data_dir.join(FILE);
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(&snapshot.data_dir)?;
            // Another process that starts at the same time may be first; its pepper is then ours too.
            match make(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(&path),
                made => made,
            }
        }
        read => read,
    }
}

fn read(path: &Path) -> io::Result<Secret> {
    let text = fs::read_to_string(path)?;
    let text = text.trim();
    if text.len() < PEPPER_BYTES_MIN {
        return Err(io::Error::other(format!(
            "{} holds fewer than {PEPPER_BYTES_MIN} bytes",
            path.display()
        )));
    }
    Ok(Secret::new(text))
}

/// Written beside its place and put there by a link, so that nobody ever reads half of it.
fn make(path: &Path) -> io::Result<Secret> {
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no random bytes can be had"))?;
    let secret = Secret::new(hex(&random));
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(secret.reveal().as_bytes())?;
    file.sync_all()?;
    let placed = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    placed.map(|()| secret)
}

/// What tells one pepper from another without telling anything of either.
pub fn fingerprint(pepper: &Secret) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, pepper.reveal().as_bytes());
    hex(&hmac::sign(&key, b"which pepper this is").as_ref()[..16])
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 bytes from their hex digits.
pub fn of_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16);
    let mut out = [0; 32];
    for (byte, digits) in out.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        *byte = (digit(digits[0])? << 4 | digit(digits[1])?) as u8;
    }
    Some(out)
}

const FILE: &str = "pepper";
