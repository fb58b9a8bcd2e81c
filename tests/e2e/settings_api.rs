//! What the admin API shows of settings and models: as they are, without a secret, and to nobody who may not see it.

use serde_json::{Value as Json, json};

use crate::admin::{admin, call, make_key};
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
