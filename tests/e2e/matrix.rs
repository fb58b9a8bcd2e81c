//! Every dialect of callers against every dialect of providers: the real binary between a raw caller and simulated
//! providers. Each conversation of a table is written down once, in no dialect; the request that reached the provider and
//! the answer that the caller got are read back by the test's own readers and compared.

mod cases;
mod cases_answers;
mod cases_tools;
mod chat;
mod converse;
mod expect;
mod faults;
mod flipped;
mod gemini;
mod known;
mod messages;
mod neutral;
mod responses;
mod thoughts;
pub mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::*;
use expect::{Case, Outcome, Want};
use neutral::{differences, items, parsed, text};
use world::{Client, How, Line, Provider, World};

#[test]
fn every_caller_understands_every_provider() {
    let world = World::start(WORKERS, "");
    let table = table();
    assert!(table.len() >= 40, "{} conversations", table.len());
    let jobs: Vec<Job<'_>> = jobs(&table);
    println!("{} conversations, {} pairs", table.len(), Client::ALL.len() * Provider::ALL.len());
    let (next, ran) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (world, jobs, next, ran, failures) = (&world, &jobs, &next, &ran, &failures);
            scope.spawn(move || {
                let mut line = world.line(worker);
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(found) = job.run(&mut line) else { continue };
                    ran.fetch_add(1, Ordering::Relaxed);
                    failures.lock().unwrap().extend(job.judged(found));
                }
            });
        }
    });
    report("conversations", &ran, &failures.into_inner().unwrap());
}

/// What the provider's dialect cannot say is left out where the settings allow it, and the answer names it.
#[test]
fn what_cannot_be_said_is_dropped_where_that_is_allowed() {
    let world = World::start(1, "translation: {on_unsupported: drop}");
    let mut line = world.line(0);
    let (ran, mut failures) = (AtomicUsize::new(0), Vec::new());
    let table = table();
    for job in jobs(&table) {
        let Some(Want { outcome: Outcome::Unsupported(field), .. }) = job.case.want(job.client, job.provider)
        else {
            continue;
        };
        let (path, body) = job.ask(&line);
        let answer = line.call(&path, &body);
        ran.fetch_add(1, Ordering::Relaxed);
        let dropped = answer.header("x-ringway-dropped").unwrap_or_default();
        if answer.status != 200 || !dropped.contains(field) {
            failures.push(format!(
                "{}: dropped `{dropped}`: {} {}",
                job.name(),
                answer.status,
                answer.text()
            ));
        }
    }
    report("dropped fields", &ran, &failures);
}

/// Prints every failure before it fails.
fn report(what: &str, ran: &AtomicUsize, failures: &[String]) {
    println!("{what}: {} exchanges, {} failures", ran.load(Ordering::Relaxed), failures.len());
    assert!(failures.is_empty(), "{} of {what} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(ran.load(Ordering::Relaxed) > 0, "{what}: nothing ran");
}

fn table() -> Vec<Case> {
    let parts = [
        cases::texts(),
        cases::media(),
        cases::sampling(),
        cases::limits(),
        cases::particulars(),
        cases_answers::reasoning(),
        cases_answers::endings(),
        cases_answers::formats(),
        cases_tools::calls(),
        cases_tools::particulars(),
        cases_tools::choices(),
        cases_tools::outcomes(),
        cases_tools::other_outcomes(),
    ];
    parts.into_iter().flatten().collect()
}

/// One conversation between one pair.
struct Job<'c> {
    case: &'c Case,
    client: Client,
    provider: Provider,
    how: How,
}

fn jobs(table: &[Case]) -> Vec<Job<'_>> {
    let mut jobs = Vec::new();
    for case in table {
        for client in Client::ALL {
            for provider in Provider::ALL {
                jobs.extend(How::all(client).map(|how| Job { case, client, provider, how }));
            }
        }
    }
    jobs
}

impl Job<'_> {
    fn name(&self) -> String {
        format!("{}, {:?} to {:?}, {:?}", self.case.name, self.client, self.provider, self.how)
    }

    fn ask(&self, line: &Line) -> (String, Value) {
        self.client.ask(&self.case.spoken(), &line.model(self.provider, self.case.model), self.how)
    }

    /// What is wrong; `None` where the pair takes no part.
    fn run(&self, line: &mut Line) -> Option<Vec<String>> {
        let want = self.case.want(self.client, self.provider)?;
        if want.outcome == Outcome::NotAsked {
            return None;
        }
        let (path, body) = self.ask(line);
        let answer = line.call(&path, &body);
        let mut found = Vec::new();
        match want.outcome {
            Outcome::Unsupported(field) => refused(&answer, field, &mut found),
            _ if answer.status != 200 || !answer.is_whole => {
                found.push(format!(
                    "status {}, whole: {}: {}",
                    answer.status,
                    answer.is_whole,
                    answer.text()
                ));
            }
            _ => {
                self.compare_sent(&want, &body, &line.last(), &mut found);
                self.compare_said(&want, &answer, &mut found);
            }
        }
        Some(found)
    }

    fn compare_sent(&self, want: &Want, body: &Value, last: &Value, found: &mut Vec<String>) {
        let sent = &last["body"];
        if self.provider.is_same(self.client) {
            let mut as_asked = body.clone();
            if self.client != Client::Gemini {
                as_asked["model"] = json!(self.case.model);
            }
            return differences("passed", &as_asked, sent, found);
        }
        let streams = self.how != How::Whole;
        if !matches!(self.provider, Provider::Gemini | Provider::Converse) {
            differences("model", &json!(self.case.model), &sent["model"], found);
            differences("stream", &json!(streams), &json!(sent["stream"] == true), found);
        }
        let mut heard = self.provider.heard(sent);
        restore_long_names(&want.sent, &mut heard);
        differences("sent", &want.sent, &heard, found);
    }

    fn compare_said(&self, want: &Want, answer: &Answer, found: &mut Vec<String>) {
        let mut edited: Vec<String> = answer
            .header("x-ringway-edited")
            .iter()
            .flat_map(|list| list.split(", "))
            .map(str::to_owned)
            .collect();
        let mut want_edited = want.edited.clone();
        edited.sort();
        want_edited.sort();
        if edited != want_edited {
            found.push(format!("edited: want {want_edited:?}, got {edited:?}"));
        }
        match self.client.read(answer, self.how) {
            Ok(mut said) => {
                plain(&want.said, &mut said);
                as_json(&want.said, &mut said);
                differences("said", &want.said, &said, found);
            }
            Err(sentence) => found.push(sentence),
        }
    }

    /// The sentences about what was found, in the light of what is known.
    fn judged(&self, found: Vec<String>) -> Vec<String> {
        let known = known::KNOWN
            .iter()
            .find(|known| known.is_of(self.case.name, self.client, self.provider, self.how));
        match (known, found.is_empty()) {
            (Some(_), true) => vec![format!("{}: this is mended; take it off the list", self.name())],
            (Some(_), false) => Vec::new(),
            (None, _) => found.into_iter().map(|what| format!("{}: {what}", self.name())).collect(),
        }
    }
}

fn refused(answer: &Answer, field: &str, found: &mut Vec<String>) {
    let text = answer.text();
    if answer.status != 400
        || !text.contains(&format!("`{field}`"))
        || answer.header("x-ringway-edited").is_some()
    {
        found.push(format!("want 400 that names `{field}`, got {} {text}", answer.status));
    }
}

/// Ids and signatures are the provider's own, and looked at elsewhere.
fn plain(want: &Value, said: &mut Value) {
    let wants_hidden = want.to_string().contains("\"hidden\"");
    for choice in expect::items_mut(&mut said["choices"]) {
        for part in expect::items_mut(&mut choice["parts"]) {
            part.as_object_mut().map(|part| part.remove("signature"));
            if let Some(call) = part.get_mut("call") {
                call.as_object_mut().map(|call| call.remove("id"));
            }
        }
        // State of the provider that came alone is no part of what is said.
        let is_said = |part: &Value| {
            part["text"] != "" && part["thought"] != "" && (wants_hidden || part.get("hidden").is_none())
        };
        if let Some(parts) = choice["parts"].as_array_mut() {
            parts.retain(is_said);
        }
    }
}

/// Where a text is wanted as JSON, it is read as that.
fn as_json(want: &Value, said: &mut Value) {
    for (want, got) in items(&want["choices"]).zip(expect::items_mut(&mut said["choices"])) {
        for (want, got) in items(&want["parts"]).zip(expect::items_mut(&mut got["parts"])) {
            if want.get("json").is_some() {
                *got = json!({"json": parsed(&got["text"])});
            }
        }
    }
}

/// A name that the provider would not take is another one there, which begins alike.
fn restore_long_names(want: &Value, heard: &mut Value) {
    for (want, got) in items(&want["tools"]).zip(expect::items_mut(&mut heard["tools"])) {
        let (long, short) = (text(&want["name"]), text(&got["name"]).to_owned());
        if long.len() > NAME_BYTES_MAX
            && short.len() <= NAME_BYTES_MAX
            && long.starts_with(&short[..NAME_KEPT])
        {
            got["name"] = want["name"].clone();
        }
    }
}

const WORKERS: usize = 4;
/// What OpenAI, Google and Amazon take as the name of a tool, and how much of a longer one is kept.
const NAME_BYTES_MAX: usize = 64;
const NAME_KEPT: usize = 40;
