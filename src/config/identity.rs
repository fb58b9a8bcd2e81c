//! Who may ask and how much: all settings of identity, put together for the snapshot.

use std::collections::BTreeMap;

use jiff::civil::Weekday;

use super::entries::Reader;
use super::snapshot::Identity;
use super::values::Values;
use super::yaml::Node;
use super::{grants, names};
use crate::base::Secret;
use crate::base::limits::PEPPER_BYTES_MIN;
use crate::identity::Calendar;

/// Lists and groups of the file that have a shape of their own.
pub const LISTS: [&str; 15] = [
    "budgets.user_paths",
    "budgets.labels",
    "budgets.keys",
    "budgets.providers",
    "budgets.models",
    "rate_limits.user_paths",
    "rate_limits.labels",
    "rate_limits.keys",
    "rate_limits.providers",
    "rate_limits.models",
    "users",
    "aliases",
    "virtual_models",
    "workflows",
    "tagging.headers",
];

/// Compiles them. What is switched off is checked all the same, and left out.
pub fn identity(
    lists: &BTreeMap<String, Node>,
    values: &Values,
    providers: &[&str],
    reader: &mut Reader<'_>,
) -> Identity {
    let budgets = grants::budgets(lists, providers, reader);
    let limits = grants::limits(lists, providers, reader);
    let of_models = names::virtual_models(lists.get("aliases"), lists.get("virtual_models"), reader);
    let are_on = |group: &str| values.bool(&format!("{group}.enabled"));
    let kept = [("budgets", budgets), ("rate_limits", limits)].into_iter().filter(|(group, _)| are_on(group));
    Identity {
        user_path_headers: user_path_headers(values, reader),
        pepper: pepper(values, reader),
        allowances: kept.flat_map(|(_, allowances)| allowances).collect(),
        budgets_enabled: are_on("budgets"),
        rate_limits_enabled: are_on("rate_limits"),
        calendar: calendar(values, reader),
        model_lists: names::users(lists.get("users"), reader),
        gates: of_models.gates,
        models_enabled: values.bool("models.enabled_by_default"),
        aliases: of_models.aliases,
        lists_only_aliases: values.bool("models.only_aliases"),
        workflows: names::workflows(lists.get("workflows"), providers, reader),
        tagging: names::tagging(lists.get("tagging.headers"), reader),
    }
}

/// The header that is set, and those that are known by name, in lower case.
fn user_path_headers(values: &Values, reader: &mut Reader<'_>) -> Vec<String> {
    let path = "auth.user_path_header";
    let text = values.text(path).unwrap_or_default();
    let mut headers: Vec<String> = names::header_name(text).into_iter().collect();
    if headers.is_empty() {
        reader.wrong(values.place(path), path, format!("`{text}` is no header"), "the name of a header");
    }
    for known in ["x-ringway-user-path", "x-gomodel-user-path"] {
        if !headers.iter().any(|header| header == known) {
            headers.push(known.to_owned());
        }
    }
    headers
}

fn pepper(values: &Values, reader: &mut Reader<'_>) -> Option<Secret> {
    let text = values.text("auth.key_pepper")?;
    if text.len() < PEPPER_BYTES_MIN {
        let expected = format!("at least {PEPPER_BYTES_MIN} bytes");
        reader.wrong(values.place("auth.key_pepper"), "auth.key_pepper", "is too short", &expected);
    }
    Some(Secret::new(text))
}

fn calendar(values: &Values, reader: &mut Reader<'_>) -> Calendar {
    let zone = values.text("budgets.time_zone").unwrap_or("UTC");
    let found = Calendar::zone(zone);
    if found.is_none() {
        let (place, path) = (values.place("budgets.time_zone"), "budgets.time_zone");
        reader.wrong(place, path, format!("there is no time zone `{zone}`"), "a name such as Europe/Warsaw");
    }
    let mut number = |name: &str, most: u64| {
        let path = format!("budgets.{name}");
        let number = values.number(&path).unwrap_or_default();
        if number > most {
            let (place, what) = (values.place(&path), format!("`{number}` cannot be used"));
            reader.wrong(place, &path, what, &format!("{most} at most"));
        }
        i8::try_from(number.min(most)).unwrap_or_default()
    };
    let (hour, minute, day) = (number("reset_hour", 23), number("reset_minute", 59), number("reset_day", 31));
    let name = values.text("budgets.reset_weekday").unwrap_or_default();
    let weekday = WEEKDAYS.iter().position(|known| *known == name).unwrap_or_default();
    let weekday = Weekday::from_monday_zero_offset(weekday as i8).unwrap_or(Weekday::Monday);
    Calendar { zone: found.unwrap_or_else(|| Calendar::default().zone), hour, minute, weekday, day }
}

/// The days as they are written.
pub const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
