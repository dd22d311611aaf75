//! Resource limits of a command (`posix/rlimits` of Mesos).

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::messages::{ResourceLimit, StartFailure};

/// Sets a limit of this process.
///
/// # Errors
///
/// A name that is no limit of Linux, and a limit that may not be raised so far.
pub(super) fn set_limit(limit: &ResourceLimit) -> Result<(), StartFailure> {
    let what = |now: &str| {
        let ResourceLimit { name, soft, hard } = limit;
        format!("cannot set the limit {name} to {}:{}{now}", bound(*soft), bound(*hard))
    };
    let Some(resource) = resource(&limit.name) else {
        let why = "there is no such limit on Linux".to_owned();
        return Err(StartFailure { what: what(""), why, exit_code: 125 });
    };
    let number = |value: i64| u64::try_from(value).unwrap_or(RLIM_INFINITY);
    setrlimit(resource, number(limit.soft), number(limit.hard)).map_err(|errno| {
        let now = getrlimit(resource).map(|(_, hard)| format!(" (the agent's own hard limit is {hard})"));
        StartFailure::new(what(&now.unwrap_or_default()), &errno.into())
    })
}

fn bound(value: i64) -> String {
    u64::try_from(value).map_or_else(|_| "unlimited".to_owned(), |value| value.to_string())
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_none_is_named() {
        let limit = ResourceLimit { name: "patience".into(), soft: 1, hard: -1 };
        let failure = set_limit(&limit).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot set the limit patience to 1:unlimited: there is no such limit on Linux"
        );
    }

    #[test]
    fn a_limit_that_stays_as_it_is_can_be_set() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
        let number = |value: u64| i64::try_from(value).unwrap_or(-1);
        let limit = ResourceLimit { name: "core".into(), soft: number(soft), hard: number(hard) };
        set_limit(&limit).unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (soft, hard));
    }
}
