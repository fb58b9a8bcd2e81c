//! Workflows: exactly one for each request, by its exact order; a version never changes, and its features are acted on.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::admin::{admin, call, chat_over, code, make_key, rows, start, upstream};
use crate::support::*;

/// Makes a workflow of this scope with these features and gives its id.
fn make(gateway: &Gateway, name: &str, scope: &[(&str, &str)], features: Json) -> String {
    let mut body = json!({"name": name, "workflow_payload": {"schema_version": 1, "features": features, "guardrails": []}});
    scope.iter().for_each(|(part, value)| body[format!("scope_{part}")] = json!(value));
    let made = admin(gateway, "POST", "/workflows", body);
    assert_eq!((&made["active"], &made["name"]), (&json!(true), &json!(name)), "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

/// A chat of this key with the model, under this request id.
fn ask(gateway: &Gateway, key: &str, model: &str, id: &str) -> Answer {
    let body = format!(r#"{{"model":"{model}","max_tokens":5,"messages":[]}}"#);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nx-request-id: {id}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    gateway.call((head + &body).as_bytes())
}

/// What the tables say of the workflow of a request: the text of usage, and that of the audit log; none where it has no row.
fn recorded(data: &Path, id: &str) -> [Option<String>; 2] {
    ["usage", "audit_logs"].map(|table| {
        let sql = format!("SELECT workflow_version_id FROM ringway_{table} WHERE request_id = '{id}'");
        let found = rows(data, &sql);
        assert!(found.len() < 2, "{id} stands once in {table}");
        found.first().map(|row| row[0].clone())
    })
}

/// Waits until a later request is in the store: what came before it then is too, or never will be.
fn settle(gateway: &Gateway, data: &Path, name: &str) {
    assert_eq!(ask(gateway, KEY, "up/m", name).status, 200);
    eventually("a later request is stored", || recorded(data, name)[0].is_some());
}

#[test]
fn the_deepest_path_and_the_narrowest_target_decide_and_the_record_says_which() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let settings =
        "server: {shards: 1}\nworkflows: [{name: of file, provider: up, features: {cache: false}}]\n";
    let gateway = start(&data.0, &upstream, settings);
    let (_, key) = make_key(&gateway, json!({"name": "k", "user_path": "/team/app"}));
    let ids = |number: &str| format!("request-{number}");
    let text = |id: &str| Some(format!("Text({id:?})"));
    let listed = admin(&gateway, "GET", "/workflows", Json::Null);
    let of_file =
        listed["data"].as_array().unwrap().iter().find(|one| one["source"] == "config").unwrap().clone();
    assert_eq!((&of_file["scope_key"], &of_file["version"]), (&json!("provider:up"), &json!(1)));
    assert_eq!(of_file["without_effect"], json!(["cache", "guardrails", "failover"]));
    let file_id = of_file["id"].as_str().unwrap().to_owned();
    assert_eq!(ask(&gateway, &key, "up/m", &ids("file")).status, 200);

    // From the widest to the narrowest: each takes over from the one before.
    let scopes: [(&str, &[(&str, &str)]); 7] = [
        ("global", &[]),
        ("provider", &[("provider_name", "up")]),
        ("model", &[("provider_name", "up"), ("model", "m")]),
        ("top", &[("user_path", "/")]),
        ("path", &[("user_path", "/team")]),
        ("path provider", &[("user_path", "team/"), ("provider_name", "up")]),
        ("path model", &[("user_path", "/team"), ("provider_name", "up"), ("model", "m")]),
    ];
    let mut made = Vec::new();
    for (name, scope) in scopes {
        let id = make(&gateway, name, scope, json!({}));
        assert_eq!(ask(&gateway, &key, "up/m", &ids(&name.replace(' ', "-"))).status, 200);
        made.push((name, id));
    }
    // The answer says that it is in force on every shard; a request of another model and place takes a wider one.
    assert_eq!(ask(&gateway, &key, "up/org/n", &ids("other-model")).status, 200);
    assert_eq!(ask(&gateway, KEY, "up/org/n", &ids("other-place")).status, 200);
    settle(&gateway, &data.0, "after-all");
    for (name, id) in &made {
        let want = if *name == "global" { text(&file_id) } else { text(id) };
        assert_eq!(recorded(&data.0, &ids(&name.replace(' ', "-"))), [want.clone(), want], "{name}");
    }
    let id_of = |name: &str| text(&made.iter().find(|(other, _)| *other == name).unwrap().1);
    assert_eq!(recorded(&data.0, &ids("file"))[0], text(&file_id));
    assert_eq!(recorded(&data.0, &ids("other-model"))[0], id_of("path provider"));
    assert_eq!(recorded(&data.0, &ids("other-place"))[0], id_of("top"));

    // What a record names can be looked up, in force or not; the one of the file comes back.
    for (_, id) in &made[1..] {
        let gone = admin(&gateway, "POST", &format!("/workflows/{id}/deactivate"), Json::Null);
        assert_eq!((&gone["id"], &gone["active"]), (&json!(id), &json!(false)));
    }
    assert_eq!(ask(&gateway, &key, "up/m", &ids("again")).status, 200);
    settle(&gateway, &data.0, "after-that");
    assert_eq!(recorded(&data.0, &ids("again"))[0], text(&file_id));
    let (_, id) = made.last().unwrap();
    let shown = admin(&gateway, "GET", &format!("/workflows/{id}"), Json::Null);
    assert_eq!((&shown["name"], &shown["active"]), (&json!("path model"), &json!(false)));
    assert_eq!(
        admin(&gateway, "GET", &format!("/workflows/{}", file_id.replace(' ', "%20")), Json::Null)["id"],
        json!(file_id)
    );
}

#[test]
fn features_are_acted_on_and_outlive_the_process() {
    let (data, upstream) = (TempFolder::new(), upstream());
    // One journal: what came before is stored before.
    let settings = "server: {shards: 1}\n";
    let gateway = start(&data.0, &upstream, settings);
    let places = ["quiet", "unaudited", "uncounted", "unbudgeted"];
    let keys =
        places.map(|place| make_key(&gateway, json!({"name": place, "user_path": format!("/{place}")})).1);
    for place in places {
        let budget = json!({"user_path": format!("/{place}"), "period": "monthly", "amount": "0.000060"});
        admin(&gateway, "POST", "/budgets", budget);
    }
    make(&gateway, "quiet", &[("user_path", "/quiet")], json!({"usage": false, "audit": false}));
    make(&gateway, "unaudited", &[("user_path", "/unaudited")], json!({"audit": false}));
    make(&gateway, "uncounted", &[("user_path", "/uncounted")], json!({"usage": false}));
    make(&gateway, "unbudgeted", &[("user_path", "/unbudgeted")], json!({"budget": false}));
    let gateway = {
        let check = |gateway: &Gateway, round: &str| {
            for (place, key) in places.iter().zip(&keys) {
                assert_eq!(
                    ask(gateway, key, "up/m", &format!("{place}-{round}")).status,
                    200,
                    "{place} {round}"
                );
            }
            settle(gateway, &data.0, &format!("after-{round}"));
            let has = |place: &str| recorded(&data.0, &format!("{place}-{round}")).map(|row| row.is_some());
            assert_eq!(
                places.map(has),
                [[false, false], [true, false], [false, true], [true, true]],
                "{round}"
            );
        };
        check(&gateway, "first");
        let mut gateway = gateway;
        gateway.signal(15);
        let _ = gateway.child.wait();
        let gateway = start(&data.0, &upstream, settings);
        let known =
            || admin(&gateway, "GET", "/workflows", Json::Null)["data"].as_array().map(Vec::len) == Some(5);
        eventually("the workflows are read", known);
        check(&gateway, "second");
        gateway
    };
    // A budget that may not refuse counts all the same; the others refuse as before.
    for (place, key) in places.iter().zip(&keys) {
        let statuses: Vec<u16> = (0..8).map(|_| ask(&gateway, key, "up/m", "spending").status).collect();
        assert_eq!(statuses.contains(&429), *place != "unbudgeted", "{place}: {statuses:?}");
    }
    let budgets = admin(&gateway, "GET", "/budgets", Json::Null);
    let spent =
        budgets["data"].as_array().unwrap().iter().find(|one| one["user_path"] == "/unbudgeted").unwrap();
    assert_eq!((&spent["spent"], &spent["remaining"]), (&json!("0.00007"), &json!("0")), "{spent}");
    let switched = admin(&gateway, "GET", "/workflows", Json::Null);
    let quiet = switched["data"].as_array().unwrap().iter().find(|one| one["name"] == "quiet").unwrap();
    let want = json!({"cache": true, "audit": false, "usage": false, "budget": true, "guardrails": true, "failover": true});
    assert_eq!((&quiet["effective_features"], &quiet["workflow_payload"]["features"]), (&want, &want));
}

#[test]
fn a_version_never_changes_and_what_is_wrong_is_named() {
    let (data, upstream) = (TempFolder::new(), upstream());
    let gateway =
        start(&data.0, &upstream, "workflows: [{name: file, user_path: /file}]\naudit: {enabled: false}\n");
    let scope = [("user_path", "/team")];
    let first = make(&gateway, "first", &scope, json!({"cache": false}));
    let before = admin(&gateway, "GET", &format!("/workflows/{first}"), Json::Null);
    let second = make(&gateway, "second", &scope, json!({"failover": false}));
    let mut after = admin(&gateway, "GET", &format!("/workflows/{first}"), Json::Null);
    assert_eq!((&before["version"], &after["active"]), (&json!(1), &json!(false)));
    after["active"] = json!(true);
    assert_eq!(before, after, "only whether it is active");
    let newer = admin(&gateway, "GET", &format!("/workflows/{second}"), Json::Null);
    assert_eq!((&newer["version"], &newer["active"]), (&json!(2), &json!(true)));
    assert_eq!(newer["effective_features"]["audit"], json!(false), "the settings switch it off for all");
    let all = admin(&gateway, "GET", "/workflows?inactive=true", Json::Null);
    let names: Vec<&str> =
        all["data"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    admin(&gateway, "POST", &format!("/workflows/{second}/deactivate"), Json::Null);
    assert_eq!(make(&gateway, "third", &scope, json!({})).len(), 36);
    let third = admin(&gateway, "GET", "/workflows", Json::Null);
    let third = third["data"].as_array().unwrap().iter().find(|one| one["name"] == "third").unwrap().clone();
    assert_eq!(third["version"], json!(3), "numbers are not used twice");
    let global = make(&gateway, "all", &[], json!({}));

    let check = |method: &str, path: &str, body: Json, want: (u16, &str)| {
        let (status, answer) = call(&gateway, KEY, method, path, (!body.is_null()).then_some(body.clone()));
        assert_eq!((status, code(&answer)), want, "{method} {path} {body}: {answer}");
    };
    let file = admin(&gateway, "GET", "/workflows", Json::Null);
    let file = file["data"].as_array().unwrap().iter().find(|one| one["source"] == "config").unwrap().clone();
    let end = |id: &str| format!("/workflows/{id}/deactivate");
    check("POST", &end(&global), Json::Null, (400, "workflow_is_global"));
    check("POST", &end(&second), Json::Null, (409, "workflow_not_active"));
    check("POST", &end(file["id"].as_str().unwrap()), Json::Null, (409, "defined_in_settings"));
    check("POST", &end("nothing"), Json::Null, (404, "not_found"));
    check("GET", "/workflows/nothing", Json::Null, (404, "not_found"));
    let of = |more: Json| {
        let mut body = json!({"name": "x", "workflow_payload": {"features": {}}});
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    for (more, want) in [
        (json!({"name": ""}), "missing_field"),
        (json!({"workflow_payload": null}), "invalid_field"),
        (json!({"workflow_payload": {"schema_version": 2}}), "invalid_field"),
        (json!({"workflow_payload": {"features": {"cash": true}}}), "unknown_field"),
        (json!({"workflow_payload": {"features": {"cache": "maybe"}}}), "invalid_field"),
        (json!({"workflow_payload": {"guardrails": [{"ref": "a"}, {"ref": "a"}]}}), "invalid_field"),
        (json!({"scope_model": "m"}), "invalid_field"),
        (json!({"scope_provider_name": "nobody"}), "invalid_field"),
        (json!({"scope_user_path": "/a/../b"}), "invalid_user_path"),
    ] {
        check("POST", "/workflows", of(more), (400, want));
    }
    // Whoever administers a part of the tree cannot take budgets or the audit log away from it, and sees that part.
    let team = json!({"name": "admin", "user_path": "/team", "dashboard_access": "write"});
    let (_, key) = make_key(&gateway, team);
    let (status, denied) =
        call(&gateway, &key, "POST", "/workflows", Some(of(json!({"scope_user_path": "/team/x"}))));
    assert_eq!((status, code(&denied)), (403, "user_path_out_of_scope"));
    let (_, seen) = call(&gateway, &key, "GET", "/workflows", None);
    let names: Vec<&str> =
        seen["data"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["third"]);
    assert_eq!(call(&gateway, &key, "GET", &format!("/workflows/{global}"), None).0, 404);
    let changes = admin(&gateway, "GET", "/changes?object_kind=workflow", Json::Null);
    assert_eq!(changes["data"].as_array().map(Vec::len), Some(5), "{changes}");
    assert_eq!(chat_over(&mut gateway.connect(), KEY, ASK).status, 200);
}
