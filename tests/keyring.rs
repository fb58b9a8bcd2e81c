//! Two hundred thousand virtual keys in a process of their own: how much memory one takes as the system counts it. The
//! only test in this file, so that nobody else's memory is counted with it.
#![allow(clippy::disallowed_methods, reason = "reads how much memory the process has")]

use std::sync::Arc;

use ringway::base::limits::KEY_BYTES_MAX;
use ringway::identity::{Calendar, UserPath};
use ringway::policy::key::{Key, KeyFields, NewKey, Pepper};
use ringway::policy::keyring::{Found, Keyring};

#[test]
fn a_key_takes_no_more_memory_than_its_bound() {
    let pepper = Arc::new(Pepper::new(b"0123456789abcdef"));
    let before = resident_bytes();
    let keyring = Keyring::new(pepper.clone(), (0..KEYS).map(|number| key(number, &pepper).1));
    let bytes = (resident_bytes() - before) / KEYS as usize;
    println!("{bytes} bytes for a key");
    assert!(bytes <= KEY_BYTES_MAX, "{bytes} bytes for a key");
    let (text, key) = key(KEYS / 2, &pepper);
    let found = keyring.find(text.as_bytes(), 0);
    assert!(matches!(found, Found::Key(found) if found.id == key.id && found.name == key.name));
}

fn key(number: u32, pepper: &Pepper) -> (String, Key) {
    let mut random = [7; 48];
    random[..4].copy_from_slice(&number.to_be_bytes());
    let new = NewKey::make(&random, pepper);
    let fields = KeyFields {
        name: format!("service number {number:06}"),
        path: UserPath::new(&format!("/company/team/{number:06}")).ok(),
        labels: vec![format!("cost-center-{:04}", number % 10_000)],
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
