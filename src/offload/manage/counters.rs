//! What limits and budgets had counted, in a file of this machine: written every second and at the stop, read at the
//! start. One line for each: the window's beginning, the amount, the id.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads and writes the file of the counters"
)]

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::policy::account::Counter;

/// The counters that the last process wrote; none where there is no file. A line that is no counter is left out: it was
/// not written by us.
pub fn read(data_dir: &Path) -> io::Result<Vec<Counter>> {
    match fs::read_to_string(data_dir.join(FILE)) {
        Ok(text) => Ok(text.lines().filter_map(of_line).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Puts a new file in the place of the one before: a reader finds the one or the other.
pub fn write(data_dir: &Path, counters: &[Counter]) -> io::Result<()> {
    let mut text = String::new();
    for Counter { id, window_start_s, amount } in counters.iter().filter(|counter| !counter.id.contains('\n'))
    {
        // A string takes whatever is written.
        let _ = writeln!(text, "{window_start_s} {amount} {id}");
    }
    fs::create_dir_all(data_dir)?;
    let aside = data_dir.join(format!("{FILE}.new-{}", std::process::id()));
    fs::write(&aside, text)?;
    fs::rename(&aside, data_dir.join(FILE))
}

fn of_line(line: &str) -> Option<Counter> {
    let mut parts = line.splitn(3, ' ');
    let window_start_s = parts.next()?.parse().ok()?;
    let amount = parts.next()?.parse().ok()?;
    let id = parts.next().filter(|id| !id.is_empty())?.into();
    Some(Counter { id, window_start_s, amount })
}

const FILE: &str = "counters";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_other_lines_are_left_out() {
        let of = |id: &str, window_start_s, amount| Counter { id: id.into(), window_start_s, amount };
        let counters =
            vec![of("path:/team a:cost:daily", 7, u128::MAX), of("key:k:requests:60s", u32::MAX, 0)];
        let folder = std::env::temp_dir().join(format!("ringway-counters-{}", std::process::id()));
        assert_eq!(read(&folder).unwrap(), Vec::new(), "there is none yet");
        write(&folder, &counters).unwrap();
        assert_eq!(read(&folder).unwrap(), counters);
        std::fs::write(folder.join(FILE), "7 8 a\nx 8 b\n7 -1 c\n\n7 8 \n7 8").unwrap();
        assert_eq!(read(&folder).unwrap(), [of("a", 7, 8)]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
