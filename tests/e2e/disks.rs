//! Disks that are full or take no writing: real file systems of a few megabytes. Where none can be mounted the tests are
//! skipped, loudly and counted.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::records::{asking, long, provider_at, start, stored};
use crate::support::*;

/// A file system of its own, gone when dropped.
struct Disk(TempFolder);

impl Disk {
    fn mount(mebibytes: usize) -> Option<Disk> {
        let folder = TempFolder::new();
        let size = format!("size={mebibytes}m");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder.0).stderr(Stdio::null());
        if command.status().is_ok_and(|status| status.success()) {
            return Some(Disk(folder));
        }
        skip();
        None
    }

    fn path(&self) -> &Path {
        &self.0.0
    }

    fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "remount {how}");
    }

    /// Takes all the room that is left; it comes back when the file is removed.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).expect("a file");
        for size in [1 << 16, 1 << 12, 1 << 9, 1] {
            let zeros = vec![0; size];
            while file.write_all(&zeros).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The gateway may live a moment longer than its disk.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn skip() {
    static SKIPPED: Mutex<usize> = Mutex::new(0);
    let mut count = SKIPPED.lock().unwrap();
    *count += 1;
    // Not through the harness, which keeps what a good test says.
    let line = format!("SKIPPED: a test that may not mount a file system ({} so far)\n", *count);
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A gateway with everything on one disk, which is full from the second request on and is asked until the journal is too.
/// How many requests were answered, and the status of the last.
fn fill(disk: &Disk, settings: &str) -> (Gateway, PathBuf, usize, u16) {
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let settings = format!("server: {{shards: 1}}\nlog: {{level: debug}}\njournal: {{{settings}}}");
    let mut gateway = start(disk.path(), &provider_at(upstream.port), &settings);
    assert_eq!(gateway.call(&asking("first", ASK)).status, 200);
    eventually("the first row", || stored(disk.path()).len() == 1);
    let ballast = disk.fill();
    let mut link = gateway.connect();
    let (mut served, mut last) = (1, 0);
    for _ in 0..60_000 {
        link.send(&long(served));
        last = link.answer(false).status;
        if last != 200 {
            break;
        }
        served += 1;
        if served % 500 == 0 && gateway.metric("ringway_records_dropped_total") > 0.0 {
            break;
        }
    }
    gateway.wait_for_line("records wait in the journal");
    (gateway, ballast, served, last)
}

fn rows(disk: &Disk) -> usize {
    stored(disk.path()).values().map(Vec::len).sum()
}

#[test]
fn a_full_disk_that_fails_closed_refuses_loses_nothing_and_recovers_without_a_restart() {
    let Some(disk) = Disk::mount(64) else { return };
    let (mut gateway, ballast, served, last) = fill(&disk, "when_full: fail_closed");
    assert_eq!(last, 503, "after {served} answers");
    assert_eq!(gateway.metric("ringway_records_dropped_total"), 0.0);
    std::fs::remove_file(ballast).unwrap();
    gateway.wait_for_line("records reach the store again");
    eventually("all rows", || rows(&disk) == served);
    eventually("room", || gateway.chat(ASK).status == 200);
    assert_eq!(gateway.metric("ringway_records_dropped_total"), 0.0);
}

#[test]
fn a_full_disk_that_fails_open_serves_and_counts_what_it_has_no_record_of() {
    let Some(disk) = Disk::mount(64) else { return };
    let (mut gateway, ballast, served, last) = fill(&disk, "when_full: fail_open");
    assert_eq!(last, 200, "after {served} answers");
    let dropped = |gateway: &Gateway| gateway.metric("ringway_records_dropped_total");
    let before = dropped(&gateway);
    for number in 0..20 {
        assert_eq!(gateway.call(&long(served + number)).status, 200);
    }
    assert_eq!(dropped(&gateway), before + 20.0, "each is counted");
    std::fs::remove_file(ballast).unwrap();
    gateway.wait_for_line("records reach the store again");
    let all = (served + 20) as f64;
    eventually("what has a record", || rows(&disk) as f64 + dropped(&gateway) >= all);
    assert_eq!(rows(&disk) as f64 + dropped(&gateway), all, "rows and losses add up");
    eventually("there is a record again", || {
        let after = dropped(&gateway);
        gateway.chat(ASK);
        dropped(&gateway) == after
    });
}

#[test]
fn a_store_that_takes_no_writing_is_waited_for_and_gets_everything_once() {
    let (Some(disk), data) = (Disk::mount(64), TempFolder::new()) else { return };
    disk.remount("ro");
    let upstream = Upstream::answering(json_answer(200, "", CHAT), After::KeepAlive);
    let storage = format!("storage: {{sqlite: {{path: '{}'}}}}", disk.path().join("ringway.db").display());
    let mut gateway = start(&data.0, &provider_at(upstream.port), &storage);
    let mut link = gateway.connect();
    for number in 0..100 {
        link.send(&asking(&format!("n{number}"), ASK));
        assert_eq!(link.answer(false).status, 200, "request {number}");
    }
    gateway.wait_for_line("records wait in the journal");
    disk.remount("rw");
    gateway.wait_for_line("records reach the store again");
    eventually("all rows", || stored(disk.path()).len() == 100);
    assert!(stored(disk.path()).values().all(|rows| rows.len() == 1));
    assert_eq!(gateway.metric("ringway_records_dropped_total"), 0.0);
}
