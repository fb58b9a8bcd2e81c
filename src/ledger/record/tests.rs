//! Every record comes back as it was written, and no part of one is taken for a record.

use super::*;
use crate::ledger::usage::{Mode, ToolCalls};

const ID: RecordId = RecordId(0x0190_0000_0000_7000_8000_0000_0000_0001);

fn begun() -> Begun<'static> {
    Begun {
        at_ms: 1_764_000_000_000,
        request_id: "req-1",
        key_id: "abcdefghijkl",
        auth: Auth::ApiKey,
        user_path: "/team/alpha",
        labels: "[\"a\",\"ü\"]",
        method: "POST",
        path: "/v1/chat/completions",
        endpoint: "chat",
        requested_model: "fast",
        provider: "openai",
        model: "gpt-4o",
        workflow: "",
        client_ip: "127.0.0.1",
        user_agent: "curl/8",
        session: "",
        price_source: "catalogue 2026-08-21",
        is_stream: true,
        skips_usage: false,
        skips_audit: true,
        is_named_by_id: false,
    }
}

fn ended() -> Ended<'static> {
    let attempt = |kind, status, fault| Attempt {
        kind,
        provider: "openai",
        model: "gpt-4o",
        status,
        fault,
        duration_us: 1234,
    };
    Ended {
        duration_us: 2_000_000,
        first_byte_us: Some(0),
        first_token_us: None,
        status: 200,
        outcome: Outcome::ClientGone,
        error: "client_gone",
        usage: Usage {
            input: Some(7),
            output: Some(0),
            output_image: Some(u64::MAX),
            tools: ToolCalls([0, 0, 3, 0, 0]),
            stated_cost: Some(Pico(150_000)),
            mode: Some(Mode::Flex),
            is_estimated: true,
            ..Usage::default()
        },
        cost: Some(Pico(-1)),
        input_cost: None,
        output_cost: Some(Pico(i128::MAX)),
        cost_source: SourceName::Own("provider"),
        cost_caveat: "",
        bytes_in: 10,
        bytes_out: u64::MAX,
        attempts: Attempts::Own(vec![
            attempt(AttemptKind::Primary, 0, "connect_failed"),
            attempt(AttemptKind::Retry, 429, ""),
        ]),
        answered_model: "",
        attempts_unlisted: 0,
    }
}

fn plain_end() -> Ended<'static> {
    Ended {
        status: 200,
        cost: Some(Pico(7)),
        input_cost: Some(Pico(3)),
        output_cost: Some(Pico(4)),
        cost_source: SourceName::OfBeginning,
        attempts: Attempts::Own(vec![Attempt::own(AttemptKind::Primary, 200, "", 9)]),
        ..Ended::default()
    }
}

fn bytes_of(record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match record {
        Record::Begun(id, begun) => write_begun(&mut out, *id, begun),
        Record::Ended(id, ended) => write_ended(&mut out, *id, ended),
        Record::Lost(count) => write_lost(&mut out, *count),
        Record::Owned(owned) => write_owned(&mut out, owned),
        Record::Part(id, part) => write_part(&mut out, *id, part),
    }
    out
}

#[test]
fn a_time_that_stands_in_the_id_is_not_written_again() {
    let of_request = Begun { at_ms: ID.made_ms(), ..begun() };
    let len = |begun: &Begun<'_>| {
        let bytes = bytes_of(&Record::Begun(ID, Box::new(*begun)));
        assert_eq!(read(&bytes), Some(Record::Begun(ID, Box::new(*begun))));
        let Some(Glance::Begun(_, glance)) = glance(&bytes) else { panic!("a beginning") };
        assert_eq!((glance.at_ms, glance.is_request), (begun.at_ms, begun.at_ms == ID.made_ms()));
        bytes.len()
    };
    assert_eq!(len(&begun()) - len(&of_request), 5, "six bytes of time became one");
}

#[test]
fn every_record_comes_back_as_it_was_and_no_part_of_one_is_a_record() {
    let by_other = Ended { answered_model: "gpt-4o-2024-08-06", ..ended() };
    let owned = Owned { at_ms: 1_764_000_000_000, object: "file-1~openai", tenant: "/team/alpha" };
    let in_session = Begun { session: "sess-1", ..begun() };
    let unpriced = Begun { price_source: "", ..in_session };
    let as_priced = |ended| Ended { cost_source: SourceName::OfBeginning, ..ended };
    for record in [
        Record::Begun(ID, Box::new(begun())),
        Record::Begun(ID, Box::new(in_session)),
        Record::Begun(ID, Box::new(unpriced)),
        Record::Ended(ID, Box::new(ended())),
        Record::Ended(ID, Box::new(by_other.clone())),
        Record::Ended(ID, Box::new(as_priced(ended()))),
        Record::Ended(ID, Box::new(as_priced(by_other))),
        Record::Ended(ID, Box::new(plain_end())),
        Record::Lost(300),
        Record::Owned(owned),
    ] {
        let bytes = bytes_of(&record);
        assert_eq!(read(&bytes), Some(record.clone()));
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), None, "{record:?} cut at {cut}");
        }
        assert_eq!(read(&[&bytes[..], b"\0"].concat()), None, "more than the record");
    }
    for flags in 0..16 {
        let is = |bit: u8| flags & bit != 0;
        let begun = Begun {
            is_stream: is(1),
            skips_usage: is(2),
            skips_audit: is(4),
            is_named_by_id: is(8),
            ..begun()
        };
        let record = Record::Begun(ID, Box::new(begun));
        assert_eq!(read(&bytes_of(&record)), Some(record));
    }
}

#[test]
fn the_source_of_a_cost_is_that_of_the_beginning_where_the_end_names_none() {
    let begun = begun();
    assert_eq!(SourceName::Own("provider").of(&begun), "provider");
    assert_eq!(SourceName::OfBeginning.of(&begun), "catalogue 2026-08-21");
    let len = |cost_source| bytes_of(&Record::Ended(ID, Box::new(Ended { cost_source, ..ended() }))).len();
    assert_eq!(len(SourceName::Own("provider")) - len(SourceName::OfBeginning), 9);
    for outcome in [Outcome::Whole, Outcome::Unknown] {
        let ended = Ended { outcome, cost_source: SourceName::OfBeginning, ..ended() };
        let record = Record::Ended(ID, Box::new(ended));
        assert_eq!(read(&bytes_of(&record)), Some(record));
    }
}

#[test]
fn beginnings_of_earlier_versions_name_no_source_of_a_price() {
    for (session, kind, behind) in [("", KIND_BEGUN_UNPRICED, 0), ("s1", KIND_BEGUN_UNPRICED_IN_SESSION, 3)] {
        let begun = Begun { session, price_source: "", ..begun() };
        let mut bytes = bytes_of(&Record::Begun(ID, Box::new(begun)));
        bytes[0] = kind;
        assert_eq!(bytes.remove(bytes.len() - 1 - behind), 0, "the length of no source");
        assert_eq!(read(&bytes), Some(Record::Begun(ID, Box::new(begun))));
        assert!(matches!(glance(&bytes), Some(Glance::Begun(ID, _))));
        assert_eq!(read(&bytes[..bytes.len() - 1]), None);
    }
}

#[test]
fn an_end_without_its_id_says_the_same() {
    let by_other = Ended { answered_model: "m", ..ended() };
    for ended in [ended(), by_other, plain_end()] {
        let bytes = bytes_of(&Record::Ended(ID, Box::new(ended.clone())));
        assert_eq!(glance(&bytes), Some(Glance::Ended(ID)));
        let (id, end) = End::of(&bytes).expect("an end");
        assert_eq!((id, end.read(), end.cost()), (ID, Some(Box::new(ended.clone())), Some(ended.cost)));
        let apart = [&[end.kind], end.rest].concat();
        assert_eq!(End::of_bytes(&apart), Some(end));
        for cut in 1..apart.len() {
            assert_eq!(End::of_bytes(&apart[..cut]).and_then(End::read), None, "{cut}");
        }
    }
    let begun = bytes_of(&Record::Begun(ID, Box::new(begun())));
    assert_eq!((End::of(&begun), End::of_bytes(&begun), End::of_bytes(b"")), (None, None, None));
}

#[test]
fn a_piece_of_a_body_comes_back_and_remarks_are_one_bit_each() {
    let part = Part { kind: PartKind::ResponseBody, bytes: &vec![b'x'; PART_BYTES_MAX] };
    let bytes = bytes_of(&Record::Part(ID, part));
    assert!(bytes.len() <= RECORD_BYTES_MAX);
    assert_eq!(read(&bytes), Some(Record::Part(ID, part)));
    assert_eq!(read(&[&[KIND_PART][..], &ID.0.to_le_bytes(), &[5]].concat()), None, "no such kind");
    for bits in 0..128_u8 {
        assert_eq!(Remarks::of_bytes(&[bits]).bytes(), [bits]);
    }
}

#[test]
fn texts_of_any_length_make_a_record_that_fits_its_frame() {
    let long = "é".repeat(RECORD_BYTES_MAX);
    let begun = Begun {
        request_id: &long,
        key_id: &long,
        user_path: &long,
        labels: &long,
        method: &long,
        path: &long,
        endpoint: &long,
        requested_model: &long,
        provider: &long,
        model: &long,
        workflow: &long,
        session: &long,
        price_source: &long,
        client_ip: &long,
        user_agent: &long,
        ..begun()
    };
    let attempt = Attempt { provider: &long, model: &long, fault: &long, ..ended().attempts[0] };
    let attempts = vec![attempt; ATTEMPTS_RECORDED_MAX + 5];
    let answered_model = &*long;
    let ended = Ended {
        error: &long,
        cost_source: SourceName::Own(&long),
        cost_caveat: &long,
        answered_model,
        attempts: Attempts::Own(attempts),
        ..ended()
    };
    for record in [Record::Begun(ID, Box::new(begun)), Record::Ended(ID, Box::new(ended))] {
        let bytes = bytes_of(&record);
        assert!(bytes.len() <= RECORD_BYTES_MAX, "{}", bytes.len());
        match read(&bytes) {
            Some(Record::Ended(_, ended)) => assert_eq!(ended.attempts_unlisted, 5),
            Some(Record::Begun(..)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_beginning_is_its_two_parts_together_or_apart() {
    for session in ["", "s1"] {
        let begun = Begun { session, ..begun() };
        // Of these only their own part counts.
        for own in [begun, Begun { session: "", model: "", user_path: "", ..begun }] {
            let (mut whole, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
            write_begun(&mut whole, ID, &begun);
            write_own(&mut first, ID, &own, Session::of(&begun));
            write_common(&mut second, &begun);
            assert_eq!(whole, [&first[..], &second].concat());
            assert_eq!(read_begun(&first, &second), Some((ID, Box::new(begun))));
            for cut in 0..first.len() {
                assert_eq!(read_begun(&first[..cut], &second), None, "{cut}");
            }
            for cut in 0..second.len() {
                assert_eq!(read_begun(&first, &second[..cut]), None, "{cut}");
            }
            assert_eq!(read_begun(&whole, &second), None);
        }
    }
}
