//! The store by itself: chains, references, pages, owners, bounds.

use serde_json::{Value, json};

use super::*;

const ANN: Owner = [1; 32];
const BOB: Owner = [2; 32];
const PLENTY: usize = 1 << 20;

fn id(number: u128) -> Id {
    Id((7 << 76) | number)
}

fn response(number: u128, previous: Option<u128>, input: &str, said: &str) -> Response {
    let own = id(number);
    let output = format!(
        r#"{{"id":"msg_{own}_0","type":"message","role":"assistant","content":[{{"type":"output_text","text":"{said}"}}]}}"#
    );
    let body = format!(r#"{{"id":"resp_{own}","output":[{output}],"usage":null}}"#).into_bytes();
    let input = format!(r#"{{"role":"user","content":"{input}"}}"#).into_bytes();
    Response { id: own, owner: ANN, body, input, previous: previous.map(id), conversation: None }
}

fn ask(store: &mut Store, owner: Owner, question: Question) -> Result<Value, Missing> {
    match store.answer(&owner, question, PLENTY) {
        Reply::Document(document) => Ok(serde_json::from_slice(&document).expect("JSON")),
        Reply::Context(context) => {
            let before = String::from_utf8(context.before).expect("UTF-8");
            let before: Value = serde_json::from_str(&format!("[{before}]")).expect("JSON");
            let referred: Vec<Value> =
                context.referred.iter().map(|item| serde_json::from_slice(item).expect("JSON")).collect();
            Ok(json!({"before": before, "referred": referred}))
        }
        Reply::Missing(missing) => Err(missing),
    }
}

fn context(previous: Option<u128>, references: &[String]) -> Question {
    let (previous, references) = (previous.map(id), references.to_vec());
    Question::Context { previous, conversation: None, references, bytes_max: PLENTY }
}

fn page(limit: usize, is_descending: bool, after: Option<&str>) -> Page {
    Page { limit, is_descending, after: after.map(str::to_owned) }
}

fn of_three_turns() -> Store {
    let mut store = Store::default();
    for (number, previous) in [(1, None), (2, Some(1)), (3, Some(2))] {
        store.keep(response(number, previous, &format!("q{number}"), &format!("a{number}")), PLENTY);
    }
    store
}

#[test]
fn ids_of_ours_are_told_from_others() {
    let own = format!("resp_{}", id(9));
    assert_eq!(Id::of("resp_", &own), Some(id(9)));
    for other in ["resp_", "resp_1", "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", &own[1..]] {
        assert_eq!(Id::of("resp_", other), None, "{other}");
    }
    assert_eq!(Id::of("resp_", &format!("resp_{}", "4".repeat(32))), None, "another version");
    assert_eq!(Id::of("resp_", &own.replace('7', "é7")), None);
}

#[test]
fn a_chain_gives_what_was_asked_and_said_from_its_beginning() {
    let mut store = of_three_turns();
    let found = ask(&mut store, ANN, context(Some(3), &[])).unwrap();
    let before = found["before"].as_array().unwrap();
    let texts: Vec<&Value> = before.iter().map(|item| &item["content"]).collect();
    assert_eq!(texts.len(), 6);
    assert_eq!((texts[0], &texts[1][0]["text"], texts[4]), (&json!("q1"), &json!("a1"), &json!("q3")));
    assert_eq!(ask(&mut store, ANN, context(None, &[])).unwrap()["before"], json!([]));
}

#[test]
fn a_link_that_is_gone_breaks_the_chain() {
    let mut store = of_three_turns();
    let gone = ask(&mut store, ANN, Question::DeleteResponse(id(2))).unwrap();
    assert_eq!(gone["deleted"], true);
    assert_eq!(ask(&mut store, ANN, context(Some(3), &[])), Err(Missing::Response));
    assert!(ask(&mut store, ANN, context(Some(1), &[])).is_ok());
    assert_eq!(ask(&mut store, ANN, Question::DeleteResponse(id(2))), Err(Missing::Response));
}

#[test]
fn another_owner_finds_nothing() {
    let mut store = of_three_turns();
    for question in [
        Question::Response(id(1)),
        Question::DeleteResponse(id(1)),
        Question::ResponseItems(id(1), page(9, true, None)),
    ] {
        assert_eq!(ask(&mut store, BOB, question), Err(Missing::Response));
    }
    let item = format!("msg_{}_0", id(1));
    assert_eq!(ask(&mut store, BOB, context(None, std::slice::from_ref(&item))), Err(Missing::Item(item)));
    assert!(ask(&mut store, ANN, Question::Response(id(1))).is_ok());
}

#[test]
fn references_find_items_of_input_and_output() {
    let mut store = of_three_turns();
    let names = [format!("msg_{}_0", id(2)), format!("msg_{}_i0", id(1))];
    let found = ask(&mut store, ANN, context(None, &names)).unwrap();
    assert_eq!(found["referred"][0]["content"][0]["text"], "a2");
    assert_eq!(found["referred"][1]["content"][0], json!({"type": "input_text", "text": "q1"}));
    for name in ["", "msg_1", "msg_é_0", &format!("msg_{}_7", id(1))] {
        let missing = ask(&mut store, ANN, context(None, &[name.to_owned()]));
        assert_eq!(missing, Err(Missing::Item(name.to_owned())));
    }
}

#[test]
fn input_items_come_in_pages() {
    let mut store = of_three_turns();
    let mut ids = |page: Page| {
        let list = ask(&mut store, ANN, Question::ResponseItems(id(3), page)).unwrap();
        let ids: Vec<String> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(list["first_id"].as_str(), ids.first().map(String::as_str));
        assert_eq!(list["last_id"].as_str(), ids.last().map(String::as_str));
        (ids, list["has_more"].as_bool().unwrap())
    };
    let (all, has_more) = ids(page(100, false, None));
    assert_eq!((all.len(), has_more), (5, false), "what the last one said is no input");
    assert_eq!(all[4], format!("msg_{}_i0", id(3)));
    let (newest, has_more) = ids(page(2, true, None));
    assert_eq!((&newest[..], has_more), (&[all[4].clone(), all[3].clone()][..], true));
    assert_eq!(
        ids(page(3, true, Some(&newest[1]))),
        (vec![all[2].clone(), all[1].clone(), all[0].clone()], false)
    );
    assert_eq!(ids(page(3, true, Some(&all[0]))), (Vec::new(), false));
}

#[test]
fn what_was_unused_for_longest_goes_first() {
    let mut store = Store::default();
    let weight = response(1, None, "q1", "a1").weight();
    for number in 1..=3 {
        store.keep(response(number, None, "q1", "a1"), 3 * weight);
    }
    assert!(store.answer(&ANN, Question::Response(id(1)), 3 * weight) != Reply::Missing(Missing::Response));
    store.keep(response(4, None, "q1", "a1"), 3 * weight);
    let mut is_here = |number| {
        store.answer(&ANN, Question::Response(id(number)), 3 * weight) != Reply::Missing(Missing::Response)
    };
    assert_eq!([1, 2, 3, 4].map(&mut is_here), [true, false, true, true]);
    store.keep(response(5, None, &"x".repeat(4 * weight), ""), 3 * weight);
    assert!(store.records.is_empty() && store.by_age.is_empty() && store.bytes == 0, "larger than all of it");
}

#[test]
fn memory_stays_flat_however_much_comes() {
    let mut store = Store::default();
    for number in 0..5_000 {
        store.keep(response(number, None, "a question of some length", "an answer"), 100_000);
        assert!(store.bytes <= 100_000 && store.records.len() == store.by_age.len());
    }
    assert!(store.records.len() > 50);
    store.shrink(0);
    assert_eq!((store.bytes, store.records.len()), (0, 0));
}

#[test]
fn what_is_too_large_together_is_refused() {
    let mut store = of_three_turns();
    let question = Question::Context {
        previous: Some(id(3)),
        conversation: None,
        references: Vec::new(),
        bytes_max: 300,
    };
    assert_eq!(ask(&mut store, ANN, question), Err(Missing::TooLarge));
}

#[test]
fn a_conversation_grows_by_items_and_by_turns() {
    let mut store = Store::default();
    let new = Question::NewConversation {
        id: id(8),
        created_s: 5,
        metadata: br#"{"a":"b"}"#.to_vec(),
        items: br#"{"role":"developer","content":"be kind"}"#.to_vec(),
    };
    let made = ask(&mut store, ANN, new).unwrap();
    assert_eq!(
        made,
        json!({"id": format!("conv_{}", id(8)), "object": "conversation", "created_at": 5, "metadata": {"a": "b"}})
    );
    store.keep(Response { conversation: Some(id(8)), ..response(1, None, "q1", "a1") }, PLENTY);
    let added = Question::AddItems {
        id: id(8),
        items: br#"{"type":"function_call_output","call_id":"c","output":"7"}"#.to_vec(),
    };
    let added = ask(&mut store, ANN, added).unwrap();
    assert_eq!(added["data"].as_array().unwrap().len(), 1);
    let list = ask(&mut store, ANN, Question::ConversationItems(id(8), page(9, false, None))).unwrap();
    let kinds: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            format!("msg_{}_c0", id(8)),
            format!("msg_{}_i0", id(1)),
            format!("msg_{}_0", id(1)),
            format!("fco_{}_c1", id(8))
        ]
    );
    let before = store.bytes;
    let item = format!("fco_{}_c1", id(8));
    assert_eq!(ask(&mut store, ANN, Question::ConversationItem(id(8), item.clone())).unwrap()["output"], "7");
    assert!(ask(&mut store, ANN, Question::DeleteItem(id(8), item.clone())).is_ok() && store.bytes < before);
    assert_eq!(
        ask(&mut store, ANN, Question::ConversationItem(id(8), item.clone())),
        Err(Missing::Item(item))
    );
    let question = Question::Context {
        previous: None,
        conversation: Some(id(8)),
        references: Vec::new(),
        bytes_max: PLENTY,
    };
    assert_eq!(ask(&mut store, ANN, question).unwrap()["before"].as_array().unwrap().len(), 3);
    assert_eq!(ask(&mut store, BOB, Question::Conversation(id(8))), Err(Missing::Conversation));
    let updated = Question::UpdateConversation { id: id(8), metadata: b"{}".to_vec() };
    assert_eq!(ask(&mut store, ANN, updated).unwrap()["metadata"], json!({}));
    assert_eq!(ask(&mut store, ANN, Question::DeleteConversation(id(8))).unwrap()["deleted"], true);
    assert_eq!(ask(&mut store, ANN, Question::Conversation(id(8))), Err(Missing::Conversation));
    assert!(store.records.len() == 1, "the response stays");
}
