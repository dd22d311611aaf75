//! The spellings of a registry's address.

use docker_engine::ImageRef;

/// The address under which the docker client keeps Docker Hub's credentials, and which helpers are asked for.
const HUB_ADDRESS: &str = "https://index.docker.io/v1/";

/// The host of Docker Hub in image references.
const HUB: &str = "docker.io";

/// Spellings of Docker Hub's host in configs.
const HUB_SPELLINGS: [&str; 4] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", HUB];

/// The registry that an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registry {
    host: String,
}

impl Registry {
    /// The registry of an image; `None` for an image id.
    pub(super) fn of(image: &ImageRef) -> Option<Self> {
        Some(Self { host: host_of(image.registry()?) })
    }

    /// Host and port, as people and messages name it.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The address as the docker client writes it: what an entry is called that it made, and what helpers are asked.
    pub(super) fn address(&self) -> &str {
        if self.host == HUB { HUB_ADDRESS } else { &self.host }
    }

    /// Whether an address in a config names this registry.
    pub(super) fn is_named_by(&self, address: &str) -> bool {
        self.host.eq_ignore_ascii_case(&host_of(address))
    }
}

/// The host and port of an address, without scheme and path; one spelling for Docker Hub.
fn host_of(address: &str) -> String {
    let address =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let host = address.split('/').next().unwrap_or(address);
    if HUB_SPELLINGS.contains(&host) { HUB.to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Peer: DockerSpecTest.ParseAuthUrl.
    #[rstest]
    #[case("https://a.test:5000/v1/", "a.test:5000")]
    #[case("https://a.test:5000/v1", "a.test:5000")]
    #[case("http://a.test", "a.test")]
    #[case("http://a.test:443/v2/x", "a.test:443")]
    #[case("a.test:80/x/y", "a.test:80")]
    #[case("a.test", "a.test")]
    #[case("localhost:5000/", "localhost:5000")]
    #[case("[::1]:5000/v2/", "[::1]:5000")]
    #[case("https://index.docker.io/v1/", "docker.io")]
    #[case("https://registry-1.docker.io", "docker.io")]
    #[case("", "")]
    fn an_address_is_reduced_to_its_host(#[case] address: &str, #[case] host: &str) {
        assert_eq!(host_of(address), host);
    }

    #[rstest]
    #[case("busybox", "docker.io", "https://index.docker.io/v1/")]
    #[case("index.docker.io/team/app", "docker.io", "https://index.docker.io/v1/")]
    #[case("reg.test:5000/a/b:1", "reg.test:5000", "reg.test:5000")]
    #[case("localhost/a", "localhost", "localhost")]
    fn an_image_has_the_registry_that_the_engine_would_ask(
        #[case] image: &str,
        #[case] host: &str,
        #[case] address: &str,
    ) {
        let registry = Registry::of(&ImageRef::parse(image).unwrap()).unwrap();
        assert_eq!((registry.host(), registry.address()), (host, address));
    }

    #[test]
    fn a_port_is_part_of_the_name() {
        let registry = Registry::of(&ImageRef::parse("reg.test:5000/a").unwrap()).unwrap();
        assert!(registry.is_named_by("https://REG.test:5000/v2/"));
        assert!(!registry.is_named_by("reg.test"));
        assert!(!registry.is_named_by("reg.test:50001"));
        assert!(!registry.is_named_by("reg.test.evil:5000"));
    }
}
