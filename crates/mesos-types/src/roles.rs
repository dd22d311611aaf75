//! The names of roles (Mesos `src/common/roles.cpp`, `validate`).

/// The role of resources that anyone may have.
pub const ANY: &str = "*";

/// A name that no role can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not the name of a role: {rule}")]
pub struct RoleError {
    name: String,
    rule: &'static str,
}

/// Checks the name of a role: `*`, or words between slashes.
///
/// # Errors
///
/// A name that is empty, begins or ends with a slash, or has a word that is empty, `.`, `..` or `*`, begins with a
/// dash, or has white space, a backslash or a control character in it.
pub fn validate(name: &str) -> Result<(), RoleError> {
    if name == ANY {
        return Ok(());
    }
    let refuse = |rule| Err(RoleError { name: name.chars().take(64).collect(), rule });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.starts_with('/') || name.ends_with('/') {
        return refuse("it begins or ends with a slash");
    }
    for word in name.split('/') {
        match word {
            "" => return refuse("it has two slashes next to each other"),
            "." | ".." => return refuse("a part of it is a directory reference"),
            "*" => return refuse("* is a role of its own"),
            _ if word.starts_with('-') => return refuse("a part of it begins with a dash"),
            _ if word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') => {
                return refuse("it has white space, a backslash or a control character");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether `role` is `ancestor` or below it.
pub fn is_within(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether `role` is below `ancestor` and another one.
pub fn is_strictly_within(role: &str, ancestor: &str) -> bool {
    role != ancestor && is_within(role, ancestor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("*", true)]
    #[case("foo", true)]
    #[case("a/b-c/d", true)]
    #[case("...", true)]
    #[case("a*", true)]
    #[case("", false)]
    #[case(".", false)]
    #[case("..", false)]
    #[case("-foo", false)]
    #[case("a/-b", false)]
    #[case("/a", false)]
    #[case("a/", false)]
    #[case("a//b", false)]
    #[case("a/../b", false)]
    #[case("a/*", false)]
    #[case("*/a", false)]
    #[case("a b", false)]
    #[case("a\\b", false)]
    #[case("a\tb", false)]
    #[case("a\u{7f}b", false)]
    fn names(#[case] name: &str, #[case] is_good: bool) {
        assert_eq!(validate(name).is_ok(), is_good, "{name:?}");
    }

    #[test]
    fn a_role_is_within_its_parents_only() {
        assert!(is_within("a/b", "a") && is_within("a", "a") && !is_within("ab", "a"));
        assert!(is_strictly_within("a/b", "a") && !is_strictly_within("a", "a"));
    }
}
