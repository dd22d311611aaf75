//! What a rule allows, and matching a value with it.

/// What a rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Everything.
    Any,
    /// What the task's resources hold.
    Resources,
    /// These, and nothing if there are none. One that ends in `*` stands for all that begin as it does.
    Only(Vec<String>),
}

impl Setting {
    /// Whether everything is allowed.
    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }

    /// Whether a value is allowed.
    pub fn allows(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Resources => false,
            Self::Only(list) => list.iter().any(|entry| matches(entry, value)),
        }
    }
}

/// Whether an entry of a list stands for a value. A beginning stands for nothing that goes up again.
fn matches(entry: &str, value: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(beginning) => value.strip_prefix(beginning).is_some_and(|rest| !rest.contains("..")),
        None => entry == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(&["a"], "a", true)]
    #[case(&["a"], "ab", false)]
    #[case(&["a*"], "ab", true)]
    #[case(&["a*"], "ba", false)]
    #[case(&["*"], "", true)]
    #[case(&["/a/*"], "/a/b", true)]
    #[case(&["/a/*"], "/a/../b", false)]
    #[case(&[], "a", false)]
    #[case(&[""], "a", false)]
    fn an_entry_stands_for_itself_or_for_a_beginning(
        #[case] list: &[&str],
        #[case] value: &str,
        #[case] expected: bool,
    ) {
        let setting = Setting::Only(list.iter().map(|&one| one.to_owned()).collect());
        assert_eq!(setting.allows(value), expected);
        assert!(Setting::Any.allows(value) && !Setting::Resources.allows(value));
    }
}
