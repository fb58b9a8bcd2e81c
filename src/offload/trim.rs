//! Gives back what only the start needed: the code that read settings, the command line and the tables of providers.
#![expect(unsafe_code, reason = "advice about a range of memory has no safe form")]
#![expect(clippy::disallowed_methods, reason = "reads where the kernel has put the program")]

use std::io;

/// Takes the program's code out of this process's memory, and says how many bytes that range has. What is still used comes
/// back out of the file's cache as soon as it is run, a few dozen pages at a time.
///
/// # Errors
/// `/proc` is not there, or the kernel does not take the advice: everything stays as it is.
pub fn code() -> io::Result<usize> {
    let own = code as fn() -> io::Result<usize> as usize;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let range = maps.lines().filter_map(range_of_code).find(|range| range.contains(&own));
    let range = range.ok_or(io::ErrorKind::NotFound)?;
    // SAFETY: the range is a private mapping of a file that nobody has written to, for it may be read and run only: its
    // pages are those of the file, and are read from there again when they are touched.
    let advised = unsafe { libc::madvise(range.start as *mut _, range.len(), libc::MADV_DONTNEED) };
    if advised == 0 { Ok(range.len()) } else { Err(io::Error::last_os_error()) }
}

/// The addresses of a line of `/proc/self/maps`, where it is of code that nobody can write to.
fn range_of_code(line: &str) -> Option<std::ops::Range<usize>> {
    let (addresses, rest) = line.split_once(' ')?;
    let (start, end) = addresses.split_once('-').filter(|_| rest.starts_with("r-xp "))?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_was_taken_out_of_memory_runs_as_before() {
        let len = code().expect("the program's own code is found");
        assert!(len > 1024 * 1024, "{len} bytes");
        assert_eq!(code().expect("this very function still runs"), len);
    }

    #[test]
    fn only_what_can_be_run_and_not_written_is_code() {
        assert_eq!(range_of_code("1000-3000 r-xp 00000000 08:01 42 /bin/x"), Some(0x1000..0x3000));
        assert_eq!(range_of_code("1000-3000 rwxp 00000000 08:01 42 /bin/x"), None);
        assert_eq!(range_of_code("1000-3000 r--p 00000000 08:01 42 /bin/x"), None);
        assert_eq!(range_of_code("no range"), None);
    }
}
