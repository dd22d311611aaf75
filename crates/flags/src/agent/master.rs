//! The value of `--master`, which may hold a password.

use std::fmt;

/// Where the master is: what connects to it, and what may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterFlag {
    address: String,
    shown: String,
}

impl MasterFlag {
    /// Takes the value as it was given and its text, which differ when the value names a file.
    ///
    /// # Errors
    ///
    /// A sentence when the text is empty or more than one word.
    pub fn new(given: &str, text: &str) -> Result<Self, String> {
        let address = text.trim();
        if address.is_empty() {
            return Err("it names no master, expected host:port or zk://host:port/path".to_owned());
        }
        if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("it is more than one word, expected host:port or zk://host:port/path".to_owned());
        }
        let shown = if given.starts_with("file://") { given.to_owned() } else { masked(address) };
        Ok(Self { address: address.to_owned(), shown })
    }

    /// The address: `host:port` or `zk://[user:password@]host:port,.../path`. It may hold a password.
    pub fn expose(&self) -> &str {
        &self.address
    }

    /// The value without a password, as `/flags` shows it; the path when it was read from a file.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether the address holds a password.
    pub fn has_password(&self) -> bool {
        masked(&self.address) != self.address
    }
}

impl fmt::Debug for MasterFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Puts `***` for the password of a URL. A password may contain any character, so all up to the last `@` counts.
fn masked(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        // The id of a master, which stock takes before its address, is no secret.
        if address.starts_with("master@") && address.matches('@').count() == 1 {
            return address.to_owned();
        }
        return match address.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => address.to_owned(),
        };
    };
    let Some((login, place)) = rest.rsplit_once('@') else { return address.to_owned() };
    match login.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{place}"),
        None => format!("{scheme}://***@{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (given, text, shown) in [
            ("10.0.0.1:5050", "10.0.0.1:5050", "10.0.0.1:5050"),
            ("zk://a:2181,b:2181/mesos", "zk://a:2181,b:2181/mesos", "zk://a:2181,b:2181/mesos"),
            ("zk://u:hunter2@a:2181/mesos", "zk://u:hunter2@a:2181/mesos", "zk://u:***@a:2181/mesos"),
            ("zk://u:hunt/er@2@a/mesos", "zk://u:hunt/er@2@a/mesos", "zk://u:***@a/mesos"),
            ("zk://hunter2@a/mesos", "zk://hunter2@a/mesos", "zk://***@a/mesos"),
            ("u:hunter2@a:5050", "u:hunter2@a:5050", "***@a:5050"),
            ("master@a:5050", "master@a:5050", "master@a:5050"),
            ("master@hunter2@a:5050", "master@hunter2@a:5050", "***@a:5050"),
            ("file:///etc/mesos/zk", "zk://u:hunter2@a/mesos", "file:///etc/mesos/zk"),
        ] {
            let master = MasterFlag::new(given, text).unwrap();
            assert_eq!(master.shown(), shown);
            assert_eq!(master.expose(), text);
            assert_eq!(master.has_password(), text.contains("hunt"));
            assert!(!format!("{master:?}").contains("hunt"));
        }
        assert!(MasterFlag::new("file:///x", " \n").is_err());
        assert!(MasterFlag::new("a b", "a b").is_err());
    }
}
