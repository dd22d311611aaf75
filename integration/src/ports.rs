//! Owns the ports that tests have programs listen at. They are none of those that the kernel gives to connections, so a
//! program that is killed and started again finds its port free; and no two tests of a machine get the same.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::TcpListener;

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

/// The ports to choose from, below those that agents offer.
const PORTS: std::ops::Range<u16> = 10_000..31_000;

/// The file that has the port given last, which whoever asks for one holds locked.
const LAST: &str = "mesos-test-ports.lock";

/// A port of this machine that nobody listens at. An agent keeps its port over its restarts, or it may not keep its id.
///
/// # Errors
///
/// There is none.
pub fn free_port() -> Result<u16> {
    let path = std::env::temp_dir().join(LAST);
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.with_context(|| format!("open {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("lock {}", path.display()))?;
    let mut text = String::new();
    file.read_to_string(&mut text).context("read the last port")?;
    // Another directory for temporary files has another file, so each begins elsewhere.
    let anywhere =
        || PORTS.start + u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap_or(0);
    let last = text.trim().parse().ok().filter(|port| PORTS.contains(port)).unwrap_or_else(anywhere);
    let taken = of_connections();
    let candidates = (last..PORTS.end).skip(1).chain(PORTS.start..=last);
    let mut free = candidates.filter(|port| !taken.contains(port) && is_free(*port));
    let Some(port) = free.next() else {
        // The kernel has them all for connections.
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
        return Ok(listener.local_addr()?.port());
    };
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(port.to_string().as_bytes()).context("write the last port")?;
    Ok(port)
}

/// Whether nobody listens there, at any address of this machine.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("0.0.0.0", port)).is_ok()
}

/// The ports that the kernel gives to connections.
fn of_connections() -> std::ops::RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) => first..=last,
        _ => 32_768..=60_999,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_or_to_connections() {
        let ports: Vec<u16> = std::thread::scope(|scope| {
            let asked: Vec<_> =
                (0..8).map(|_| scope.spawn(|| [free_port().unwrap(), free_port().unwrap()])).collect();
            asked.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 16, "{ports:?}");
        let taken = of_connections();
        assert!(ports.iter().all(|port| !taken.contains(port)), "{ports:?} of {taken:?}");
    }
}
