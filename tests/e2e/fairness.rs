//! One busy connection does not hold up the others of its shard.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::*;

/// Small chats that are answered while `busy` runs on the same shard.
fn answered_beside(gateway: &Gateway, busy: impl FnOnce() + Send + 'static) -> usize {
    let (done, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_done, port) = (done.clone(), gateway.port);
    let busy = thread::spawn(move || {
        busy();
        is_done.store(true, Ordering::SeqCst);
    });
    let mut link = Link::to(port);
    while !done.load(Ordering::SeqCst) {
        link.send(&post("/v1/chat/completions", ASK));
        assert_eq!(link.answer(false).text(), CHAT);
        count.fetch_add(1, Ordering::SeqCst);
    }
    busy.join().expect("the busy client is content");
    count.load(Ordering::SeqCst)
}

const BUSY_BYTES: usize = 1 << 30;

#[test]
fn a_download_at_full_speed_leaves_room_for_others() {
    let upstream = Upstream::start(|_, seen, stream| {
        if !seen.head.starts_with("GET") {
            let _ = stream.write_all(&json_answer(200, "", CHAT));
            return After::KeepAlive;
        }
        let _ =
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {BUSY_BYTES}\r\n\r\n").as_bytes());
        let piece = vec![b'x'; 1 << 20];
        (0..BUSY_BYTES >> 20).for_each(|_| drop(stream.write_all(&piece)));
        After::KeepAlive
    });
    let gateway = Gateway::start(upstream.port, "server: {shards: 1}\n");
    let port = gateway.port;
    let count = answered_beside(&gateway, move || {
        let mut link = Link::to(port);
        link.send(&get("/p/up/file"));
        link.read_until("\r\n\r\n");
        let (mut piece, mut got) = (vec![0; 1 << 20], 0);
        // What came with the head is some bytes of the body: the connection stays open, so the count tells the end.
        while got < BUSY_BYTES - (1 << 20) {
            got += link.stream.read(&mut piece).expect("the file");
        }
    });
    assert!(count >= 50, "{count} chats were answered beside the download");
}

#[test]
fn an_upload_at_full_speed_leaves_room_for_others() {
    let upstream = Upstream::start(|_, _, stream| {
        let _ = stream.write_all(&json_answer(200, "", CHAT));
        After::KeepAlive
    });
    let gateway = Gateway::start(upstream.port, "server: {shards: 1}\n");
    let port = gateway.port;
    let count = answered_beside(&gateway, move || {
        let mut link = Link::to(port);
        let size = BUSY_BYTES / 2;
        link.send(
            format!(
                "PUT /p/up/file HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: {size}\r\n\r\n"
            )
            .as_bytes(),
        );
        let piece = vec![b'x'; 1 << 20];
        (0..size >> 20).for_each(|_| link.send(&piece));
        assert_eq!(link.answer(false).text(), CHAT);
    });
    assert!(count >= 50, "{count} chats were answered beside the upload");
}

#[test]
fn a_client_that_pipelines_without_end_leaves_room_for_others() {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let gateway = Gateway::start(upstream.port, "server: {shards: 1}\n");
    let port = gateway.port;
    let count = answered_beside(&gateway, move || {
        let link = Link::to(port);
        let mut writer = link.stream.try_clone().unwrap();
        let questions = get("/health").repeat(1000);
        let (one, turns) = (get("/health").len(), 200);
        assert_eq!(questions.len(), one * 1000);
        let sender =
            thread::spawn(move || (0..turns).for_each(|_| writer.write_all(&questions).expect("a reader")));
        let (mut stream, mut answers, mut tail) = (link.stream, 0, Vec::new());
        let mut piece = vec![0; 1 << 16];
        while answers < turns * 1000 {
            let count = stream.read(&mut piece).expect("answers");
            assert!(count > 0, "{answers} answers");
            tail.extend_from_slice(&piece[..count]);
            answers += tail.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
            tail = tail[tail.len().saturating_sub(8)..].to_vec();
        }
        sender.join().expect("the sender ends");
    });
    assert!(count >= 50, "{count} chats were answered beside the pipeline");
}
