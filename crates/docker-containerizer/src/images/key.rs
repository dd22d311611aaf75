//! What makes two pulls the same.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use docker_engine::{Credentials, ImageRef};

/// One pull is shared by all who ask for the same reference and platform with the same credentials. Who has other
/// credentials pulls on its own: what one may have, another may not.
///
/// `Debug` shows no secret, since that of [`Credentials`] shows none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullKey {
    reference: Arc<str>,
    platform: Option<Arc<str>>,
    credentials: Option<Arc<Credentials>>,
}

impl PullKey {
    pub(crate) fn new(image: &ImageRef, platform: Option<&str>, credentials: Option<Credentials>) -> Self {
        Self {
            reference: image.canonical().into(),
            platform: platform.map(Into::into),
            credentials: credentials.map(Arc::new),
        }
    }

    pub(crate) fn platform(&self) -> Option<&str> {
        self.platform.as_deref()
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_deref()
    }
}

/// Equal keys have equal references; credentials stay out of it, so that no hash of a secret is anywhere.
impl Hash for PullKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reference.hash(state);
        self.platform.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docker_engine::Credentials;

    fn key(image: &str, platform: Option<&str>, user: Option<&str>) -> PullKey {
        let credentials =
            user.map(|user| Credentials { username: user.to_owned(), ..Credentials::default() });
        PullKey::new(&image.parse().unwrap(), platform, credentials)
    }

    #[test]
    fn spellings_of_one_image_are_one_pull_and_credentials_are_not() {
        assert_eq!(key("busybox", None, None), key("docker.io/library/busybox:latest", None, None));
        assert_eq!(key("a", None, Some("u")), key("a", None, Some("u")));
        for other in [
            key("a:2", None, Some("u")),
            key("a", Some("linux/arm64"), Some("u")),
            key("a", None, Some("v")),
            key("a", None, None),
        ] {
            assert_ne!(key("a", None, Some("u")), other);
        }
    }
}
