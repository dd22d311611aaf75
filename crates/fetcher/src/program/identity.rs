//! Becoming the task's user: limits, umask, groups, user. Done before the first thread is started.
//!
//! As `os::su` of stock (stout/os/posix/su.hpp). Everything of the task is read and written afterwards, so that a file
//! that only root may read is not given to a plain user's task.

use std::ffi::CString;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::unistd::{Gid, Uid, User, getegid, geteuid, initgroups, setgid, setgroups, setuid};
use rustix::fs::Mode;
use rustix::process::umask;
use sandbox::Owner;

use crate::info::Rlimit;

/// Who to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    uid: Uid,
    gid: Gid,
    /// The name by which the system knows the supplementary groups.
    name: Option<CString>,
}

/// Why it cannot be.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    /// The system knows no such user.
    #[error("Failed to get user information for '{user}': no such user")]
    Unknown {
        /// The user.
        user: String,
    },
    /// The system's user database failed, or the system refused.
    #[error("Failed to {operation} for user '{user}'")]
    System {
        /// What was tried.
        operation: &'static str,
        /// For whom.
        user: String,
        /// Why not.
        source: Errno,
    },
    /// A limit of another system or of another time.
    #[error("Failed to set limit '{kind}': {reason}")]
    Limit {
        /// The limit.
        kind: String,
        /// Why not.
        reason: &'static str,
    },
    /// The system refused a limit.
    #[error("Failed to set limit '{kind}'")]
    SetLimit {
        /// The limit.
        kind: String,
        /// Why not.
        source: Errno,
    },
}

impl Identity {
    /// Looks a user up by name, as stock does, or takes the number of one without a name
    /// ([`Owner::from_number`]), with no other groups.
    pub(super) fn find(user: &str) -> Result<Identity, IdentityError> {
        let unknown = || IdentityError::Unknown { user: user.to_owned() };
        let looked_up = User::from_name(user).map_err(|source| IdentityError::System {
            operation: "get user information",
            user: user.to_owned(),
            source,
        })?;
        let Some(found) = looked_up else {
            let owner = Owner::from_number(user).ok_or_else(unknown)?;
            // Rules about users are written with their names.
            if User::from_uid(Uid::from_raw(owner.uid())).is_ok_and(|named| named.is_some()) {
                return Err(unknown());
            }
            return Ok(Identity {
                uid: Uid::from_raw(owner.uid()),
                gid: Gid::from_raw(owner.gid()),
                name: None,
            });
        };
        let name = CString::new(found.name).map_err(|_| unknown())?;
        Ok(Identity { uid: found.uid, gid: found.gid, name: Some(name) })
    }

    pub(super) fn uid(&self) -> Uid {
        self.uid
    }

    pub(super) fn gid(&self) -> Gid {
        self.gid
    }

    /// Becomes the user for good. Nothing is done where it is the user already and could become nobody else.
    pub(super) fn become_user(&self, user: &str) -> Result<(), IdentityError> {
        if !geteuid().is_root() && geteuid() == self.uid && getegid() == self.gid {
            return Ok(());
        }
        let failed =
            |operation| move |source| IdentityError::System { operation, user: user.to_owned(), source };
        match &self.name {
            Some(name) => initgroups(name, self.gid).map_err(failed("set supplementary groups"))?,
            None => setgroups(&[]).map_err(failed("set supplementary groups"))?,
        }
        setgid(self.gid).map_err(failed("set gid"))?;
        setuid(self.uid).map_err(failed("set uid"))
    }
}

/// Sets limits, and keeps group and others from writing to what is created.
pub(super) fn restrict(limits: &[Rlimit]) -> Result<(), IdentityError> {
    let others_write = Mode::WGRP | Mode::WOTH;
    let inherited = umask(others_write);
    umask(inherited | others_write);
    for limit in limits {
        let kind = || limit.kind.clone();
        let resource = resource(&limit.kind).ok_or_else(|| IdentityError::Limit {
            kind: kind(),
            reason: "there is no such limit on Linux",
        })?;
        let (soft, hard) = (limit.soft.unwrap_or(RLIM_INFINITY), limit.hard.unwrap_or(RLIM_INFINITY));
        setrlimit(resource, soft, hard).map_err(|source| IdentityError::SetLimit { kind: kind(), source })?;
    }
    Ok(())
}

/// The limit of a name of Mesos (include/mesos/mesos.proto, `RLimitInfo.RLimit.Type`).
fn resource(kind: &str) -> Option<Resource> {
    Some(match kind {
        "RLMT_AS" => Resource::RLIMIT_AS,
        "RLMT_CORE" => Resource::RLIMIT_CORE,
        "RLMT_CPU" => Resource::RLIMIT_CPU,
        "RLMT_DATA" => Resource::RLIMIT_DATA,
        "RLMT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLMT_LOCKS" => Resource::RLIMIT_LOCKS,
        "RLMT_MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "RLMT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLMT_NICE" => Resource::RLIMIT_NICE,
        "RLMT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLMT_NPROC" => Resource::RLIMIT_NPROC,
        "RLMT_RSS" => Resource::RLIMIT_RSS,
        "RLMT_RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RLMT_RTTIME" => Resource::RLIMIT_RTTIME,
        "RLMT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "RLMT_STACK" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_names_or_numbers() {
        let root = Identity::find("root").expect("root");
        assert!(root.uid().is_root() && root.gid().as_raw() == 0 && root.name.is_some());
        let number = Identity::find("1234").expect("a number");
        assert_eq!((number.uid().as_raw(), number.gid().as_raw(), number.name), (1234, 1234, None));
        for user in ["no-such-user-here", "4294967295", "", "0", "00", "+0", "+1234", "1"] {
            assert!(matches!(Identity::find(user), Err(IdentityError::Unknown { .. })), "{user}");
        }
    }

    #[test]
    fn limits_have_names_of_mesos() {
        assert_eq!(resource("RLMT_NOFILE"), Some(Resource::RLIMIT_NOFILE));
        assert_eq!(resource("RLIMIT_NOFILE"), None);
        let unknown = restrict(&[Rlimit { kind: "RLMT_X".to_owned(), soft: None, hard: None }]);
        assert!(matches!(unknown, Err(IdentityError::Limit { .. })));
    }
}
