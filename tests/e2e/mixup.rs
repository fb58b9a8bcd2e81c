//! Many requests with ids of their own over an upstream that cuts at random, by clients that leave at random: no answer
//! reaches another client, and nothing is left behind.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::*;

/// A small pseudo-random source; each thread has its own seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Answers with the id of the request, in pieces, and sometimes only in part.
fn chaos(number: usize, seen: &Seen, stream: &mut TcpStream) -> After {
    let mut random = Random(number as u64 * 0x9E37_79B9 + 1);
    let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("the request's own body");
    let id = body["id"].as_str().expect("an id").to_owned();
    let answer = if body["stream"] == true {
        let event = format!("data: {{\"id\":\"{id}\",\"choices\":[{{\"finish_reason\":\"stop\"}}]}}\n\n");
        stream_answer(
            format!("{}data: [DONE]\n\n", event.repeat(5)).as_bytes(),
            &[1 + random.below(90) as usize],
        )
    } else {
        json_answer(
            200,
            "",
            &format!(r#"{{"id":"{id}","fill":"{}"}}"#, "x".repeat(random.below(3000) as usize)),
        )
    };
    let is_cut = random.below(20) == 0;
    let end = if is_cut { random.below(answer.len() as u64) as usize } else { answer.len() };
    for piece in answer[..end].chunks(1 + random.below(2000) as usize) {
        if stream.write_all(piece).is_err() {
            return After::Reset;
        }
    }
    match (is_cut, random.below(30)) {
        (true, 0..15) => After::Reset,
        (true, _) | (false, 0) => After::Close,
        _ => After::KeepAlive,
    }
}

fn client(port: u16, thread: u64, count: usize, good: &AtomicUsize) {
    let mut random = Random(thread * 7919 + 3);
    let mut link = Link::to(port);
    for turn in 0..count {
        let (id, is_stream) = (format!("id-{thread}-{turn}"), random.below(3) == 0);
        let request =
            post("/v1/chat/completions", &format!(r#"{{"model":"m","id":"{id}","stream":{is_stream}}}"#));
        if random.below(25) == 0 {
            // This client leaves in the middle, or half-way through its request.
            link.send(&request[..random.below(request.len() as u64) as usize]);
            link = Link::to(port);
            continue;
        }
        let cut = random.below(request.len() as u64) as usize;
        link.send(&request[..cut]);
        link.send(&request[cut..]);
        let answer = link.answer(false);
        let text = answer.text();
        for part in text.split("\"id\":\"").skip(1) {
            assert!(part.starts_with(&format!("{id}\"")), "{id} got {text:.300}");
        }
        let is_good = answer.status == 200 && answer.is_whole;
        assert!(is_good || answer.status >= 500 || !answer.is_whole, "{id}: {} {text:.300}", answer.head);
        if is_good {
            assert!(text.contains(&id));
            good.fetch_add(1, Ordering::Relaxed);
        }
        if !answer.is_whole || answer.header("connection").is_some() {
            link = Link::to(port);
        }
    }
}

#[test]
fn no_answer_reaches_another_client_and_nothing_is_left_behind() {
    let wanted: usize =
        std::env::var("MIXUP_REQUESTS").map_or(20_000, |count| count.parse().expect("a count"));
    let threads = 32;
    let upstream = Upstream::start(chaos);
    let recorded = upstream.seen.clone();
    let gateway = Gateway::start(
        upstream.port,
        "retry: {max_retries: 1, initial_backoff: 1ms, budget_per_second: 100000}",
    );
    let good = Arc::new(AtomicUsize::new(0));
    let run = |count: usize| {
        let clients: Vec<_> = (0..threads)
            .map(|thread| {
                let (good, port) = (good.clone(), gateway.port);
                thread::spawn(move || client(port, thread, count / threads as usize, &good))
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("no client got a wrong answer"));
        recorded.lock().unwrap().clear();
    };
    // The first run fills buffers, pools and caches to what this load takes; the second one must not take more.
    run(wanted);
    let settled = || {
        eventually("the connections to end", || {
            gateway.metric("ringway_requests_in_flight") == 1.0 && gateway.fds() < 200 || gateway.fds() < 60
        });
        thread::sleep(Duration::from_millis(100));
        (gateway.rss_kib(), gateway.fds())
    };
    let (rss, _) = settled();
    run(wanted);
    let (rss_after, fds_after) = settled();
    assert!(
        good.load(Ordering::Relaxed) * 10 > 2 * wanted * 7,
        "{} of twice {wanted} answered",
        good.load(Ordering::Relaxed)
    );
    assert!(rss_after < rss + 6 * 1024, "{rss} KiB became {rss_after} KiB");
    assert!(fds_after < 200, "{fds_after} descriptors");
}
