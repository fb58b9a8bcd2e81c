//! The group `rules` of a provider file: what a request that is translated for it must respect.

use std::borrow::Cow;

use super::mistake::{Mistakes, nearest};
use super::yaml::{Node, Value};
use crate::dialect::middle::{ReasoningStyle, Rules, StructuredOutput};
use crate::provider::Models;

/// Reads `rules`; what is left out keeps its default.
pub(super) fn read(root: &Node, mistakes: &mut Mistakes) -> Rules {
    let mut rules = Rules::default();
    if let Some(group) = root.get("rules") {
        read_group(group, "rules", &[], &mut rules, mistakes);
    }
    rules
}

/// Reads `rules_of_models`: a list of groups, each with the models that it is for and what is different for them.
pub(super) fn read_of_models(root: &Node, common: &Rules, mistakes: &mut Mistakes) -> Vec<(Models, Rules)> {
    let Some(list) = root.get("rules_of_models") else { return Vec::new() };
    let Value::List(groups) = &list.value else {
        mistakes.add(
            &list.place,
            "rules_of_models",
            format!("{} stands here", list.kind()),
            "a list of groups",
        );
        return Vec::new();
    };
    let mut out = Vec::new();
    for group in groups {
        let patterns = match group.get("models").map(|node| &node.value) {
            Some(Value::List(names)) => names.iter().filter_map(Node::text).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        if patterns.is_empty() {
            mistakes.add(&group.place, "rules_of_models", "names no models", "`models: [NAME, PREFIX*]`");
        }
        let mut rules = common.clone();
        read_group(group, "rules_of_models", &["models"], &mut rules, mistakes);
        out.push((Models::new(patterns), rules));
    }
    out
}

fn read_group(group: &Node, setting: &str, others: &[&str], rules: &mut Rules, mistakes: &mut Mistakes) {
    let Some(members) = group.members() else {
        mistakes.add(&group.place, setting, format!("{} stands here", group.kind()), "names and values");
        return;
    };
    for (name, key, value) in members.filter(|(name, ..)| !others.contains(name)) {
        let text = value.text().unwrap_or_default();
        if let Err(expected) = set(rules, name, text) {
            let near = nearest(name, NAMES.iter().copied()).filter(|known| *known != name);
            let hint = near.map_or(expected.to_owned(), |known| format!("`{known}`"));
            mistakes.add(
                &key.place,
                &format!("{setting}.{name}"),
                format!("`{text}` is no value for it"),
                hint,
            );
        }
    }
}

fn set(rules: &mut Rules, name: &str, text: &str) -> Result<(), &'static str> {
    match name {
        "vendor" => rules.vendor = Cow::Owned(text.to_owned()),
        "max_tokens_default" => rules.max_tokens_default = text.parse().map_err(|_| "a number of tokens")?,
        "max_completion_tokens" => rules.takes_max_completion_tokens = switch(text)?,
        "cache_control" => rules.takes_cache_control = switch(text)?,
        "reasoning_content" => rules.takes_reasoning_content = switch(text)?,
        "states_cost" => rules.usage.states_cost = switch(text)?,
        "output_is_total_minus_input" => rules.usage.output_is_total_minus_input = switch(text)?,
        "searches_billed_once" => rules.usage.searches_billed_once = switch(text)?,
        "think_tags" => rules.has_think_tags = switch(text)?,
        "media_urls" => rules.takes_media_urls = switch(text)?,
        "temperature_max" => {
            let max: f64 = text.parse().map_err(|_| "a number")?;
            rules.temperature_milli_max = Some((max * 1000.0).round() as u32);
        }
        "reasoning" => {
            rules.reasoning = match text {
                "effort" => ReasoningStyle::Effort,
                "budget" => ReasoningStyle::Budget,
                "none" => ReasoningStyle::None,
                _ => return Err("effort, budget or none"),
            }
        }
        "structured_output" => {
            rules.structured_output = match text {
                "native" => StructuredOutput::Native,
                "tool" => StructuredOutput::Tool,
                _ => return Err("native or tool"),
            }
        }
        _ => return Err("one of the rules that the documents list"),
    }
    Ok(())
}

fn switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false"),
    }
}

const NAMES: [&str; 13] = [
    "states_cost",
    "searches_billed_once",
    "output_is_total_minus_input",
    "vendor",
    "max_tokens_default",
    "max_completion_tokens",
    "cache_control",
    "reasoning_content",
    "think_tags",
    "media_urls",
    "temperature_max",
    "reasoning",
    "structured_output",
];
