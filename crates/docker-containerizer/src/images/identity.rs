//! Which image it was that ran: what a registry knows it by, or what this host does.

use std::fmt;

use docker_engine::{ImageDetails, ImageRef};

/// The image that a container was made from: `repository@sha256:…` as its registry knows it, or the image's id where
/// no registry does (an image that was built or loaded here).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageIdentity(String);

impl ImageIdentity {
    /// The identity of an image that was looked at under this reference. An image may have digests of several
    /// repositories and, of one repository, of several manifests with the same content; the one that was asked for
    /// goes first.
    pub(crate) fn of(image: &ImageRef, details: &ImageDetails) -> Self {
        let digests = details.repo_digests.iter().filter_map(|text| {
            let digest = ImageRef::parse(text).ok()?;
            let is_same = digest.registry() == image.registry() && digest.path() == image.path();
            is_same.then_some((text, digest))
        });
        let mut digests: Vec<_> = digests.collect();
        digests.sort_by_key(|(_, digest)| image.digest().is_none_or(|asked| digest.digest() != Some(asked)));
        Self(digests.first().map_or(&details.id, |(text, _)| *text).clone())
    }

    /// The identity of which only the image's id is known.
    pub(crate) fn of_id(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// As a status tells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    #[rstest::rstest]
    #[case::the_repository("reg.test:5000/a:1", &["b", "reg.test:5000/a"], Some("reg.test:5000/a@1"))]
    #[case::the_default_registry("library/busybox", &["busybox"], Some("busybox@0"))]
    #[case::another_repository("reg.test/a", &["reg.test/b"], None)]
    #[case::never_pulled("reg.test/a", &[], None)]
    fn the_registrys_digest_goes_before_the_id(
        #[case] image: &str,
        #[case] repositories: &[&str],
        #[case] expected: Option<&str>,
    ) {
        let digests = |(at, name): (usize, &&str)| {
            format!("{name}@{}", digest(char::from_digit(u32::try_from(at).unwrap(), 10).unwrap()))
        };
        let mut details = ImageDetails::default();
        details.id = digest('f');
        details.repo_digests = repositories.iter().enumerate().map(digests).collect();
        let identity = ImageIdentity::of(&image.parse().unwrap(), &details);
        let expected = expected.map_or(digest('f'), |short| {
            let (name, at) = short.split_once('@').unwrap();
            format!("{name}@{}", digest(at.chars().next().unwrap()))
        });
        assert_eq!(identity.as_str(), expected);
    }

    #[test]
    fn the_digest_that_was_asked_for_goes_first() {
        let mut details = ImageDetails::default();
        details.repo_digests = vec![format!("a@{}", digest('1')), format!("a@{}", digest('2'))];
        let asked = format!("a@{}", digest('2'));
        assert_eq!(ImageIdentity::of(&asked.parse().unwrap(), &details).as_str(), asked);
    }
}
