//! The price list that was fetched last, in a file of this machine: a start has its prices before it was fetched anew. One
//! line of JSON that tells where and when it was fetched, and then the list as it came.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads and writes the file of the fetched price list"
)]

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

/// A list as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Milliseconds of the Unix epoch.
    pub fetched_ms: u64,
    pub text: String,
}

/// The list that was kept of this place; none where there is no file, or one of another place.
pub fn read(data_dir: &Path, url: &str) -> io::Result<Option<Kept>> {
    let all = match fs::read_to_string(data_dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let Some((head, text)) = all.split_once('\n') else { return Ok(None) };
    let head: serde_json::Value = serde_json::from_str(head).unwrap_or_default();
    let fetched_ms = head["fetched_ms"].as_u64().filter(|_| head["url"] == url);
    Ok(fetched_ms.map(|fetched_ms| Kept { fetched_ms, text: text.to_owned() }))
}

/// Puts a new file in the place of the one before: a reader finds the one or the other.
pub fn write(data_dir: &Path, url: &str, kept: &Kept) -> io::Result<()> {
    let head = json!({"url": url, "fetched_ms": kept.fetched_ms});
    fs::create_dir_all(data_dir)?;
    let aside = data_dir.join(format!("{FILE}.new-{}", std::process::id()));
    fs::write(&aside, format!("{head}\n{}", kept.text))?;
    fs::rename(&aside, data_dir.join(FILE))
}

const FILE: &str = "fetched-prices";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_only_for_its_place() {
        let folder = std::env::temp_dir().join(format!("ringway-prices-kept-{}", std::process::id()));
        assert_eq!(read(&folder, "u").unwrap(), None, "there is none yet");
        let kept = Kept { fetched_ms: 7, text: "{\"a\":\n1}\n".to_owned() };
        write(&folder, "u", &kept).unwrap();
        assert_eq!((read(&folder, "u").unwrap(), read(&folder, "v").unwrap()), (Some(kept), None));
        for broken in ["", "x\ny", "{\"url\":\"u\"}\ny", "{\"url\":\"u\",\"fetched_ms\":1}"] {
            std::fs::write(folder.join(FILE), broken).unwrap();
            assert_eq!(read(&folder, "u").unwrap(), None, "{broken}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
