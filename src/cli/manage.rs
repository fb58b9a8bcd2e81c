//! `ringway keys`, `budgets` and `usage`: arguments into requests to the admin API, and its answers onto the terminal.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::client::ask;
use super::manage_args::{
    AdminArg, BudgetNamed, BudgetsArgs, BudgetsCommand, KeysArgs, KeysCommand, NewKeyArgs, ScopeArg,
    UsageArg, UsageArgs,
};

pub fn keys(args: &KeysArgs) -> ExitCode {
    let gateway = &args.gateway;
    let of = |id: &str, rest: &str| format!("/auth-keys/{id}{rest}");
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let KeysCommand::Show { id }
    | KeysCommand::Disable { id }
    | KeysCommand::Rotate { id, .. }
    | KeysCommand::Delete { id } = &args.command
        && !is_id(id)
    {
        return failed(&format!("`{id}` is no id of a key: `ringway keys list` shows them"));
    }
    match &args.command {
        KeysCommand::Create(new) => tell_secret(ask(gateway, "POST", "/auth-keys", &[], Some(&new_key(new)))),
        KeysCommand::Rotate { id, grace } => {
            let body = json!({"grace_seconds": grace});
            tell_secret(ask(gateway, "POST", &of(id, "/rotate"), &[], Some(&body)))
        }
        KeysCommand::List { user_path } => {
            tell_all(user_path.as_deref(), |query| ask(gateway, "GET", "/auth-keys", query, None))
        }
        KeysCommand::Show { id } => tell(ask(gateway, "GET", &of(id, ""), &[], None)),
        KeysCommand::Disable { id } => tell(ask(gateway, "POST", &of(id, "/deactivate"), &[], None)),
        KeysCommand::Delete { id } => tell(ask(gateway, "DELETE", &of(id, ""), &[], None)),
    }
}

pub fn budgets(args: &BudgetsArgs) -> ExitCode {
    let gateway = &args.gateway;
    match &args.command {
        BudgetsCommand::List => tell(ask(gateway, "GET", "/budgets", &[], None)),
        BudgetsCommand::Set { named, amount, soft } => {
            let mut body = of_budget(named);
            body["amount"] = amount.as_str().into();
            body["soft"] = (*soft).into();
            tell(ask(gateway, "PUT", "/budgets", &[], Some(&body)))
        }
        BudgetsCommand::Reset(named) => {
            tell(ask(gateway, "POST", "/budgets/reset-one", &[], Some(&of_budget(named))))
        }
        BudgetsCommand::Delete(named) => {
            let query =
                [("scope", scope(named.scope)), ("subject", &named.subject), ("period", &named.period)];
            tell(ask(gateway, "DELETE", "/budgets", &query, None))
        }
    }
}

pub fn usage(args: &UsageArgs) -> ExitCode {
    let path = match args.by {
        UsageArg::Summary => "/usage/summary",
        UsageArg::Daily => "/usage/daily",
        UsageArg::Models => "/usage/models",
        UsageArg::UserPaths => "/usage/user-paths",
        UsageArg::Labels => "/usage/labels",
        UsageArg::Keys => "/usage/keys",
    };
    let named = [("from", &args.from), ("to", &args.to), ("user_path", &args.user_path)];
    let query: Vec<(&str, &str)> =
        named.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    tell(ask(&args.gateway, "GET", path, &query, None))
}

fn new_key(new: &NewKeyArgs) -> Json {
    json!({
        "name": new.name,
        "user_path": new.user_path,
        "description": new.description,
        "labels": new.labels,
        "allowed_models": new.models,
        "expires_at": new.expires_at,
        "dashboard_access": match new.admin {
            AdminArg::None => "none",
            AdminArg::Read => "read",
            AdminArg::Write => "write",
        },
    })
}

fn of_budget(named: &BudgetNamed) -> Json {
    json!({"scope": scope(named.scope), "subject": named.subject, "period": named.period})
}

fn scope(scope: ScopeArg) -> &'static str {
    match scope {
        ScopeArg::UserPath => "user_path",
        ScopeArg::Label => "label",
        ScopeArg::Key => "key",
        ScopeArg::Provider => "provider",
        ScopeArg::Model => "model",
    }
}

/// All pages of a list, one line for each key: id, state, name, user path.
fn tell_all(user_path: Option<&str>, page: impl Fn(&[(&str, &str)]) -> Result<Json, String>) -> ExitCode {
    let mut after: Option<String> = None;
    loop {
        let named = [("user_path", user_path), ("after", after.as_deref())];
        let query: Vec<(&str, &str)> =
            named.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
        let answer = match page(&query) {
            Ok(answer) => answer,
            Err(what) => return failed(&what),
        };
        for key in answer["data"].as_array().into_iter().flatten() {
            let text = |name: &str| key[name].as_str().unwrap_or("-").to_owned();
            let state = if key["enabled"] == true { "enabled" } else { "disabled" };
            say(&format!("{}  {state:8}  {}  {}", text("id"), text("name"), text("user_path")));
        }
        match answer["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return ExitCode::SUCCESS,
        }
    }
}

/// The key alone on the standard output, so that it can be piped; the rest on the standard error.
fn tell_secret(answer: Result<Json, String>) -> ExitCode {
    match answer {
        Ok(answer) => {
            eprintln!("ringway: the key {} is shown this once", answer["id"].as_str().unwrap_or_default());
            say(answer["value"].as_str().unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(what) => failed(&what),
    }
}

fn tell(answer: Result<Json, String>) -> ExitCode {
    match answer {
        Ok(answer) => {
            say(&serde_json::to_string_pretty(&answer).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(what) => failed(&what),
    }
}

fn say(line: &str) {
    // A closed pipe (`| head`) is no failure.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn failed(what: &str) -> ExitCode {
    eprintln!("ringway: error: {what}");
    ExitCode::FAILURE
}
