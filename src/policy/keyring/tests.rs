//! Keys made, shown, changed and refused.

use super::super::key::{KeyFields, NewKey};
use super::*;
use crate::base::Secret;
use crate::identity::{Allowance, Calendar, Measure, ModelRule, Period, Strength, Subject, UserPath};

const NOW_MS: u64 = 1_000_000;

fn pepper() -> Arc<Pepper> {
    Arc::new(Pepper::new(b"0123456789abcdef"))
}

fn key(new: &NewKey, fields: KeyFields) -> Key {
    Key::new(new.id, new.proof, fields, &Arc::new(Calendar::default()), None)
}

fn make(number: u32) -> NewKey {
    let mut random = [number as u8; 48];
    random[..4].copy_from_slice(&number.to_be_bytes());
    random[44..].copy_from_slice(&number.to_be_bytes());
    NewKey::make(&random, &pepper())
}

fn name_of(keyring: &Keyring, presented: &str) -> Option<String> {
    match keyring.find(presented.as_bytes(), NOW_MS) {
        Found::Key(key) => Some(key.name.to_string()),
        Found::Unknown => None,
    }
}

fn named(name: &str) -> KeyFields {
    KeyFields { name: name.to_owned(), ..KeyFields::default() }
}

#[test]
fn a_key_is_made_of_its_prefix_its_id_and_its_secret() {
    let new = make(7);
    let text = new.text.reveal();
    assert_eq!((text.len(), &text[..3], &text[3..15], &text[15..16]), (59, "rw-", new.id.as_str(), "-"));
    assert!(text[16..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_ne!(text, make(8).text.reveal());
    // The greatest number of 256 bits still fits 43 digits, and no two numbers have the same ones.
    let (least, most) = ([0; 48], [255; 48]);
    let texts = [NewKey::make(&least, &pepper()), NewKey::make(&most, &pepper())]
        .map(|new| new.text.reveal().to_owned());
    assert_eq!(&texts[0], "rw-000000000000-0000000000000000000000000000000000000000000");
    assert_ne!(texts[0], texts[1]);
}

#[test]
fn only_the_exact_key_is_found() {
    let (one, two) = (make(1), make(2));
    let keyring = Keyring::new(pepper(), [key(&one, named("one")), key(&two, named("two"))]);
    let text = one.text.reveal().to_owned();
    assert_eq!(name_of(&keyring, &text).as_deref(), Some("one"));
    let other_pepper = Keyring::new(Arc::new(Pepper::new(b"another pepper..")), [key(&one, named("one"))]);
    assert_eq!(name_of(&other_pepper, &text), None);
    let swapped = format!("{}{}", &text[..16], &two.text.reveal()[16..]);
    let mut wrong = vec![swapped, String::new(), "rw-".to_owned(), format!("{text}0"), text[..58].to_owned()];
    for at in 0..text.len() {
        let mut other = text.clone().into_bytes();
        other[at] = if other[at] == b'x' { b'y' } else { b'x' };
        wrong.push(String::from_utf8(other).unwrap());
    }
    for text in wrong {
        assert_eq!(name_of(&keyring, &text), None, "{text}");
    }
}

#[test]
fn imported_hashes_are_honoured_until_they_are_removed() {
    let (first, second) = ("sk-1234567890", "sk_gom_abcdef");
    let calendar = Arc::new(Calendar::default());
    let imported = |number: u8, text: &str| {
        let id = KeyId::from_random([number; 16]);
        Key::new(id, Proof::of_whole(text.as_bytes()), named(text), &calendar, None)
    };
    let keyring = Keyring::new(pepper(), [imported(1, first)]);
    let keyring = keyring.with([Change::Put(Arc::new(imported(2, second)))]);
    assert_eq!(name_of(&keyring, first).as_deref(), Some(first));
    assert_eq!(name_of(&keyring, second).as_deref(), Some(second));
    assert_eq!(name_of(&keyring, "sk-1234567891"), None);
    let gone = keyring.with([1, 2].map(|number| Change::Remove(KeyId::from_random([number; 16]))));
    assert_eq!((name_of(&gone, first), name_of(&gone, second), gone.len()), (None, None, 0));
    // A key of our own is not proven by a hash of its text that somebody imported under its id.
    let own = make(3);
    let keyring =
        Keyring::new(pepper(), [Key::new(own.id, Proof::of_whole(b"x"), named("x"), &calendar, None)]);
    assert_eq!(name_of(&keyring, own.text.reveal()), None);
}

#[test]
fn a_rotated_key_is_good_twice_for_a_while() {
    let old = make(1);
    let new = NewKey::rotate(old.id, &[9; 32], &pepper());
    let keyring = Keyring::new(pepper(), [key(&old, named("k"))]);
    let rotated = key(&new, named("k")).with_proof_before(old.proof, NOW_MS + 10);
    let keyring = keyring.with([Change::Put(Arc::new(rotated))]);
    let is_known =
        |text: &Secret, now_ms| matches!(keyring.find(text.reveal().as_bytes(), now_ms), Found::Key(_));
    assert!(is_known(&new.text, NOW_MS) && is_known(&old.text, NOW_MS + 9));
    assert!(is_known(&new.text, NOW_MS + 10) && !is_known(&old.text, NOW_MS + 10));
    assert_eq!(keyring.len(), 1);
}

#[test]
fn a_key_that_may_not_be_used_says_why() {
    let check = |fields: KeyFields, want: Option<&str>| {
        let refusal = key(&make(1), fields.clone()).check(NOW_MS).err();
        assert_eq!(
            refusal.as_ref().map(|refusal| (refusal.status, refusal.code)),
            want.map(|code| (401, code))
        );
        assert_eq!(key(&make(1), fields.clone()).fields(), fields, "what is stored makes the same key");
    };
    check(named("k"), None);
    check(KeyFields { expires_ms: Some(NOW_MS + 1), ..named("k") }, None);
    check(KeyFields { expires_ms: Some(NOW_MS), ..named("k") }, Some("key_expired"));
    check(KeyFields { is_disabled: true, ..named("k") }, Some("key_disabled"));
    let limited = key(&make(1), KeyFields { endpoints: vec!["chat".to_owned()], ..named("k") });
    assert!(limited.check_endpoint("chat").is_ok() && key(&make(1), named("k")).check_endpoint("x").is_ok());
    assert_eq!(limited.check_endpoint("embeddings").map_err(|refusal| refusal.status), Err(403));
}

#[test]
fn changes_are_seen_by_the_new_keyring_alone_and_survive_the_folding() {
    let keyring = Keyring::new(pepper(), (0..100).map(|number| key(&make(number), named("old"))));
    let changed =
        keyring.with([Change::Put(Arc::new(key(&make(5), named("new")))), Change::Remove(make(6).id)]);
    let text = |number| make(number).text.reveal().to_owned();
    assert_eq!(name_of(&keyring, &text(5)).as_deref(), Some("old"));
    assert_eq!((keyring.len(), changed.len(), changed.iter().count()), (100, 99, 99));
    let many = (100..100 + KEY_CHANGES_MAX as u32)
        .map(|number| Change::Put(Arc::new(key(&make(number), named("more")))));
    let folded = changed.with(many);
    assert!(folded.changed.keys.is_empty(), "the table was made anew");
    assert_eq!((folded.len(), folded.iter().count()), (99 + KEY_CHANGES_MAX, 99 + KEY_CHANGES_MAX));
    for (number, want) in [(4, Some("old")), (5, Some("new")), (6, None), (4_195, Some("more"))] {
        assert_eq!(name_of(&folded, &text(number)).as_deref(), want, "{number}");
    }
    assert_eq!(folded.with([Change::Remove(make(6).id)]).len(), folded.len(), "nothing is removed twice");
}

#[test]
fn a_changed_key_keeps_the_counts_of_its_limits() {
    let limit =
        |max| Allowance::hard(Subject::Label("x".into()), Measure::Requests(Period::Seconds(60)), max);
    let fields = |max| KeyFields { allowances: vec![limit(max)], ..named("k") };
    let calendar = Arc::new(Calendar::default());
    let new = make(1);
    let first = Key::new(new.id, new.proof, fields(1), &calendar, None);
    first.accounts()[0].take(NOW_MS, 1, Strength::Hard).unwrap();
    let second = Key::new(new.id, new.proof, fields(2), &calendar, Some(&first));
    assert_eq!(second.accounts()[0].standing(NOW_MS).taken, 1);
    assert_eq!(&*second.accounts()[0].id, format!("key:{}:requests:60s", new.id.as_str()));
    let keyring = Keyring::new(pepper(), [second]);
    let counters = keyring.counters();
    assert_eq!((counters.len(), counters[0].amount), (1, 1));
    let restarted = Keyring::new(pepper(), [Key::new(new.id, new.proof, fields(2), &calendar, None)]);
    restarted.restore(&counters);
    assert_eq!(restarted.accounts().next().unwrap().standing(NOW_MS).taken, 1);
}

#[test]
fn keys_that_may_use_the_same_share_it_and_others_do_not() {
    let uses = |models: &[&str], endpoints: &[&str]| KeyFields {
        models: models.iter().filter_map(|rule| ModelRule::new(rule)).collect(),
        endpoints: endpoints.iter().map(|&name| name.to_owned()).collect(),
        ..KeyFields::default()
    };
    let all = [
        uses(&["openai/*"], &[]),
        uses(&["openai/*"], &[]),
        uses(&["openai/*"], &["chat"]),
        uses(&["groq/*"], &[]),
        uses(&[], &[]),
    ];
    let keyring =
        Keyring::new(pepper(), (0..).zip(all.clone()).map(|(number, fields)| key(&make(number), fields)));
    let found: Vec<_> = (0..5).map(|number| keyring.get(make(number).id).expect("was put").clone()).collect();
    assert_eq!(found.iter().map(|key| key.fields()).collect::<Vec<_>>(), all);
    let lists: Vec<_> = found.iter().map(|key| key.models().as_ptr()).collect();
    assert_eq!(lists[0], lists[1], "one list for both");
    assert!(lists[0] != lists[2] && lists[0] != lists[3] && found[4].models().is_empty());
}

/// What a key takes: itself, its texts as an allocator rounds them, and its place in the table. `tests/keyring.rs` holds
/// the process to it.
#[test]
fn a_key_fits_its_bound() {
    let fields = KeyFields {
        name: "production chat service".to_owned(),
        path: UserPath::new("/company/team/service").ok(),
        labels: vec!["cost-center-1234".to_owned()],
        ..KeyFields::default()
    };
    let rounded = |bytes: usize| (bytes + 8).next_multiple_of(16).max(32);
    let counts = 2 * size_of::<usize>();
    let key = rounded(counts + size_of::<Key>());
    let name = rounded(fields.name.len());
    let path = rounded(counts + fields.path.as_ref().map_or(0, |path| path.as_str().len()));
    let labels = rounded(size_of::<Box<str>>()) + rounded(fields.labels[0].len());
    // A table is between 7/16 and 7/8 full; a place is a pointer and a byte.
    let place = (size_of::<usize>() + 1) * 16 / 7;
    let bytes = key + name + path + labels + place;
    assert!(bytes <= crate::base::limits::KEY_BYTES_MAX, "{bytes}: {} the key itself", size_of::<Key>());
}
