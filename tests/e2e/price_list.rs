//! The price list of `prices.url`: fetched without a restart, in force on every shard, and never taken from a broken
//! answer.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use crate::admin::admin;
use crate::support::*;

/// A place that answers with what it is told to, beside a provider.
struct World {
    gateway: Gateway,
    listed: Arc<Mutex<Vec<u8>>>,
    upstream: Upstream,
    _data: Option<TempFolder>,
}

impl World {
    fn start(first: Vec<u8>) -> World {
        let data = TempFolder::new();
        let mut world = World::start_on(first, &data, "127.0.0.1:0");
        world._data = Some(data);
        world
    }

    /// The same with this data, and with the provider at this address.
    fn start_on(first: Vec<u8>, data: &TempFolder, address: &str) -> World {
        let listed = Arc::new(Mutex::new(first));
        let served = listed.clone();
        let listener = std::net::TcpListener::bind(address).expect("the port");
        let upstream = Upstream::on(listener, move |_, seen, stream| {
            let is_list = seen.head.starts_with("GET /lists/prices.json ");
            let bytes = if is_list { served.lock().unwrap().clone() } else { json_answer(200, "", CHAT) };
            let _ = stream.write_all(&bytes);
            if is_list { After::Close } else { After::KeepAlive }
        });
        let port = upstream.port;
        let settings = format!(
            "server: {{shards: 2}}\nprices: {{url: 'http://user:canary@127.0.0.1:{port}/lists/prices.json', overrides: {{fixed: \
             {{input_per_mtok: 1, output_per_mtok: 1}}}}}}\n"
        );
        let provider =
            format!("type: openai, base_url: 'http://127.0.0.1:{port}/v1', api_key: {UPSTREAM_KEY}");
        let folder = data.0.to_str().expect("UTF-8");
        let settings = format!("providers:\n  up: {{{provider}}}\n{settings}");
        let gateway = Gateway::start_with(&settings, &[("RINGWAY_DATA_DIR", folder)]);
        World { gateway, listed, upstream, _data: None }
    }

    /// Another answer is there, and the gateway asks for it.
    fn serve(&self, bytes: Vec<u8>) {
        *self.listed.lock().unwrap() = bytes;
        admin(&self.gateway, "POST", "/runtime/refresh", Json::Null);
    }

    fn cost(&self, model: &str) -> String {
        let answer = self.gateway.chat(&ASK.replace("up/m", model));
        assert_eq!(answer.status, 200);
        answer.header("x-ringway-cost").expect("a cost")
    }

    fn told(&self) -> Json {
        admin(&self.gateway, "GET", "/runtime/config", Json::Null)["price_list"].clone()
    }

    /// Waits for the end of one more attempt of this kind.
    fn await_attempt(&self, outcome: &str, count: f64) {
        let sample = format!("ringway_price_list_fetches_total{{outcome=\"{outcome}\"}}");
        eventually(outcome, || self.gateway.metric(&sample) >= count);
    }
}

/// A list in a common public form, with so many dollars for a million tokens of this model.
fn list(model: &str, dollars: u32) -> Vec<u8> {
    let price = format!("{dollars}e-06");
    let list = format!(
        r#"{{"sample_spec":{{"mode":"x"}},"{model}":{{"litellm_provider":"openai","mode":"chat","input_cost_per_token":{price},"output_cost_per_token":{price}}}}}"#
    );
    json_answer(200, "", &list)
}

#[test]
fn a_list_is_in_force_as_soon_as_it_has_come_and_a_broken_one_never() {
    let mut world = World::start(list("new-model", 2));
    world.await_attempt("good", 1.0);
    let cost = |world: &World, want: &str| eventually(want, || world.cost("up/new-model") == want);
    cost(&world, "0.000014");
    let source = world.gateway.chat(&ASK.replace("up/m", "up/new-model")).header("x-ringway-cost-source");
    let source = source.expect("a source");
    assert!(
        source.starts_with(&format!("http://127.0.0.1:{}/lists/prices.json, 20", world.upstream.port)),
        "{source}"
    );
    assert_eq!(world.cost("up/fixed"), "0.000007", "an override stands above every list");
    world.serve(list("new-model", 3));
    cost(&world, "0.000021");
    let told = world.told();
    assert_eq!((&told["last_error"], told["fetched_at"].is_string()), (&json!(""), true), "{told}");

    let cut = {
        let mut bytes = list("new-model", 9);
        bytes.truncate(bytes.len() - 10);
        bytes
    };
    let endless = {
        let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"x\":\"".to_vec();
        bytes.resize(33 * 1024 * 1024, b'x');
        bytes
    };
    let broken = [
        (json_answer(200, "", "{\"new-model\":{\"litellm_provider\":"), ""),
        (json_answer(200, "", "<html>9</html>"), ""),
        (json_answer(200, "", "{}"), "its format is none that is known"),
        (
            json_answer(500, "", &String::from_utf8_lossy(&list("new-model", 9))),
            "it was answered with status 500",
        ),
        (json_answer(302, "location: /lists/other.json\r\n", ""), "it was answered with status 302"),
        (cut, "it cannot be fetched (upstream_cut)"),
        (endless, "it cannot be fetched (upstream_event_too_large)"),
        (Vec::new(), "it cannot be fetched"),
    ];
    for (count, (bytes, why)) in broken.into_iter().enumerate() {
        world.serve(bytes);
        world.await_attempt("failed", count as f64 + 1.0);
        let told = world.told();
        let error = told["last_error"].as_str().unwrap_or_default();
        assert!(!error.is_empty() && error.contains(why), "{why}: {told}");
        assert_eq!(world.cost("up/new-model"), "0.000021", "{why}");
    }
    world.gateway.wait_for_line("the prices before stay in force");
    let asked =
        world.upstream.requests().into_iter().find(|seen| seen.head.starts_with("GET /lists/")).unwrap();
    assert_eq!(asked.header("authorization").as_deref(), Some("Basic dXNlcjpjYW5hcnk="));
    let told = world.told().to_string() + &world.gateway.stderr() + &source;
    assert!(!told.contains("canary"), "the password is told nowhere: {told}");
    // And again a good one, in the gateway's own format.
    let own = "{\"ringway_prices\":1,\"date\":\"2026-10-01\"}\n{\"provider\":\"openai\",\"model\":\"new-model\",\"source\":\"s\",\"prices\":{\"input\":1000000,\"output\":2000000}}\n";
    world.serve(json_answer(200, "", own));
    cost(&world, "0.000011");
    assert_eq!((&world.told()["date"], &world.told()["last_error"]), (&json!("2026-10-01"), &json!("")));
    // Without the setting the list goes, too.
    let settings = std::fs::read_to_string(&world.gateway.config).unwrap();
    let without = settings.lines().filter(|line| !line.starts_with("prices:")).collect::<Vec<_>>().join("\n");
    std::fs::write(&world.gateway.config, without).unwrap();
    world.gateway.signal(1);
    cost(&world, "unknown");
}

#[test]
fn a_list_is_in_force_after_a_restart_before_it_can_be_fetched_again() {
    let data = TempFolder::new();
    let mut world = World::start_on(list("new-model", 2), &data, "127.0.0.1:0");
    world.await_attempt("good", 1.0);
    eventually("the list", || world.cost("up/new-model") == "0.000014");
    let fetched_at = world.told()["fetched_at"].clone();
    world.gateway.signal(15);
    assert!(world.gateway.child.wait().expect("an end").success());
    world.gateway = {
        *world.listed.lock().unwrap() = json_answer(500, "", "{}");
        let folder = data.0.to_str().expect("UTF-8");
        let settings = std::fs::read_to_string(&world.gateway.config).expect("settings");
        Gateway::start_with(&settings, &[("RINGWAY_DATA_DIR", folder)])
    };
    world.gateway.wait_for_line("kept since the last start");
    world.await_attempt("failed", 1.0);
    eventually("the list of before", || world.cost("up/new-model") == "0.000014");
    let told = world.told();
    assert_eq!((&told["fetched_at"], told["last_error"] != ""), (&fetched_at, true), "{told}");
}
