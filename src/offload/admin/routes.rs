//! Every route of the admin API, once: the router, the rights and the OpenAPI document are made from this table.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use axum::routing::MethodFilter;

use super::fields::Asked;
use super::{
    Desk, Reply, access, audit, grants, keys, live, names, openapi, prices, recalculate, runtime, settings,
    usage, workflows,
};
use crate::base::Refusal;

/// What one method of one path does.
pub struct Route {
    pub method: &'static str,
    /// Below `/admin/api/v1` and `/admin`; for callers below nothing.
    pub path: &'static str,
    pub needs: Needs,
    /// One sentence for the document.
    pub summary: &'static str,
    /// Members of the body, or pairs of the query, for the document; a star is behind what must be there.
    pub fields: &'static [&'static str],
    pub run: Run,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A credential of the admin API.
    Read,
    /// One that may change things.
    Write,
    /// Any caller of the gateway, for its own.
    Caller,
}

type Run = fn(Rc<Desk>, Asked) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>>>>;

impl Route {
    /// The paths under which it is served.
    pub fn paths(&self) -> Vec<String> {
        match self.needs {
            Needs::Caller => vec![self.path.to_owned()],
            _ => vec![format!("/admin/api/v1{}", self.path), format!("/admin{}", self.path)],
        }
    }

    pub fn filter(&self) -> MethodFilter {
        match self.method {
            "POST" => MethodFilter::POST,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        }
    }
}

/// The table as Markdown, for the documentation.
pub fn markdown() -> String {
    let mut out = "| | | who | what | fields |\n|---|---|---|---|---|\n".to_owned();
    for route in ROUTES {
        let who = match route.needs {
            Needs::Read => "read",
            Needs::Write => "write",
            Needs::Caller => "any caller",
        };
        let fields: Vec<String> = route.fields.iter().map(|field| format!("`{field}`")).collect();
        let (method, path, what) = (route.method, route.path, route.summary);
        out.push_str(&format!("| {method} | `{path}` | {who} | {what} | {} |\n", fields.join(" ")));
    }
    out
}

macro_rules! routes {
    ($($method:ident $path:literal $needs:ident $run:path, $summary:literal, [$($field:literal),*];)*) => {
        &[$(Route {
            method: stringify!($method),
            path: $path,
            needs: Needs::$needs,
            summary: $summary,
            fields: &[$($field),*],
            run: |desk, asked| Box::pin($run(desk, asked)),
        }),*]
    };
}

pub static ROUTES: &[Route] = routes! {
    GET "/openapi.json" Read openapi::document, "This document.", [];
    GET "/access" Read access::access, "What whoever asks may do.", [];
    GET "/auth-keys" Read keys::list, "Virtual keys, a page at a time.", ["limit", "after", "user_path"];
    POST "/auth-keys" Write keys::create, "Makes a key, whose secret is shown this once, or takes one over from another gateway.", ["name*", "description", "user_path", "labels", "allowed_models", "endpoints", "dashboard_access", "admin_path", "expires_at", "key", "key_hash"];
    GET "/auth-keys/{id}" Read keys::get, "One key.", [];
    DELETE "/auth-keys/{id}" Write keys::delete, "Takes a key away.", [];
    PUT "/auth-keys/{id}/labels" Write keys::labels, "Sets its labels.", ["labels"];
    PUT "/auth-keys/{id}/dashboard-access" Write keys::dashboard_access, "Sets what it may do in the admin API.", ["dashboard_access", "admin_path"];
    PUT "/auth-keys/{id}/allowed-models" Write keys::allowed_models, "Sets the models that it may use.", ["allowed_models"];
    POST "/auth-keys/{id}/deactivate" Write keys::deactivate, "Ends its use, within a second.", [];
    POST "/auth-keys/{id}/rotate" Write keys::rotate, "Gives it another secret, shown this once; the one before stays good for a while when asked to.", ["grace_seconds"];
    GET "/users" Read names::users, "The models that user paths may use.", [];
    PUT "/users" Write names::put_user, "Says which models a user path may use.", ["user_path*", "allowed_models"];
    DELETE "/users" Write names::delete_user, "Takes the list of a user path away.", ["user_path*"];
    GET "/virtual-models" Read names::virtual_models, "Virtual models.", [];
    POST "/virtual-models" Write names::put_virtual_model, "Makes a virtual model, or puts another in its place.", ["source*", "target", "targets", "strategy", "description", "enabled", "user_paths"];
    PUT "/virtual-models" Write names::put_virtual_model, "The same.", ["source*", "target", "targets", "strategy", "description", "enabled", "user_paths"];
    DELETE "/virtual-models" Write names::delete_virtual_model, "Takes a virtual model away.", ["source*"];
    GET "/budgets" Read grants::budgets, "Budgets, with what is spent and reserved.", [];
    POST "/budgets" Write grants::put_budget, "Makes a budget, or puts another in its place.", ["scope", "subject", "user_path", "period", "period_seconds", "amount*", "soft", "instead", "per_child"];
    PUT "/budgets" Write grants::put_budget, "The same.", ["scope", "subject", "user_path", "period", "period_seconds", "amount*", "soft", "instead", "per_child"];
    DELETE "/budgets" Write grants::delete_budget, "Takes a budget away.", ["scope", "subject", "user_path", "period", "period_seconds"];
    POST "/budgets/reset-one" Write grants::reset_budget, "Begins the window of one budget anew.", ["scope", "subject", "user_path", "period", "period_seconds"];
    POST "/budgets/reset" Write grants::reset_budgets, "Begins the windows of all budgets anew that may be changed by whoever asks.", [];
    GET "/rate-limits" Read grants::limits, "Rate limits, with what is taken.", [];
    POST "/rate-limits" Write grants::put_limit, "Makes a rate limit, or puts another in its place.", ["scope", "subject", "user_path", "period", "period_seconds", "max_requests", "max_tokens", "per_child"];
    PUT "/rate-limits" Write grants::put_limit, "The same.", ["scope", "subject", "user_path", "period", "period_seconds", "max_requests", "max_tokens", "per_child"];
    DELETE "/rate-limits" Write grants::delete_limit, "Takes a rate limit away.", ["scope", "subject", "user_path", "period", "period_seconds"];
    POST "/rate-limits/reset-one" Write grants::reset_limit, "Begins the window of one rate limit anew.", ["scope", "subject", "user_path", "period", "period_seconds"];
    POST "/rate-limits/reset" Write grants::reset_limits, "Begins the windows of all rate limits anew that may be changed by whoever asks.", [];
    GET "/model-pricing-overrides" Read prices::list, "Prices that are set over those of the catalogue.", [];
    POST "/model-pricing-overrides" Write prices::put, "Sets the whole price of a model, or puts another in its place.", ["selector*", "pricing*"];
    PUT "/model-pricing-overrides" Write prices::put, "The same.", ["selector*", "pricing*"];
    DELETE "/model-pricing-overrides" Write prices::delete, "Takes a price away.", ["selector*"];
    GET "/workflows" Read workflows::list, "Workflows in force; with `inactive` every version that is stored.", ["inactive"];
    POST "/workflows" Write workflows::create, "Makes a version of the workflow of a scope, and puts it in force.", ["name*", "description", "scope_provider_name", "scope_model", "scope_user_path", "workflow_payload*"];
    GET "/workflows/{id}" Read workflows::get, "One version.", [];
    POST "/workflows/{id}/deactivate" Write workflows::deactivate, "Takes the workflow of a scope away.", [];
    GET "/usage/summary" Read usage::summary, "What was used in a time, altogether.", ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
    GET "/usage/daily" Read usage::daily, "The same by days of UTC.", ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
    GET "/usage/models" Read usage::models, "The same by models.", ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
    GET "/usage/user-paths" Read usage::user_paths, "The same by user paths.", ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
    GET "/usage/labels" Read usage::labels, "The same by labels.", ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
    GET "/usage/keys" Read usage::keys, "The same by virtual keys.", ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
    GET "/usage/sessions" Read usage::sessions, "The same by what clients call their conversations.", ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
    GET "/usage/throughput" Read usage::throughput, "Tokens of late, by seconds, minutes, hours or days.", ["granularity*"];
    POST "/usage/recalculate-pricing" Write recalculate::recalculate, "Counts the costs of stored rows anew, with the prices that are known now for their time.", ["confirmation*", "from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label"];
    GET "/usage/log" Read usage::log, "The rows of usage, the newest first.", ["from", "to", "user_path", "model", "provider_name", "auth_key_id", "request_id", "label", "limit", "after"];
    GET "/audit/log" Read audit::log, "Exchanges, the newest first, without their bodies.", ["from", "to", "request_id", "provider_name", "resolved_model", "auth_key_id", "limit", "after"];
    GET "/audit/detail" Read audit::detail, "One exchange with all of its attempts.", ["id*"];
    GET "/audit/sessions" Read audit::sessions, "Sessions that clients name, the newest first.", ["from", "to", "limit"];
    GET "/audit/conversation" Read audit::conversation, "The exchanges around one that belong to its session, with their bodies.", ["log_id*", "limit"];
    GET "/audit/stats" Read audit::stats, "How many exchanges ended with which status, by provider.", ["from", "to"];
    GET "/live/logs" Read live::logs, "What is stored, as server-sent events, for as long as the reader keeps up.", ["types", "cursor"];
    GET "/changes" Read audit::changes, "Who changed what in the admin API, the newest first.", ["from", "to", "object_kind", "object_id", "actor_id", "action", "limit", "after"];
    GET "/providers/status" Read audit::providers, "The providers, and how the requests to them ended of late.", [];
    GET "/models" Read settings::models, "The models that the providers offer, with their prices.", [];
    GET "/budgets/settings" Read settings::of_budgets, "When the windows of budgets begin.", [];
    GET "/tagging/settings" Read settings::of_tagging, "The headers that carry labels.", [];
    GET "/runtime/settings" Read settings::all, "Every setting, its value and where it comes from, secrets masked.", [];
    PUT "/runtime/settings/{key}" Write settings::put, "Sets one of those that are `changeable`, above the file and the environment.", ["value*"];
    DELETE "/runtime/settings/{key}" Write settings::delete, "Takes it back to what file and environment say.", [];
    GET "/runtime/config" Read runtime::config, "What the settings came to, secrets masked.", [];
    POST "/runtime/refresh" Write runtime::refresh, "Has the store read again, and the price list of `prices.url` fetched.", [];
    GET "/v1/usage" Caller usage::own, "What the caller itself has used, and what it may still use.", ["from", "to"];
};
