//! What is told, what is kept of it, and when the thread waits.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::net::driver::{self, Driver};
use crate::net::socket::Socket;

/// Our end as a socket of the loop, and the other as the standard library has it.
fn pair() -> (Socket, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    near.set_nonblocking(true).expect("a socket that need not block");
    (Socket::new(near.into()).expect("a loop"), far)
}

fn on_both<F: Future<Output = ()> + 'static>(make: impl Fn() -> F) {
    for driver in [driver::probe().driver, Driver::Epoll] {
        driver::run(driver, |_| make()).expect("the loop runs");
    }
}

async fn readable(socket: &mut Socket) {
    poll_fn(|cx| socket.poll_readable(cx)).await.expect("a socket that can be waited for");
}

async fn writable(socket: &mut Socket) {
    poll_fn(|cx| socket.poll_writable(cx)).await.expect("a socket that can be waited for");
}

/// Whether a read would have to wait, as far as is known now.
fn has_to_wait(socket: &mut Socket) -> bool {
    socket.poll_readable(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn read(socket: &Socket, room: usize) -> Option<usize> {
    socket.try_recv(&mut vec![0; room]).expect("a socket that can be read")
}

/// Gives the kernel the time to tell what is the case by now.
async fn a_moment() {
    sleep(Duration::from_millis(2)).await;
}

#[test]
fn a_socket_is_ready_until_a_read_finds_it_empty() {
    on_both(|| async {
        let (mut socket, mut far) = pair();
        assert!(has_to_wait(&mut socket));
        far.write_all(b"abcdef").expect("room");
        readable(&mut socket).await;
        assert_eq!(read(&socket, 4), Some(4));
        assert!(!has_to_wait(&mut socket), "two bytes were left, of which nothing more is told");
        assert_eq!(read(&socket, 2), Some(2));
        assert!(!has_to_wait(&mut socket), "more could have been there");
        assert_eq!(read(&socket, 2), None);
        assert!(has_to_wait(&mut socket));
        far.write_all(b"g").expect("room");
        readable(&mut socket).await;
        assert_eq!(read(&socket, 2), Some(1));
        assert!(has_to_wait(&mut socket), "less than was asked for came, so that was all");
    });
}

#[test]
fn an_end_that_came_with_the_last_bytes_is_seen_behind_them() {
    on_both(|| async {
        for is_known_before in [false, true] {
            let (mut socket, mut far) = pair();
            assert!(has_to_wait(&mut socket));
            far.write_all(b"abc").expect("room");
            if is_known_before {
                drop(far);
                readable(&mut socket).await;
                assert_eq!(read(&socket, 16), Some(3));
            } else {
                readable(&mut socket).await;
                assert_eq!(read(&socket, 16), Some(3));
                drop(far);
            }
            readable(&mut socket).await;
            assert_eq!(read(&socket, 16), Some(0));
            readable(&mut socket).await;
            assert_eq!(read(&socket, 16), Some(0), "an end stays one");
        }
    });
}

#[test]
fn a_full_socket_tells_when_there_is_room_again() {
    on_both(|| async {
        let (mut socket, mut far) = pair();
        for _ in 0..3 {
            let mut sent = 0;
            while let Some(count) = socket.try_send(&[io::IoSlice::new(&[7; 4096])]).expect("a peer") {
                sent += count;
            }
            // What was told before may be out of date, once.
            let mut cx = Context::from_waker(Waker::noop());
            let _ = socket.poll_writable(&mut cx);
            assert_eq!(socket.try_send(&[io::IoSlice::new(b"x")]).expect("a peer"), None);
            assert!(socket.poll_writable(&mut cx).is_pending(), "nobody has read");
            std::io::copy(&mut io::Read::take(&mut far, sent as u64), &mut io::sink()).expect("bytes");
            writable(&mut socket).await;
        }
    });
}

#[test]
fn a_closed_descriptor_is_gone_for_its_peer_and_tells_its_successor_nothing() {
    on_both(|| async {
        let watch = current().expect("a loop");
        for round in 0..100 {
            let (mut old, mut far_of_old) = pair();
            assert!(has_to_wait(&mut old));
            if round % 2 == 0 {
                a_moment().await;
            }
            far_of_old.write_all(b"late").expect("room");
            drop(old);
            let (mut new, _far) = pair();
            assert!(has_to_wait(&mut new));
            a_moment().await;
            assert!(has_to_wait(&mut new), "what came was for the old one");
            far_of_old.set_nonblocking(true).expect("a socket");
            let mut end = io::Read::read(&mut far_of_old, &mut [0; 8]);
            while end.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                a_moment().await;
                end = io::Read::read(&mut far_of_old, &mut [0; 8]);
            }
            // Bytes that were never read make the end of this kind of socket a reset.
            let is_reset = end.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
            assert!(is_reset || matches!(end, Ok(0)), "{end:?}");
        }
        a_moment().await;
        assert_eq!(watch.eyes.borrow().len(), 0, "nothing is kept of what is closed");
    });
}

#[test]
fn what_finds_no_room_in_the_ring_is_handed_over_later() {
    let Ok(mut ring) = Ring::new(2) else { return };
    let pairs: Vec<_> = (0..50).map(|_| UnixStream::pair().expect("a pair")).collect();
    for (eye, (near, _)) in pairs.iter().enumerate() {
        ring.arm(near.as_raw_fd(), eye, Direction::Read, Times::Always);
        ring.arm(near.as_raw_fd(), eye, Direction::Write, Times::Once);
    }
    let mut fired = Vec::new();
    let mut of_writes = 0;
    while of_writes < 50 {
        ring.wait(None, &mut fired).expect("a ring");
        of_writes +=
            fired.drain(..).filter(|told| told.direction == Direction::Write && !told.stays_armed).count();
    }
    for (eye, (_, far)) in pairs.iter().enumerate() {
        (&*far).write_all(b"x").expect("room");
        ring.disarm(eye, Direction::Read);
    }
    let mut is_over = [false; 50];
    while is_over.contains(&false) {
        ring.wait(None, &mut fired).expect("a ring");
        fired.drain(..).filter(|told| !told.stays_armed).for_each(|told| is_over[told.eye] = true);
    }
}

#[test]
fn tasks_that_wake_each_other_for_ever_keep_nobody_from_the_kernel() {
    on_both(|| async {
        let wakers: Rc<[Cell<Option<Waker>>; 2]> = Rc::default();
        for own in 0..2 {
            let wakers = wakers.clone();
            spawn(poll_fn(move |cx| {
                wakers[own].set(Some(cx.waker().clone()));
                wakers[1 - own].take().into_iter().for_each(Waker::wake);
                Poll::Pending
            }));
        }
        let (mut socket, mut far) = pair();
        assert!(has_to_wait(&mut socket));
        far.write_all(b"abc").expect("room");
        readable(&mut socket).await;
        a_moment().await;
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_times_and_given_up_sleeps_not_at_all() {
    on_both(|| async {
        let order = Rc::new(RefCell::new(Vec::new()));
        for ms in [9_u64, 3, 6, 3] {
            let order = order.clone();
            spawn(async move {
                sleep(Duration::from_millis(ms)).await;
                order.borrow_mut().push(ms);
            });
        }
        {
            let mut given_up = std::pin::pin!(sleep(Duration::from_secs(3600)));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(given_up.as_mut().poll(&mut cx).is_pending());
        }
        let begun_us = clock::monotonic_us();
        sleep(Duration::from_millis(12)).await;
        assert!(clock::monotonic_us() - begun_us >= 12_000);
        assert_eq!(*order.borrow(), [3, 3, 6, 9]);
        assert!(current().expect("a loop").sleepers.borrow().is_empty());
    });
}

#[test]
fn what_still_waits_at_the_end_of_a_loop_goes_with_it() {
    for driver in [driver::probe().driver, Driver::Epoll] {
        let held = Rc::new(());
        let (of_socket, of_sleeper) = (held.clone(), held.clone());
        driver::run(driver, |_| async move {
            spawn(async move {
                let (mut socket, _far) = pair();
                readable(&mut socket).await;
                drop(of_socket);
            });
            spawn(async move {
                sleep(Duration::from_secs(3600)).await;
                drop(of_sleeper);
            });
            a_moment().await;
        })
        .expect("the loop runs");
        assert_eq!(Rc::strong_count(&held), 1);
        assert!(current().is_none());
        assert!(Socket::new(UnixStream::pair().expect("a pair").0.into()).is_err(), "no loop, no socket");
    }
}

#[test]
fn a_panic_of_the_loops_own_future_ends_the_loop() {
    for driver in [driver::probe().driver, Driver::Epoll] {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            driver::run(driver, |_| async { panic!("the future of this test panics on purpose") })
        }));
        assert!(ended.is_err());
    }
}

fn tcp_pair() -> (Socket, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let far = std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let (near, _) = listener.accept().expect("a connection");
    near.set_nonblocking(true).expect("a socket that need not block");
    (Socket::new(near.into()).expect("a loop"), far)
}

fn send_until_full(socket: &Socket) -> u64 {
    let mut sent = 0;
    while let Some(count) = socket.try_send(&[io::IoSlice::new(&[7; 65_536])]).expect("a peer") {
        sent += count as u64;
    }
    sent
}

/// The kernel tells of the peer's end with every poll: who armed a wait for room each time would turn round without end.
#[test]
fn a_peer_that_has_ended_its_side_and_does_not_read_costs_no_turns() {
    on_both(|| async {
        let (mut socket, mut far) = tcp_pair();
        assert!(has_to_wait(&mut socket));
        let sent = send_until_full(&socket);
        far.shutdown(std::net::Shutdown::Write).expect("a connection");
        let has_ended = Rc::new(Cell::new(false));
        let (turns, seen) = (Rc::new(Cell::new(0)), has_ended.clone());
        let of_writer = turns.clone();
        spawn(async move {
            while !seen.get() {
                writable(&mut socket).await;
                of_writer.set(of_writer.get() + 1);
                send_until_full(&socket);
            }
            socket.shutdown();
        });
        sleep(Duration::from_millis(50)).await;
        assert!(turns.get() < 10, "{} turns while there was no room", turns.get());
        has_ended.set(true);
        let mut got = 0;
        far.set_nonblocking(true).expect("a socket");
        loop {
            match io::Read::read(&mut far, &mut [0; 65_536]) {
                Ok(0) => break,
                Ok(count) => got += count as u64,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    a_moment().await;
                }
            }
        }
        assert!(got >= sent, "room was told when there was some: {got} of {sent}");
    });
}

#[test]
fn a_loop_that_has_ended_leaves_nothing_open() {
    for driver in [driver::probe().driver, Driver::Epoll] {
        let (near, far) = UnixStream::pair().expect("a pair");
        let watch = driver::run(driver, |_| async move {
            let mut socket = Socket::new(near.into()).expect("a loop");
            spawn(async { std::future::pending().await });
            assert!(has_to_wait(&mut socket));
            a_moment().await;
            let watch = Rc::downgrade(&current().expect("a loop"));
            drop(socket);
            watch
        });
        assert!(watch.expect("the loop runs").upgrade().is_none(), "its ring or set is closed");
        far.set_nonblocking(true).expect("a socket");
        let end = io::Read::read(&mut &far, &mut [0; 8]);
        assert!(matches!(end, Ok(0)), "what was dropped last is closed for its peer: {end:?}");
    }
}
