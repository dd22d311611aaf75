//! The id of an app: a path such as `/shop/web`.

use std::fmt;

use crate::error::{AppError, JsonPath, quote};

/// The most characters of an id. A task id is the id and a UUID, and becomes the name of a directory (at most 255).
const MAX_LENGTH: usize = 200;

/// Last segments that Marathon's own URLs use.
const RESERVED: [&str; 3] = ["restart", "tasks", "versions"];

/// A valid app id, kept as its segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AppId(Vec<String>);

impl AppId {
    /// Reads an id (Marathon `PathId`): segments between slashes, each of lower-case letters, digits, dashes and
    /// dots, no dash or dot at the ends of what is between dots. A relative id counts from the root.
    pub(crate) fn parse(text: &str, path: &JsonPath) -> Result<Self, AppError> {
        let segments: Vec<String> =
            text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let Some(last) = segments.last() else { return Err(path.invalid("an id needs at least one name")) };
        if RESERVED.contains(&last.as_str()) {
            return Err(
                path.not_allowed(quote(text), "allowed: its last name is one of restart, tasks, versions")
            );
        }
        if let Some(bad) = segments.iter().find(|segment| !is_segment(segment)) {
            return Err(path.not_allowed(
                quote(bad),
                "a name of an id: lower-case letters, digits, dots and dashes, no dash or dot at an end",
            ));
        }
        if segments.iter().map(|segment| segment.len() + 1).sum::<usize>() > MAX_LENGTH {
            return Err(path.invalid(format!("an id has at most {MAX_LENGTH} characters")));
        }
        Ok(Self(segments))
    }

    /// The name for service discovery: the segments in reverse, `web.shop`.
    pub fn hostname(&self) -> String {
        let mut names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        names.reverse();
        names.join(".")
    }

    /// The task id that Marathon gives a task of this app: `shop_web.<unique>`.
    pub fn task_id(&self, unique: &str) -> String {
        format!("{}.{unique}", self.0.join("_"))
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

/// One segment: names joined by dots.
fn is_segment(segment: &str) -> bool {
    segment.split('.').all(|name| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !name.is_empty() && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AppId, String> {
        AppId::parse(text, &JsonPath::root().key("id")).map_err(|error| error.to_string())
    }

    #[test]
    fn good_ids_have_their_forms() {
        let id = parse("/shop/db.v1/my-web").unwrap();
        assert_eq!(id.to_string(), "/shop/db.v1/my-web");
        assert_eq!(id.hostname(), "my-web.db.v1.shop");
        assert_eq!(id.task_id("u"), "shop_db.v1_my-web.u");
        assert_eq!(parse("web/").unwrap().to_string(), "/web");
    }

    #[test]
    fn bad_ids_are_named() {
        for text in
            ["", "/", "//", "/Shop", "/a b", "/a/../b", "/.", "/-a", "/a-", "/a..b", "/a_b", "/ä", "/tasks"]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&"a".repeat(199)).is_ok());
        assert_eq!(parse(&"a".repeat(200)).unwrap_err(), "$.id: an id has at most 200 characters");
    }
}
