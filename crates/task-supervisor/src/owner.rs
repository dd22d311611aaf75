//! Who owns a sandbox: the user that the task or framework names (`--switch_user`); and who the process runs as.

use mesos_types::TaskSpec;
use sandbox::Owner;

/// A user that cannot own a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// The system knows no such user.
    #[error("the user {0:?} is not known on this machine; create it or name another in command.user")]
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

/// The numbers of a user, by name or by number. Blocks on the system's user database.
///
/// # Errors
///
/// A user that is not known.
pub fn owner_of(name: &str) -> Result<Owner, OwnerError> {
    let unknown = || OwnerError::Unknown(name.chars().take(64).collect());
    if let Ok(number) = name.parse::<u32>() {
        return Owner::new(number, number).map_err(|_| unknown());
    }
    let user = nix::unistd::User::from_name(name)
        .map_err(|error| OwnerError::LookUp { name: name.to_owned(), why: error.to_string() })?
        .ok_or_else(unknown)?;
    Owner::new(user.uid.as_raw(), user.gid.as_raw()).map_err(|_| unknown())
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
        assert!(error.contains("no-such-user-here"), "{error}");
    }
}
