//! What a task wants in its sandbox before it starts: `command.uris`, as the task says it.
//!
//! Nothing is judged here. Stock accepts a task whatever its URIs are and fails its launch at the fetch, with a message
//! that frameworks know; the fetcher does that, see its `uri` module.

use std::fmt;

use mesos_proto::v1::command_info;

/// One of a task's URIs, with Mesos' defaults filled in.
#[derive(Clone, PartialEq, Eq)]
pub struct UriSpec {
    /// The URI as the framework gave it; it may carry a password.
    pub value: String,
    /// Whether the file is made executable (and then not unpacked).
    pub executable: bool,
    /// Whether an archive is unpacked.
    pub extract: bool,
    /// Whether the agent's cache is used.
    pub cache: bool,
    /// The file's path below the sandbox, where it is not the URI's own name.
    pub output_file: Option<String>,
}

impl UriSpec {
    /// Reads a URI of a command.
    #[must_use]
    pub fn from_proto(uri: &command_info::Uri) -> Self {
        Self {
            value: uri.value.clone(),
            executable: uri.executable.unwrap_or(false),
            extract: uri.extract.unwrap_or(true),
            cache: uri.cache.unwrap_or(false),
            output_file: uri.output_file.clone(),
        }
    }
}

impl fmt::Debug for UriSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UriSpec")
            .field("bytes", &self.value.len())
            .field("executable", &self.executable)
            .field("extract", &self.extract)
            .field("cache", &self.cache)
            .field("output_file", &self.output_file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_unpacked_unless_the_task_says_otherwise() {
        let uri = command_info::Uri { value: "http://h/a.tgz".into(), ..Default::default() };
        let spec = UriSpec::from_proto(&uri);
        assert!(spec.extract && !spec.executable && !spec.cache);
        let uri = command_info::Uri { extract: Some(false), cache: Some(true), ..uri };
        let spec = UriSpec::from_proto(&uri);
        assert!(!spec.extract && spec.cache);
    }

    #[test]
    fn debug_does_not_print_a_password() {
        let uri = command_info::Uri { value: "http://u:hunter2@h/a".into(), ..Default::default() };
        assert!(!format!("{:?}", UriSpec::from_proto(&uri)).contains("hunter2"));
    }
}
