//! The bounds of the messages between Mesos processes.

use libprocess::Limits;

use super::texts::Texts;
use crate::docker::deadline;
use crate::error::FlagError;
use crate::values::{parse_bytes, quote};

/// Reads the flags `--libprocess_*`. Their defaults are those of [`Limits`].
pub(super) fn limits(texts: &Texts) -> Result<Limits, FlagError> {
    let count = |name| texts.required(name, count::<usize>);
    let size = |name| texts.required(name, size);
    let time = |name| texts.required(name, deadline);
    Ok(Limits {
        backlog: texts.required("libprocess_backlog", self::count::<u32>)?,
        connections: count("libprocess_max_connections")?,
        strangers: count("libprocess_max_strangers")?,
        head_deadline: time("libprocess_head_timeout")?,
        body_deadline: time("libprocess_body_timeout")?,
        message_bytes: size("libprocess_max_message_size")?,
        inflight_bytes: size("libprocess_max_inflight_size")?,
        mailbox: count("libprocess_mailbox")?,
        peers: count("libprocess_max_peers")?,
        queue_messages: count("libprocess_max_queued_messages")?,
        queue_bytes: size("libprocess_max_queued_size")?,
        unlinked_bytes: size("libprocess_max_unlinked_size")?,
        connect_deadline: time("libprocess_connect_timeout")?,
        write_deadline: time("libprocess_write_timeout")?,
        linger: time("libprocess_linger")?,
    })
}

/// A number of at least 1. Above it each is as much as the machine can take.
fn count<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let number = text.parse::<T>().ok().filter(|number| *number >= T::from(1));
    number.ok_or_else(|| format!("{} is not a whole number of at least 1", quote(text)))
}

fn size(text: &str) -> Result<usize, String> {
    match parse_bytes(text)? {
        0 => Err(format!("{} is nothing", quote(text))),
        bytes => usize::try_from(bytes).map_err(|_| format!("{} is more than there can be", quote(text))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_library() {
        assert_eq!(limits(&Texts::new(BTreeMap::new())).unwrap(), Limits::default());
    }

    #[test]
    fn nothing_is_no_bound() {
        for (name, text) in [
            ("libprocess_max_peers", "0"),
            ("libprocess_backlog", "4294967296"),
            ("libprocess_max_message_size", "0B"),
            ("libprocess_linger", "0secs"),
        ] {
            let texts = Texts::new(BTreeMap::from([(name, text.to_owned())]));
            let error = limits(&texts).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
