//! What a request to the admin API says: the members of its body, its query, the names in its path. Whatever is wrong is
//! named; what nobody asked for is refused, so that a misspelled field never does nothing.

use axum::body::Bytes;
use serde_json::{Map, Value as Json};

use super::who::Who;
use crate::base::limits::{
    ADMIN_LIST_COUNT_MAX, ADMIN_NAME_BYTES_MAX, ADMIN_PAGE_ROWS_MAX, ADMIN_PAGE_ROWS_USUAL,
    ADMIN_TEXT_BYTES_MAX, LABEL_BYTES_MAX, LABELS_COUNT_MAX,
};
use crate::base::{Pico, Refusal, RefusalKind};
use crate::identity::{ModelRule, UserPath};
use crate::wire::path::query_value;

/// A request as its handler gets it.
pub struct Asked {
    pub who: Who,
    pub params: Vec<(String, String)>,
    pub query: String,
    pub body: Bytes,
}

/// The members of a body, or the pairs of a query, that are still to be taken.
pub struct Fields {
    members: Map<String, Json>,
}

impl Asked {
    /// The body as an object. An empty one is an object without members.
    pub fn fields(&self) -> Result<Fields, Refusal> {
        if self.body.is_empty() {
            return Ok(Fields { members: Map::new() });
        }
        match serde_json::from_slice(&self.body) {
            Ok(Json::Object(members)) => Ok(Fields { members }),
            Ok(_) => Err(Refusal::invalid("invalid_json", "The body must be a JSON object.")),
            Err(error) => {
                let place = format!("line {}, column {}", error.line(), error.column());
                Err(Refusal::invalid("invalid_json", format!("The body is no JSON ({place}).")))
            }
        }
    }

    /// The query, which may have these names and no others.
    pub fn query(&self, names: &[&'static str]) -> Result<Fields, Refusal> {
        let mut members = Map::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            let known = names.iter().find(|known| **known == name).ok_or_else(|| unknown_field(name))?;
            let value = query_value(self.query.as_bytes(), known).unwrap_or_default();
            let value = String::from_utf8(value.into_owned()).map_err(|_| wrong(name, "is not UTF-8"))?;
            members.insert(name.to_owned(), Json::String(value));
        }
        Ok(Fields { members })
    }

    /// A name in the path.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Fields {
    fn take(&mut self, name: &str) -> Option<Json> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Whether the body says anything of it, `null` included.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Nothing else may stand there.
    pub fn end(self) -> Result<(), Refusal> {
        match self.members.keys().next() {
            Some(name) => Err(unknown_field(name)),
            None => Ok(()),
        }
    }

    fn text_within(&mut self, name: &str, bytes_max: usize) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::String(text)) => checked(name, text, bytes_max).map(Some),
            Some(_) => Err(wrong(name, "must be a text")),
        }
    }

    /// A short text, such as a name.
    pub fn name(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.text_within(name, ADMIN_NAME_BYTES_MAX)
    }

    /// The same where it must be there.
    pub fn needed(&mut self, name: &str) -> Result<String, Refusal> {
        let text = self.name(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Refusal::invalid("missing_field", format!("`{name}` is missing.")).about(name))
    }

    /// A longer text.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.text_within(name, ADMIN_TEXT_BYTES_MAX)
    }

    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(flag)),
            Some(Json::String(text)) if text == "true" || text == "false" => Ok(Some(text == "true")),
            Some(_) => Err(wrong(name, "must be true or false")),
        }
    }

    /// A whole number between these two.
    pub fn number(&mut self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = match &value {
            Json::String(text) => text.parse().ok(),
            value => value.as_u64(),
        };
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| wrong(name, &format!("must be a whole number from {least} to {most}")))
    }

    /// US dollars above 0, as a number or a text. A number is taken as it is spelled.
    pub fn dollars(&mut self, name: &str) -> Result<Option<Pico>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let text = match value {
            Json::String(text) => text,
            Json::Number(number) => number.to_string(),
            _ => return Err(wrong(name, "must be US dollars")),
        };
        let is_good = |amount: &Pico| amount.0 > 0 && i64::try_from(amount.0).is_ok();
        let amount = Pico::from_dollars(&text).filter(is_good);
        amount
            .map(Some)
            .ok_or_else(|| wrong(name, "must be US dollars above 0, up to 9 million, in whole pico-dollars"))
    }

    pub fn path(&mut self, name: &str) -> Result<Option<UserPath>, Refusal> {
        let Some(text) = self.name(name)? else { return Ok(None) };
        let path = UserPath::new(&text);
        path.map(Some).map_err(|bad| no_path(name, &format!("is no user path: {bad}")))
    }

    pub fn names(&mut self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let list = match self.take(name) {
            None => return Ok(None),
            Some(Json::Array(list)) => list,
            Some(_) => return Err(wrong(name, "must be a list of texts")),
        };
        if list.len() > ADMIN_LIST_COUNT_MAX {
            return Err(wrong(name, &format!("has more than {ADMIN_LIST_COUNT_MAX} members")));
        }
        let text = |value: Json| match value {
            Json::String(text) => checked(name, text, ADMIN_NAME_BYTES_MAX),
            _ => Err(wrong(name, "must be a list of texts")),
        };
        list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    pub fn labels(&mut self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(mut labels) = self.names(name)? else { return Ok(None) };
        let mut known = std::collections::HashSet::new();
        labels.retain(|label| known.insert(label.clone()));
        if labels.len() > LABELS_COUNT_MAX {
            return Err(wrong(name, &format!("has more than {LABELS_COUNT_MAX} labels")));
        }
        let is_good = |label: &String| !label.is_empty() && label.len() <= LABEL_BYTES_MAX;
        if !labels.iter().all(is_good) {
            return Err(wrong(name, &format!("must hold labels of 1 to {LABEL_BYTES_MAX} bytes")));
        }
        Ok(Some(labels))
    }

    /// Rules for models, in their usual spelling.
    pub fn models(&mut self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(texts) = self.names(name)? else { return Ok(None) };
        let rule = |text: &String| {
            let rule = ModelRule::new(text).map(|rule| rule.to_string());
            rule.ok_or_else(|| {
                wrong(name, "must hold models: `*`, `provider/*`, `provider/model` or `model`")
            })
        };
        texts.iter().map(rule).collect::<Result<_, _>>().map(Some)
    }

    pub fn paths(&mut self, name: &str) -> Result<Option<Vec<UserPath>>, Refusal> {
        let Some(texts) = self.names(name)? else { return Ok(None) };
        let path = |text: &String| {
            let bad = |bad| no_path(name, &format!("holds what is no user path: {bad}"));
            UserPath::new(text).map_err(bad)
        };
        texts.iter().map(path).collect::<Result<_, _>>().map(Some)
    }

    /// A moment, in milliseconds of the Unix epoch: a date and time as in RFC 3339, or a date, which begins at midnight UTC.
    pub fn moment(&mut self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.name(name)? else { return Ok(None) };
        let moment = text.parse::<jiff::Timestamp>().ok().or_else(|| {
            let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10)?;
            jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
        });
        let ms = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
        ms.map(Some).ok_or_else(|| wrong(name, "must be a time such as 2026-01-31T10:00:00Z"))
    }

    /// One of these words.
    pub fn choice(&mut self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, Refusal> {
        let Some(text) = self.name(name)? else { return Ok(None) };
        let word = words.iter().find(|word| **word == text).copied();
        word.map(Some).ok_or_else(|| wrong(name, &format!("must be one of: {}", words.join(", "))))
    }

    /// Any value, for what is looked at elsewhere.
    pub fn json(&mut self, name: &str) -> Option<Json> {
        self.take(name)
    }

    /// How many rows a page has.
    pub fn limit(&mut self) -> Result<usize, Refusal> {
        let limit = self.number("limit", 1, ADMIN_PAGE_ROWS_MAX as u64)?;
        Ok(limit.map_or(ADMIN_PAGE_ROWS_USUAL, |limit| limit as usize))
    }
}

/// The refusal of what is no user path, under the code that it has everywhere.
pub fn no_path(name: &str, what: &str) -> Refusal {
    Refusal { code: "invalid_user_path", ..wrong(name, what) }
}

fn checked(name: &str, text: String, bytes_max: usize) -> Result<String, Refusal> {
    if text.len() > bytes_max {
        return Err(wrong(name, &format!("is longer than {bytes_max} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(name, "holds a control character"));
    }
    Ok(text)
}

/// The members of a group inside a body.
pub fn of_object(name: &str, value: Json) -> Result<Fields, Refusal> {
    match value {
        Json::Object(members) => Ok(Fields { members }),
        _ => Err(wrong(name, "must hold groups of names and values")),
    }
}

pub fn wrong(name: &str, what: &str) -> Refusal {
    Refusal::invalid("invalid_field", format!("`{name}` {what}.")).about(name)
}

fn unknown_field(name: &str) -> Refusal {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(ADMIN_NAME_BYTES_MAX).collect();
    Refusal::invalid("unknown_field", format!("`{shown}` is no field of this request.")).about(shown)
}

pub fn not_found(what: &str) -> Refusal {
    Refusal::new(404, RefusalKind::NotFound, "not_found", format!("There is no such {what}."))
}
