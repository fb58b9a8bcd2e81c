//! `ringway export`: records of a range of time, from the store that the settings name to the standard output.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use jiff::Timestamp;

use super::args::{ExportArg, ExportArgs, FormatArg};
use super::{WRONG_SETTINGS, counted, load};
use crate::base::clock;
use crate::config::Storage;
use crate::offload::store::tables::{ADMIN_CHANGES, AUDIT_LOG_ATTEMPTS, AUDIT_LOGS, SCHEMA, USAGE};
use crate::offload::store::{self, ExportError, ExportFormat, Store, Table, Upgrade};

/// Writes the records, and says on the standard error how many they were.
pub fn run(args: &ExportArgs) -> ExitCode {
    let range = match range_ms(args, clock::wall_ms()) {
        Ok(range) => range,
        Err(what) => {
            eprintln!("ringway: error: {what}");
            return ExitCode::from(WRONG_SETTINGS);
        }
    };
    let snapshot = match load(&args.settings) {
        Ok(snapshot) => snapshot,
        Err(code) => return code,
    };
    match write(&snapshot.storage, args, range) {
        Ok(count) => {
            eprintln!("ringway: {} written", counted(usize::try_from(count).unwrap_or(usize::MAX), "record"));
            ExitCode::SUCCESS
        }
        // Whoever reads has seen enough (`| head`).
        Err(ExportError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringway: error: {error}; what was written so far is not all");
            ExitCode::FAILURE
        }
    }
}

fn write(storage: &Storage, args: &ExportArgs, range: (i64, i64)) -> Result<u64, ExportError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ExportError::Output)?;
    let (table, format) = (table(args.what), format(args.format));
    runtime.block_on(async {
        let store = Store::open(storage, &SCHEMA, Upgrade::Never).await.map_err(ExportError::Store)?;
        let mut out = BufWriter::new(io::stdout().lock());
        store::export(&store, table, range, format, &mut out).await
    })
}

fn table(what: ExportArg) -> &'static Table {
    match what {
        ExportArg::Usage => &USAGE,
        ExportArg::Audit => &AUDIT_LOGS,
        ExportArg::AuditAttempts => &AUDIT_LOG_ATTEMPTS,
        ExportArg::AdminChanges => &ADMIN_CHANGES,
    }
}

fn format(format: FormatArg) -> ExportFormat {
    match format {
        FormatArg::Jsonl => ExportFormat::JsonLines,
        FormatArg::Csv => ExportFormat::Csv,
    }
}

/// From the first millisecond on, up to and without the last.
fn range_ms(args: &ExportArgs, now_ms: u64) -> Result<(i64, i64), String> {
    let read = |name: &str, text: &Option<String>, without: i64| match text {
        None => Ok(without),
        Some(text) => moment_ms(text).ok_or_else(|| {
            format!("--{name} `{text}` is no time: a date (2026-01-31) or a moment (2026-01-31T10:00:00Z)")
        }),
    };
    let from = read("from", &args.from, 0)?;
    let to = read("to", &args.to, i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(1))?;
    if from > to { Err("--from lies behind --to".to_owned()) } else { Ok((from, to)) }
}

fn moment_ms(text: &str) -> Option<i64> {
    let is_date = text.len() == "2026-01-31".len();
    let moment = if is_date { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Some(moment.parse::<Timestamp>().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_or_moments() {
        let check = |text: &str, want: Option<i64>| assert_eq!(moment_ms(text), want, "{text}");
        check("1970-01-02", Some(86_400_000));
        check("1970-01-01T00:00:01Z", Some(1_000));
        check("1970-01-01T02:00:00.5+02:00", Some(500));
        for wrong in ["", "yesterday", "1970-13-01", "1970-01-01T00:00:00", "0", "1970-01-02x"] {
            check(wrong, None);
        }
    }
}
