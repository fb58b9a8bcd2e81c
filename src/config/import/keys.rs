//! Keys of other gateways by their hashes, with what is granted to them, as requests to the admin API. The keys themselves
//! stay good: their hash is all that is needed to know them.

use serde_json::{Map, Value as Json, json};

use crate::identity::{Period, UserPath};

/// One key that is to be made.
#[derive(Debug, PartialEq)]
pub struct Key {
    /// The body of the request that makes it.
    pub body: Json,
    /// Bodies of the requests that grant to it, but for the key's own id.
    pub budgets: Vec<Json>,
    pub limits: Vec<Json>,
    pub is_disabled: bool,
}

/// Reads keys: an array, an object with `keys` or `data`, or one object a line. LiteLLM's are what `/key/list` answers with
/// `return_full_object=true`, GoModel's the rows of its table `auth_keys`. Sentences tell what was not taken over.
pub fn keys(text: &str) -> Result<(Vec<Key>, Vec<String>), String> {
    let mut remarks = Vec::new();
    let objects = objects(text)?;
    let keys = objects.iter().filter_map(|object| key(object, &mut remarks)).collect();
    Ok((keys, remarks))
}

fn objects(text: &str) -> Result<Vec<Map<String, Json>>, String> {
    let whole: Vec<Json> = match serde_json::from_str(text) {
        Ok(Json::Array(items)) => items,
        Ok(Json::Object(mut object)) => match object.remove("keys").or_else(|| object.remove("data")) {
            Some(Json::Array(items)) => items,
            Some(_) => return Err("`keys` is no array".to_owned()),
            None => vec![Json::Object(object)],
        },
        _ => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let read = lines.map(serde_json::from_str).collect::<Result<Vec<Json>, _>>();
            read.map_err(|error| format!("this is no JSON: {error}"))?
        }
    };
    let object = |item: Json| match item {
        Json::Object(object) => Ok(object),
        other => Err(format!("an object was expected where {other} stands")),
    };
    whole.into_iter().map(object).collect()
}

fn key(object: &Map<String, Json>, remarks: &mut Vec<String>) -> Option<Key> {
    let text = |name: &str| object.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    let hash = text("token").or(text("secret_hash")).or(text("key_hash"));
    let shown = text("key_alias").or(text("name")).or(text("key_name"));
    let Some(hash) = hash.filter(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
    else {
        remarks.push(format!(
            "the key `{}` is left out: it has no SHA-256 hash",
            shown.unwrap_or("without a name")
        ));
        return None;
    };
    let name = shown.map_or_else(|| format!("imported {}", &hash[..8]), str::to_owned);
    let mut body = json!({"name": name, "key_hash": hash});
    let user_path = text("user_path").map(str::to_owned).or_else(|| {
        let parts: Vec<&str> =
            [text("team_alias").or(text("team_id")), text("user_id")].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("/{}", parts.join("/")))
    });
    match user_path.as_deref().map(UserPath::new) {
        Some(Ok(path)) => body["user_path"] = path.as_str().into(),
        Some(Err(bad)) => remarks.push(format!("the key `{name}` gets no user path: {bad}")),
        None => {}
    }
    if let Some(description) = text("description") {
        body["description"] = description.into();
    }
    let names = |field: &str| -> Vec<&str> {
        object.get(field).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
    };
    let labels = [names("labels"), names("tags")].concat();
    if !labels.is_empty() {
        body["labels"] = labels.into();
    }
    let models: Vec<&str> = [names("allowed_models"), names("models")].concat();
    // Words that stand for all of somebody's models are no list.
    let listed: Vec<&str> = models.iter().copied().filter(|model| !model.starts_with("all-")).collect();
    if !listed.is_empty() {
        body["allowed_models"] = listed.into();
    }
    if let Some(expires) = text("expires").or(text("expires_at")) {
        body["expires_at"] = expires.into();
    }
    let spend = object.get("spend").and_then(Json::as_f64).filter(|&spend| spend > 0.0);
    if let Some(spend) = spend {
        remarks.push(format!(
            "the key `{name}` has spent {spend} dollars before, which its budget does not count"
        ));
    }
    for field in WITHOUT.into_iter().filter(|field| is_set(object.get(*field))) {
        remarks.push(format!("`{field}` of the key `{name}` has no equivalent"));
    }
    let is_off = |name: &str, off: bool| object.get(name).and_then(Json::as_bool) == Some(off);
    Some(Key {
        budgets: budgets(object, &name, remarks),
        limits: limits(object),
        is_disabled: is_off("blocked", true) || is_off("enabled", false),
        body,
    })
}

fn is_set(value: Option<&Json>) -> bool {
    match value {
        None | Some(Json::Null) => false,
        Some(Json::Object(members)) => !members.is_empty(),
        Some(Json::Array(items)) => !items.is_empty(),
        Some(_) => true,
    }
}

fn budgets(object: &Map<String, Json>, name: &str, remarks: &mut Vec<String>) -> Vec<Json> {
    let duration = object.get("budget_duration").and_then(Json::as_str);
    let mut found = Vec::new();
    for (field, is_soft) in [("max_budget", false), ("soft_budget", true)] {
        let Some(amount) = object.get(field).and_then(Json::as_f64).filter(|&amount| amount > 0.0) else {
            continue;
        };
        let Some(period) = period_of(duration) else {
            remarks
                .push(format!("`{field}` of the key `{name}` is left out: its duration is not understood"));
            continue;
        };
        let mut body = json!({"scope": "key", "amount": amount.to_string(), "soft": is_soft});
        match period {
            Period::Seconds(seconds) => body["period_seconds"] = seconds.into(),
            period => body["period"] = period.to_string().into(),
        }
        found.push(body);
    }
    found
}

fn limits(object: &Map<String, Json>) -> Vec<Json> {
    let number = |name: &str| object.get(name).and_then(Json::as_u64).filter(|&number| number > 0);
    let mut found = Vec::new();
    let (requests, tokens) = (number("rpm_limit"), number("tpm_limit"));
    if requests.is_some() || tokens.is_some() {
        found.push(
            json!({"scope": "key", "period_seconds": 60, "max_requests": requests, "max_tokens": tokens}),
        );
    }
    if let Some(tokens) = number("tpd_limit") {
        found.push(json!({"scope": "key", "period_seconds": 86_400, "max_tokens": tokens}));
    }
    if let Some(requests) = number("max_parallel_requests") {
        found.push(json!({"scope": "key", "period": "concurrent", "max_requests": requests}));
    }
    found
}

/// LiteLLM's durations, such as `30s`, `24h`, `30d` and `1mo`. Without one an amount is for good: the longest window.
pub fn period_of(duration: Option<&str>) -> Option<Period> {
    let Some(text) = duration.map(str::trim).filter(|text| !text.is_empty()) else {
        return Some(Period::Seconds(u32::MAX));
    };
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u32 = text[..end].parse().ok().filter(|&count| count > 0)?;
    let unit = match &text[end..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        "mo" => 2_592_000,
        _ => return None,
    };
    Some(match count.checked_mul(unit)? {
        3_600 => Period::Hour,
        86_400 => Period::Day,
        604_800 => Period::Week,
        2_592_000 => Period::Month,
        seconds => Period::Seconds(seconds),
    })
}

/// Fields of LiteLLM's keys that mean something and have no equivalent.
const WITHOUT: [&str; 10] = [
    "model_max_budget",
    "model_rpm_limit",
    "model_tpm_limit",
    "aliases",
    "permissions",
    "guardrails",
    "object_permission",
    "allowed_routes",
    "allowed_cache_controls",
    "auto_rotate",
];
