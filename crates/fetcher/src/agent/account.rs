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
    /// several names with one number it decides about groups.
    #[must_use]
    pub fn of(owner: Owner, hint: Option<&str>) -> Account {
        let is_it = |name: &&str| look_up(name).is_ok_and(|found| found == Some(owner));
        let name = hint.filter(is_it).map_or_else(|| name_of(owner.uid()), str::to_owned);
        Account { name, switched: Some(owner) }
    }

    /// A user by name or by number. Blocks on the system's user database.
    ///
    /// # Errors
    ///
    /// [`FetchError::Chown`], in stock's words, since its `chown` of the sandbox is what fails on an unknown user.
    pub fn named(name: &str) -> Result<Account, FetchError> {
        let fail = |why: String| FetchError::Chown { user: name.chars().take(64).collect(), why };
        match look_up(name) {
            Ok(Some(owner)) => Ok(Account { name: name.to_owned(), switched: Some(owner) }),
            Ok(None) => Err(fail("no such user on this machine".to_owned())),
            Err(errno) => Err(fail(errno.to_string())),
        }
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

fn look_up(name: &str) -> Result<Option<Owner>, nix::Error> {
    if let Ok(number) = name.parse::<u32>() {
        return Ok(Owner::new(number, number).ok());
    }
    let user = User::from_name(name)?;
    Ok(user.and_then(|user| Owner::new(user.uid.as_raw(), user.gid.as_raw()).ok()))
}

fn name_of(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_number() {
        assert_eq!(Account::named("root").unwrap().switched(), Some(Owner::new(0, 0).unwrap()));
        assert_eq!(Account::named("4242").unwrap().name(), "4242");
        assert_eq!(Account::of(Owner::new(0, 0).unwrap(), None).name(), "root");
        assert_eq!(Account::of(Owner::new(4242, 7).unwrap(), Some("root")).name(), "4242");
        assert_eq!(Account::ours().switched(), None);
    }

    /// Peer: FetcherTest.InvalidUser.
    #[test]
    fn an_unknown_user_fails_as_the_chown_of_stock_does() {
        let error = Account::named("no-such-user-here").unwrap_err().to_string();
        assert!(error.contains("Failed to chown") && error.contains("no-such-user-here"), "{error}");
    }
}
