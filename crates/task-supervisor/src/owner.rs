//! Who owns a sandbox: the user that the task or framework names (`--switch_user`); and who the process runs as.

use mesos_types::TaskSpec;
use nix::unistd::{Uid, User};
use sandbox::Owner;

/// A user that cannot own a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// The system knows no such user. The words are those of stock, whose `chown` of the sandbox fails then.
    #[error(
        "Failed to chown the sandbox to user {0:?}: there is no user of that name on this machine; create the user, or \
         name another in command.user"
    )]
    Unknown(String),
    /// The system's user database failed.
    #[error("cannot look up the user {name:?}: {why}")]
    LookUp {
        /// The user.
        name: String,
        /// The system's error.
        why: String,
    },
}

/// The numbers of a user, by name, as Mesos has it, or by number ([`Owner::from_number`]) where it has no name. Blocks on
/// the system's user database.
///
/// # Errors
///
/// A user that is not known.
pub fn owner_of(name: &str) -> Result<Owner, OwnerError> {
    let unknown = || OwnerError::Unknown(name.chars().take(64).collect());
    let failed = |error: nix::Error| OwnerError::LookUp { name: name.to_owned(), why: error.to_string() };
    if let Some(user) = User::from_name(name).map_err(failed)? {
        return Owner::new(user.uid.as_raw(), user.gid.as_raw()).map_err(|_| unknown());
    }
    let owner = Owner::from_number(name).ok_or_else(unknown)?;
    // Rules about users are written with their names.
    let named = User::from_uid(Uid::from_raw(owner.uid())).map_err(failed)?;
    if named.is_some() { Err(unknown()) } else { Ok(owner) }
}

/// Runs a task whose user is honoured (`--docker_honor_user`) as the owner of its sandbox, by numbers: an image need
/// not know the name, and one that does may have other numbers for it.
pub fn run_as(task: &mut TaskSpec, owner: Option<Owner>) {
    if let (Some(user), Some(owner)) = (&mut task.run_as, owner) {
        *user = format!("{}:{}", owner.uid(), owner.gid());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_others_are_not() {
        assert_eq!(owner_of("root").unwrap(), Owner::new(0, 0).unwrap());
        assert_eq!(owner_of("1234").unwrap(), Owner::new(1234, 1234).unwrap());
        let error = owner_of("no-such-user-here").unwrap_err().to_string();
        assert!(error.contains("Failed to chown") && error.contains("no-such-user-here"), "{error}");
    }

    /// An operator forbids tasks of root, or of another, by name.
    #[test]
    fn nobody_becomes_root_or_another_user_by_number() {
        for name in
            ["0", "00", "+0", "-0", "+1234", &User::from_name("daemon").unwrap().unwrap().uid.to_string()]
        {
            assert_eq!(owner_of(name), Err(OwnerError::Unknown(name.to_owned())));
        }
    }
}
