//! Names of users and groups for a listing.

use std::collections::HashMap;

use nix::unistd::{Gid, Group, Uid, User};

/// Looks each id up once.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    /// The user's name, or the number where there is none.
    pub(super) fn user(&mut self, uid: u32) -> String {
        let name = || User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        self.users.entry(uid).or_insert_with(|| name().unwrap_or_else(|| uid.to_string())).clone()
    }

    /// The group's name, or the number where there is none.
    pub(super) fn group(&mut self, gid: u32) -> String {
        let name = || Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name);
        self.groups.entry(gid).or_insert_with(|| name().unwrap_or_else(|| gid.to_string())).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_without_a_name_are_numbers() {
        let mut owners = Owners::default();
        assert_eq!((owners.user(0).as_str(), owners.group(0).as_str()), ("root", "root"));
        assert_eq!(owners.user(0), "root");
        assert_eq!(
            (owners.user(3_999_999_999), owners.group(3_999_999_998)),
            ("3999999999".into(), "3999999998".into())
        );
    }
}
