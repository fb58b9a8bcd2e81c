//! What the admin API shows of settings and models: as they are, without a secret, and to nobody who may not see it.

use serde_json::{Value as Json, json};

use crate::admin::{admin, call, code, make_key, rows, start};
use crate::support::*;

#[test]
fn settings_and_models_are_shown_as_they_are() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let settings = "budgets: {time_zone: Europe/Warsaw, reset_hour: 6, reset_weekday: sunday}\n\
                    tagging: {headers: [{header: X-Team, prefix: team-}]}\n\
                    prices: {overrides: {m: {input_per_mtok: 1.25, output_per_mtok: 10}}}\n";
    let gateway = Gateway::start(upstream.port, settings);
    let get = |path: &str| admin(&gateway, "GET", path, Json::Null);
    let budgets = get("/budgets/settings");
    let want = json!({"enabled": true, "time_zone": "Europe/Warsaw", "daily_reset_hour": 6, "daily_reset_minute": 0,
                      "weekly_reset_weekday": "sunday", "monthly_reset_day": 1});
    assert_eq!(budgets, want);
    let tagging = get("/tagging/settings");
    let header = json!({"header": "x-team", "prefix": "team-", "delimiter": ",", "do_not_pass": false});
    assert_eq!(tagging["headers"], json!([header]));
    let all = get("/runtime/settings");
    let of =
        |key: &str| all["data"].as_array().unwrap().iter().find(|one| one["key"] == key).cloned().unwrap();
    assert_eq!(of("budgets.reset_hour")["value"], json!("6"));
    assert!(of("budgets.reset_hour")["source"].as_str().unwrap().contains(".yaml:"), "{all}");
    assert!(!all.to_string().contains(KEY) && !all.to_string().contains(UPSTREAM_KEY), "{all}");
    eventually("the models are known", || get("/models")["is_complete"] == true);
    let models = get("/models")["data"].clone();
    let priced = json!({"id": "up/m", "provider_name": "up", "model": "m", "price_source": "override in the settings",
                        "pricing": {"input_per_mtok": "1.25", "output_per_mtok": "10"}});
    let unpriced = json!({"id": "up/org/n", "provider_name": "up", "model": "org/n", "price_source": null, "pricing": null});
    assert_eq!(models, json!([priced, unpriced]));
    let (_, key) = make_key(&gateway, json!({"name": "a", "user_path": "/a", "dashboard_access": "read"}));
    for path in ["/budgets/settings", "/tagging/settings", "/runtime/settings", "/models"] {
        assert_eq!(call(&gateway, &key, "GET", path, None).0, 403, "{path}");
    }
}

#[test]
fn a_setting_is_changed_while_running_kept_over_a_restart_and_taken_back() {
    let data = TempFolder::new();
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = start(&data.0, &upstream, "audit: {bodies: false}\n");
    let of = |gateway: &Gateway, key: &str| {
        let all = admin(gateway, "GET", "/runtime/settings", Json::Null);
        let all = all["data"].as_array().unwrap();
        all.iter().find(|one| one["key"] == key).cloned().unwrap()
    };
    assert_eq!(of(&gateway, "audit.bodies")["changeable"], true);
    assert_eq!(of(&gateway, "server.listen")["changeable"], false);
    eventually("the store is there", || call(&gateway, KEY, "GET", "/audit/log", None).0 == 200);
    let bodies = || rows(&data.0, "SELECT request_body FROM ringway_audit_logs");
    let kept = || bodies().iter().filter(|row| row[0].contains("messages")).count();
    let ask_until = |gateway: &Gateway, has_body: bool| {
        // Counted, because rows of one millisecond have no order.
        let (asked, with_body) = (bodies().len(), kept());
        assert_eq!(gateway.chat(ASK).status, 200);
        eventually("its row", || bodies().len() > asked);
        assert_eq!(kept(), with_body + usize::from(has_body), "{:?}", bodies());
    };
    ask_until(&gateway, false);
    for (path, value, want) in [
        ("audit.body_max", json!("1T"), "invalid_field"),
        ("audit.bodies", json!({"x": 1}), "invalid_field"),
        ("server.listen", json!("0.0.0.0:1"), "setting_is_fixed"),
        ("auth.master_key", json!("x"), "setting_is_fixed"),
    ] {
        let (status, answer) =
            call(&gateway, KEY, "PUT", &format!("/runtime/settings/{path}"), Some(json!({"value": value})));
        assert_eq!((status, code(&answer)), (400, want), "{path}: {answer}");
    }
    let set = admin(&gateway, "PUT", "/runtime/settings/audit.bodies", json!({"value": true}));
    assert_eq!((&set["value"], &set["source"]), (&json!("true"), &json!("admin API")));
    eventually("it is in force", || of(&gateway, "audit.bodies")["value"] == "true");
    ask_until(&gateway, true);
    // Reading the file again does not take it back, and neither does a restart.
    gateway.signal(1);
    ask_until(&gateway, true);
    drop(gateway);
    let gateway = start(&data.0, &upstream, "audit: {bodies: false}\n");
    eventually("it is in force again", || of(&gateway, "audit.bodies")["source"] == "admin API");
    ask_until(&gateway, true);
    admin(&gateway, "DELETE", "/runtime/settings/audit.bodies", Json::Null);
    eventually("the file says it again", || of(&gateway, "audit.bodies")["value"] == "false");
    ask_until(&gateway, false);
    let gone = call(&gateway, KEY, "DELETE", "/runtime/settings/audit.bodies", None);
    assert_eq!((gone.0, code(&gone.1)), (404, "not_found"));
    let changes = admin(&gateway, "GET", "/changes?object_kind=setting", Json::Null);
    let actions: Vec<&str> =
        changes["data"].as_array().unwrap().iter().filter_map(|change| change["action"].as_str()).collect();
    assert_eq!(actions, ["delete", "update"], "{changes}");
    assert_eq!(changes["data"][0]["before"], json!({"value": "true"}), "{changes}");
    let (_, lower) = make_key(&gateway, json!({"name": "l", "user_path": "/l", "dashboard_access": "write"}));
    let (status, denied) =
        call(&gateway, &lower, "PUT", "/runtime/settings/audit.bodies", Some(json!({"value": true})));
    assert_eq!((status, code(&denied)), (403, "user_path_out_of_scope"));
}
