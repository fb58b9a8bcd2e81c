//! Budgets and rate limits: the lists in the settings file and the families of variables that set them. What a variable
//! says of somebody replaces all that the file says of him.

use std::collections::BTreeMap;

use super::entries::{Default, Entry, Reader};
use super::yaml::{self, Node};
use crate::base::Pico;
use crate::identity::{Allowance, Measure, Period, Strength, Subject, UserPath};

/// The lists of the file, by the path of the setting.
type Lists = BTreeMap<String, Node>;

/// What is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Budgets,
    Limits,
}

/// Budgets; `providers` are the instances that are configured.
pub fn budgets(lists: &Lists, providers: &[&str], reader: &mut Reader<'_>) -> Vec<Allowance> {
    let mut found = of_file(What::Budgets, lists, providers, reader);
    of_env(What::Budgets, "SET_BUDGET_", path_of, &mut found, reader);
    found.into_iter().flat_map(|(_, allowances)| allowances).collect()
}

/// Rate limits.
pub fn limits(lists: &Lists, providers: &[&str], reader: &mut Reader<'_>) -> Vec<Allowance> {
    let mut found = of_file(What::Limits, lists, providers, reader);
    of_env(What::Limits, "SET_RATE_LIMIT_", path_of, &mut found, reader);
    let provider = |suffix: &str| {
        let is_meant =
            |name: &&&str| name.to_lowercase().replace('_', "-") == suffix.to_lowercase().replace('_', "-");
        providers.iter().find(is_meant).map(|name| Subject::Provider((*name).into())).ok_or(None)
    };
    of_env(What::Limits, "SET_PROVIDER_RATE_LIMIT_", provider, &mut found, reader);
    found.into_iter().flat_map(|(_, allowances)| allowances).collect()
}

/// The lists below `budgets` and `rate_limits`: their names, and the member that names the subject.
pub const LISTS: [(&str, &str); 5] = [
    ("user_paths", "path"),
    ("labels", "label"),
    ("keys", "key"),
    ("providers", "name"),
    ("models", "model"),
];

impl What {
    fn group(self) -> &'static str {
        match self {
            What::Budgets => "budgets",
            What::Limits => "rate_limits",
        }
    }
}

type Granted = Vec<(Subject, Vec<Allowance>)>;

fn of_file(what: What, lists: &Lists, providers: &[&str], reader: &mut Reader<'_>) -> Granted {
    let mut found: Granted = Vec::new();
    for (list, member) in LISTS {
        let path = format!("{}.{list}", what.group());
        for entry in reader.entries(lists.get(&path), &path, &[member, "limits", "per_child"]) {
            if reader.is_on(entry, "per_child", Default::Off) {
                let expected = "an entry for each of them";
                reader.wrong(&entry.node.place, &entry.setting("per_child"), "is not available", expected);
            }
            let Some(name) = reader.needed(entry, member) else { continue };
            let Some(subject) = subject(entry, member, &name, providers, reader) else { continue };
            let limits = format!("{path}.limits");
            let allowances = allowances(what, &subject, entry.node.get("limits"), &limits, reader);
            if found.iter().any(|(other, _)| *other == subject) {
                let what = format!("`{name}` stands twice");
                reader.wrong(&entry.node.place, &entry.setting(member), what, "all limits in one entry");
            }
            found.push((subject, allowances));
        }
    }
    found
}

fn subject(
    entry: Entry<'_>,
    member: &str,
    name: &str,
    providers: &[&str],
    reader: &mut Reader<'_>,
) -> Option<Subject> {
    let wrong = match member {
        "path" => match UserPath::new(name) {
            Ok(path) => return Some(Subject::Path(path)),
            Err(bad) => (format!("`{name}` is no user path: {bad}"), "a path such as /team/alpha".to_owned()),
        },
        "name" if !providers.contains(&name) => {
            (format!("there is no provider `{name}`"), format!("one of {}", providers.join(", ")))
        }
        _ if name.is_empty() => ("is empty".to_owned(), "a name".to_owned()),
        "name" => return Some(Subject::Provider(name.into())),
        "label" => return Some(Subject::Label(name.into())),
        "key" => return Some(Subject::Key(name.into())),
        _ => return Some(Subject::Model(name.into())),
    };
    let place = entry.node.get(member).map_or(&entry.node.place, |node| &node.place);
    reader.wrong(place, &entry.setting(member), wrong.0, &wrong.1);
    None
}

/// The limits of one subject. Two for the same measure and window are a mistake.
fn allowances(
    what: What,
    subject: &Subject,
    list: Option<&Node>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Vec<Allowance> {
    let known: &[&str] = match what {
        What::Budgets => &["period", "period_seconds", "amount", "soft", "instead"],
        What::Limits => &["period", "period_seconds", "max_requests", "max_tokens"],
    };
    let mut found: Vec<Allowance> = Vec::new();
    for entry in reader.entries(list, path, known) {
        let made = match what {
            What::Budgets => budget(subject, entry, reader).into_iter().collect(),
            What::Limits => limit(subject, entry, reader),
        };
        for allowance in made {
            if found.iter().any(|other| other.id() == allowance.id()) {
                let what = format!("{} stands twice", allowance.measure);
                reader.wrong(&entry.node.place, path, what, "one entry for a window");
            }
            found.push(allowance);
        }
    }
    found
}

fn budget(subject: &Subject, entry: Entry<'_>, reader: &mut Reader<'_>) -> Option<Allowance> {
    let period = match entry.node.get("period_seconds") {
        Some(_) => reader.read(entry, "period_seconds", "seconds, at least 1", budget_seconds),
        None => reader.read(entry, "period", BUDGET_PERIODS, Period::from_name),
    };
    if entry.node.get("period").or(entry.node.get("period_seconds")).is_none() {
        reader.wrong(&entry.node.place, &entry.setting("period"), "is missing", BUDGET_PERIODS);
    }
    reader.needed(entry, "amount")?;
    let amount = reader.read(entry, "amount", AMOUNT, dollars);
    let is_soft = reader.is_on(entry, "soft", Default::Off);
    let instead = reader.text(entry, "instead");
    let mut allowance = Allowance::hard(subject.clone(), Measure::Cost(period?), amount?);
    allowance.strength = if is_soft { Strength::Soft } else { Strength::Hard };
    allowance.instead = instead.map(Into::into);
    Some(allowance)
}

/// An amount of dollars that is more than nothing, in pico-dollars.
fn dollars(text: &str) -> Option<u128> {
    u128::try_from(Pico::from_dollars(text)?.0).ok().filter(|&pico| pico > 0)
}

/// Other gateways write the calendar's windows as their usual number of seconds.
fn budget_seconds(text: &str) -> Option<Period> {
    match text.parse().ok()? {
        0 => None,
        3_600 => Some(Period::Hour),
        86_400 => Some(Period::Day),
        604_800 => Some(Period::Week),
        2_592_000 => Some(Period::Month),
        seconds => Some(Period::Seconds(seconds)),
    }
}

fn limit(subject: &Subject, entry: Entry<'_>, reader: &mut Reader<'_>) -> Vec<Allowance> {
    let seconds = match entry.node.get("period_seconds") {
        Some(_) => reader
            .read(entry, "period_seconds", "seconds, or 0 for requests at a time", |text| text.parse().ok()),
        None => reader.read(entry, "period", LIMIT_PERIODS, limit_period),
    };
    if entry.node.get("period").or(entry.node.get("period_seconds")).is_none() {
        reader.wrong(&entry.node.place, &entry.setting("period"), "is missing", LIMIT_PERIODS);
    }
    let count = |text: &str| text.parse::<u64>().ok().filter(|&count| count > 0).map(u128::from);
    let requests = reader.read(entry, "max_requests", COUNT, count);
    let tokens = reader.read(entry, "max_tokens", COUNT, count);
    if entry.node.get("max_requests").or(entry.node.get("max_tokens")).is_none() {
        reader.wrong(
            &entry.node.place,
            &entry.setting("max_requests"),
            "is missing",
            "`max_requests` or `max_tokens`",
        );
    }
    match seconds {
        None => Vec::new(),
        Some(0) if tokens.is_some() => {
            let what = "means nothing for requests at a time";
            reader.wrong(&entry.node.place, &entry.setting("max_tokens"), what, "`max_requests`");
            Vec::new()
        }
        Some(0) => made(subject, Measure::Concurrent, requests).collect(),
        Some(seconds) => {
            let period = Period::Seconds(seconds);
            let requests = made(subject, Measure::Requests(period), requests);
            requests.chain(made(subject, Measure::Tokens(period), tokens)).collect()
        }
    }
}

fn made(subject: &Subject, measure: Measure, max: Option<u128>) -> impl Iterator<Item = Allowance> + use<> {
    let subject = subject.clone();
    max.map(|max| Allowance::hard(subject, measure, max)).into_iter()
}

fn limit_period(text: &str) -> Option<u32> {
    match text.to_ascii_lowercase().as_str() {
        "minute" | "minutes" | "min" | "minutely" => Some(60),
        "hour" | "hours" | "hourly" => Some(3_600),
        "day" | "days" | "daily" => Some(86_400),
        "concurrent" | "concurrency" => Some(0),
        _ => None,
    }
}

/// `TEAM__ALPHA` is `/team/alpha`, and nothing is `/`.
fn path_of(suffix: &str) -> Result<Subject, Option<String>> {
    let path = UserPath::new(&suffix.to_lowercase().replace("__", "/"));
    path.map(Subject::Path).map_err(|bad| Some(bad.to_string()))
}

/// The variables of a family. A subject that is `Err(None)` is none of ours: that is told and has no effect.
fn of_env(
    what: What,
    prefix: &str,
    subject: impl Fn(&str) -> Result<Subject, Option<String>>,
    found: &mut Granted,
    reader: &mut Reader<'_>,
) {
    let env = reader.env;
    for (name, text) in env {
        let Some(suffix) = name.strip_prefix(prefix).filter(|_| !text.trim().is_empty()) else { continue };
        let subject = match subject(suffix) {
            Ok(subject) => subject,
            Err(Some(bad)) => {
                reader.wrong(name, what.group(), format!("names no user path: {bad}"), "");
                continue;
            }
            Err(None) => {
                reader.mistakes.warn(format!("{name} has no effect: no provider has this name"));
                continue;
            }
        };
        let allowances = in_words(what, &subject, name, text, reader);
        found.retain(|(other, _)| *other != subject);
        found.push((subject, allowances));
    }
}

/// `daily=10,weekly=50`, `rpm=100,tpm=50000`, or the same as JSON.
fn in_words(
    what: What,
    subject: &Subject,
    name: &str,
    text: &str,
    reader: &mut Reader<'_>,
) -> Vec<Allowance> {
    let is_json = text.trim_start().starts_with('[');
    if is_json {
        let list = yaml::read(name, text, reader.mistakes);
        return allowances(what, subject, list.as_ref(), what.group(), reader);
    }
    let bare = text.trim().trim_start_matches('{').trim_end_matches('}');
    let mut found: Vec<Allowance> = Vec::new();
    for part in bare.split([',', ';', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
        let pair = part.split_once('=').or_else(|| part.split_once(':'));
        let word = |text: &str| text.trim().trim_matches('"').to_ascii_lowercase();
        let made = pair.and_then(|(key, value)| in_word(what, subject, &word(key), &word(value)));
        match made {
            Some(allowance) if found.iter().all(|other| other.id() != allowance.id()) => {
                found.push(allowance)
            }
            Some(_) => {
                reader.wrong(name, what.group(), format!("`{part}` comes twice"), "one amount for a window")
            }
            None => {
                let expected = match what {
                    What::Budgets => "`daily=10` with hourly, daily, weekly, monthly or seconds such as 90s",
                    What::Limits => "`rpm=100` with rpm, tpm, rph, tph, rpd, tpd or concurrent",
                };
                reader.wrong(name, what.group(), format!("`{part}` cannot be used"), expected);
            }
        }
    }
    found
}

fn in_word(what: What, subject: &Subject, key: &str, value: &str) -> Option<Allowance> {
    let seconds = Period::Seconds;
    let measure = match (what, key) {
        (What::Budgets, _) => {
            return Some(Allowance::hard(
                subject.clone(),
                Measure::Cost(Period::from_name(key)?),
                dollars(value)?,
            ));
        }
        (_, "rpm") => Measure::Requests(seconds(60)),
        (_, "tpm") => Measure::Tokens(seconds(60)),
        (_, "rph") => Measure::Requests(seconds(3_600)),
        (_, "tph") => Measure::Tokens(seconds(3_600)),
        (_, "rpd") => Measure::Requests(seconds(86_400)),
        (_, "tpd") => Measure::Tokens(seconds(86_400)),
        (_, "concurrent" | "concurrency") => Measure::Concurrent,
        _ => return None,
    };
    let max = value.parse::<u64>().ok().filter(|&max| max > 0)?;
    Some(Allowance::hard(subject.clone(), measure, u128::from(max)))
}

const BUDGET_PERIODS: &str = "hourly, daily, weekly, monthly, or `period_seconds`";
const LIMIT_PERIODS: &str = "minute, hour, day, concurrent, or `period_seconds`";
const AMOUNT: &str = "US dollars above 0, such as 12.50";
const COUNT: &str = "a whole number above 0";
