//! The user that a fetch runs as, and whose cache it uses.

use nix::unistd::{Uid, User};
use sandbox::Owner;

use super::error::FetchError;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    switched: Option<Owner>,
}

impl Account {
    /// Ourselves: nobody is switched to (`--no-switch_user`, a task without a user, or a process that is not root).
    #[must_use]
    pub fn ours() -> Account {
        let uid = Uid::effective();
        Account { name: name_of(uid.as_raw()), switched: None }
    }

    /// The user that owns a sandbox. `hint` is the name under which it was looked up, where the caller knows it; of
    /// several names with one number it decides about groups. Blocks on the system's user database.
    ///
    /// # Errors
    ///
    /// [`FetchError::Chown`] for a number that no user has for an id and another user has for a name: the child, and the
    /// cache, would take it for that one.
    pub fn of(owner: Owner, hint: Option<&str>) -> Result<Account, FetchError> {
        let is_it = |name: &&str| ids_of(name) == Some(owner);
        let name = hint.filter(is_it).map_or_else(|| name_of(owner.uid()), str::to_owned);
        Account::checked(name, owner, ids_of)
    }

    fn checked(
        name: String,
        owner: Owner,
        ids_of: impl Fn(&str) -> Option<Owner>,
    ) -> Result<Account, FetchError> {
        if ids_of(&name).is_some_and(|found| found.uid() != owner.uid()) {
            let why = format!("the id {} has no name here, and is the name of another user", owner.uid());
            return Err(FetchError::Chown { user: name, why });
        }
        Ok(Account { name, switched: Some(owner) })
    }

    /// Its name, or its number where it has none: the name of its directory in the cache.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whom the child becomes; `None` when it stays what we are.
    #[must_use]
    pub fn switched(&self) -> Option<Owner> {
        self.switched
    }
}

/// The ids of a user by name.
fn ids_of(name: &str) -> Option<Owner> {
    let user = User::from_name(name).ok().flatten()?;
    Owner::new(user.uid.as_raw(), user.gid.as_raw()).ok()
}

fn name_of(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_name_or_its_number() {
        let named = |owner, hint| Account::of(owner, hint).unwrap().name().to_owned();
        assert_eq!(named(Owner::new(0, 0).unwrap(), None), "root");
        assert_eq!(named(Owner::new(4242, 7).unwrap(), Some("root")), "4242");
        assert_eq!(Account::ours().switched(), None);
    }

    #[test]
    fn a_number_that_is_the_name_of_another_is_refused() {
        let owner = Owner::new(4242, 4242).unwrap();
        let other = |_: &str| Owner::new(77, 77).ok();
        let error = Account::checked("4242".to_owned(), owner, other).unwrap_err().to_string();
        assert!(error.contains("Failed to chown") && error.contains("4242"), "{error}");
        assert!(Account::checked("alice".to_owned(), owner, |_| Some(owner)).is_ok());
    }
}
