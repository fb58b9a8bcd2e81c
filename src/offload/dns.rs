//! Names to addresses, by the system's resolver. Each look-up has a thread of its own, because the resolver may take
//! half a minute to say no.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Resolves `host` and calls `done` with its addresses, those of both families taking turns. None when it has none.
#[expect(clippy::disallowed_methods, reason = "a look-up blocks; it must not hold up the others")]
pub fn resolve_aside(
    host: String,
    port: u16,
    done: impl FnOnce(String, Vec<SocketAddr>) + Send + 'static,
) -> io::Result<()> {
    let look_up = move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        done(host, interleaved(found));
    };
    std::thread::Builder::new().name("resolve".to_owned()).spawn(look_up).map(drop)
}

/// The addresses with the families taking turns, the first one's first (RFC 8305 §4), without repetitions.
fn interleaved(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut out: Vec<SocketAddr> = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return out;
        }
        for address in pair.into_iter().flatten() {
            if !out.contains(&address) {
                out.push(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_nothing_is_said_twice() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> { list.iter().map(|a| a.parse().unwrap()).collect() };
        let found = parse(&["[::1]:1", "[::2]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1"]);
        assert_eq!(interleaved(found), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
        assert_eq!(interleaved(Vec::new()), []);
    }
}
