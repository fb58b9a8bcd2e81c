//! The outcome of every recording with every client, as lines for people.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use ringway::dialect::endpoint::Grammar;

use crate::check::{check, wanted};
use crate::drive::{CLIENTS, Client};
use crate::shelf::{Found, Recording};

/// All outcomes so far.
#[derive(Default)]
pub struct Report {
    lines: Vec<String>,
    failures: Vec<String>,
    /// By the dialect and the form.
    sums: BTreeMap<String, Sum>,
    /// How many were left out, by the reason.
    unused: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Sum {
    recordings: usize,
    errors: usize,
    cut: usize,
    good: [usize; CLIENTS.len()],
    bad: [usize; CLIENTS.len()],
}

impl Report {
    /// Replays what was found to every client of another dialect.
    pub fn replay(&mut self, found: Found) {
        match found {
            Ok(recording) => self.replay_one(&recording),
            Err((name, reason)) => {
                self.lines.push(format!("{name}: not used: {reason}"));
                let reason = reason.split(':').next().unwrap_or_default().to_owned();
                *self.unused.entry(reason).or_default() += 1;
            }
        }
    }

    fn replay_one(&mut self, recording: &Recording) {
        let want = wanted(recording);
        let form = if recording.is_stream { "stream" } else { "answer" };
        let dialect = format!("{:?} {form}", recording.grammar);
        let mut line = format!("{}: {dialect}", recording.name);
        let sum = self.sums.entry(dialect).or_default();
        sum.recordings += 1;
        sum.errors += usize::from(want.error.is_some());
        let is_cut = !want.has_ended && want.error.is_none();
        sum.cut += usize::from(is_cut);
        line.push_str(match (&want.error, is_cut) {
            (Some(_), _) => " with an error",
            (None, true) => " without its end (it must not end well for the client)",
            (None, false) => "",
        });
        for (number, client) in CLIENTS.into_iter().enumerate() {
            if client.grammar == recording.grammar || (client.as_array && !recording.is_stream) {
                continue;
            }
            let checked = catch_unwind(|| check(recording, &want, client));
            match checked.unwrap_or_else(|_| Err("a panic".to_owned())) {
                Ok(()) => {
                    sum.good[number] += 1;
                    line.push_str(&format!("; {} ok", name(client)));
                }
                Err(why) => {
                    sum.bad[number] += 1;
                    line.push_str(&format!("; {} FAILS", name(client)));
                    self.failures.push(format!("{} to {}: {why}", recording.name, name(client)));
                }
            }
        }
        self.lines.push(line);
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.clone()
    }

    /// One line for each recording, then the failures, then the sums.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.lines.join("\n"));
        text.push_str(&format!("{} failures\n{}\n\n", self.failures.len(), self.failures.join("\n")));
        for (dialect, sum) in &self.sums {
            text.push_str(&format!("{dialect}: {} ({} errors, {} cut)", sum.recordings, sum.errors, sum.cut));
            for (number, client) in CLIENTS.into_iter().enumerate() {
                let (good, bad) = (sum.good[number], sum.bad[number]);
                if good + bad > 0 {
                    text.push_str(&format!("; {} {good} ok, {bad} failed", name(client)));
                }
            }
            text.push('\n');
        }
        for (reason, count) in &self.unused {
            text.push_str(&format!("not used, {reason}: {count}\n"));
        }
        text
    }
}

fn name(client: Client) -> &'static str {
    match client.grammar {
        Grammar::Chat => "chat",
        Grammar::Responses => "responses",
        Grammar::Messages => "messages",
        Grammar::Gemini if client.as_array => "gemini array",
        _ => "gemini",
    }
}
