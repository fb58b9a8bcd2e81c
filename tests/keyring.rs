//! Two hundred thousand virtual keys in a process of their own, or as many as `RINGWAY_TEST_KEYS` says: how much memory one
//! takes as the system counts it, and, told and not judged, how long the table takes to be made and a key to be found. The only
//! test in this file, so that nobody else's memory is counted with it.
#![allow(clippy::disallowed_methods, reason = "reads how much memory the process has")]

use std::sync::Arc;
use std::time::Instant;

use ringway::base::limits::KEY_BYTES_MAX;
use ringway::identity::{Calendar, ModelRule, UserPath};
use ringway::policy::key::{Key, KeyFields, NewKey, Pepper};
use ringway::policy::keyring::{Found, Keyring};

#[test]
fn a_key_takes_no_more_memory_than_its_bound() {
    let pepper = Arc::new(Pepper::new(b"0123456789abcdef"));
    let count = std::env::var("RINGWAY_TEST_KEYS").map_or(KEYS, |text| text.parse().expect("a number"));
    let few = Keyring::new(pepper.clone(), (0..FEW).map(|number| key(number, &pepper).1));
    let few_ns = lookup_ns(&few, FEW, &pepper);
    let (before, begun) = (resident_bytes(), Instant::now());
    let keyring = Keyring::new(pepper.clone(), (0..count).map(|number| key(number, &pepper).1));
    let made_ms = begun.elapsed().as_millis();
    let bytes = (resident_bytes() - before) / count as usize;
    let many_ns = lookup_ns(&keyring, count, &pepper);
    println!(
        "{count} keys: {bytes} bytes for a key, made in {made_ms} ms; found in {many_ns} ns, {few_ns} ns among {FEW}"
    );
    assert!(bytes <= KEY_BYTES_MAX, "{bytes} bytes for a key");
    let (text, key) = key(count / 2, &pepper);
    let found = keyring.find(text.as_bytes(), 0);
    assert!(matches!(found, Found::Key(found) if found.id == key.id && found.name == key.name));
}

/// What it takes to find a key, its proof included: the mean of many that lie apart.
fn lookup_ns(keyring: &Keyring, count: u32, pepper: &Arc<Pepper>) -> u128 {
    let texts: Vec<String> = (0..FEW).map(|at| key(at * (count / FEW), pepper).0).collect();
    let begun = Instant::now();
    for text in &texts {
        assert!(matches!(keyring.find(text.as_bytes(), 0), Found::Key(_)));
    }
    begun.elapsed().as_nanos() / texts.len() as u128
}

fn key(number: u32, pepper: &Pepper) -> (String, Key) {
    let mut random = [7; 48];
    random[..4].copy_from_slice(&number.to_be_bytes());
    let new = NewKey::make(&random, pepper);
    let fields = KeyFields {
        name: format!("service number {number:06}"),
        path: UserPath::new(&format!("/company/team/{number:06}")).ok(),
        labels: vec![format!("cost-center-{:04}", number % 10_000)],
        models: ModelRule::new("openai/*").into_iter().collect(),
        ..KeyFields::default()
    };
    (new.text.reveal().to_owned(), Key::new(new.id, new.proof, fields, &Arc::new(Calendar::default()), None))
}

/// The second number of the file counts pages in memory (proc(5)); a page is 4 KiB on the machines that this runs on.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

const KEYS: u32 = 200_000;
const FEW: u32 = 10_000;
