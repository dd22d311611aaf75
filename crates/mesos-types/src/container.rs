//! The container a task asks for: image, network, ports, parameters.
//!
//! The rules are those of `Docker::RunOptions::create` (`src/docker/docker.cpp`) and `src/common/validation.cpp`.

use std::fmt;

use mesos_proto::v1;

use crate::fields::{FieldError, Notices};
use crate::linux::{self, LinuxSpec, Rlimit};
use crate::network::Network;
use crate::resources::TaskResources;
use crate::volume::{self, VolumeSpec};

/// The longest host name that Linux takes, in bytes.
const LONGEST_HOSTNAME: usize = 64;

/// The protocol of a port mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of the host that reaches a port of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortMapping {
    /// The host's port, one of the task's `ports` resource.
    pub host_port: u16,
    /// The container's port, not 0.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// One `docker run` option as `key` and `value`; the value may hold a secret and is not printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The long name of the option, without dashes.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Whether an image that is present is pulled all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Only a missing image is pulled.
    IfMissing,
    /// The image is pulled before every launch (`force_pull_image`).
    Always,
}

/// What the container is given besides the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The image reference as the framework wrote it.
    pub image: String,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// The network.
    pub network: Network,
    /// The port mappings, each checked against the task's ports.
    pub port_mappings: Vec<PortMapping>,
    /// Whether the container has all privileges.
    pub privileged: bool,
    /// The `docker run` options, in order.
    pub parameters: Vec<Parameter>,
    /// The mounts, in order, without the sandbox.
    pub volumes: Vec<VolumeSpec>,
    /// The host name, if not the engine's choice.
    pub hostname: Option<String>,
    /// Whether the process gets a terminal (`tty_info`).
    pub terminal: bool,
    /// Rows and columns of the terminal, if the task says.
    pub window_size: Option<(u32, u32)>,
    /// The resource limits of its processes, each name once.
    pub rlimits: Vec<Rlimit>,
    /// Capabilities, namespaces and shared memory.
    pub linux: LinuxSpec,
}

impl Protocol {
    /// The name that the engine and Mesos use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=<{} bytes>", self.key, self.value.len())
    }
}

impl ContainerSpec {
    /// Reads the container of a task with these `resources`.
    ///
    /// # Errors
    ///
    /// What stock fails, with its sentence, and what would change the task's meaning if it were dropped.
    pub(crate) fn from_proto(
        container: &v1::ContainerInfo,
        resources: &TaskResources,
        notices: &mut Notices,
    ) -> Result<Self, FieldError> {
        if v1::container_info::Type::try_from(container.r#type) != Ok(v1::container_info::Type::Docker) {
            return Err(FieldError::new("container.type", "the container is not of type DOCKER")
                .hint("set container.type to DOCKER and container.docker.image to an image"));
        }
        let Some(docker) = &container.docker else {
            return Err(FieldError::new(
                "container.docker",
                "a container of type DOCKER needs the docker message",
            ));
        };
        if docker.image.trim().is_empty() {
            return Err(FieldError::new("container.docker.image", "the image is empty").hint("name an image"));
        }
        let network = Network::from_proto(docker, container, notices)?;
        if container.hostname.is_some() && network == Network::Host {
            return Err(FieldError::new(
                "container.hostname",
                "Unable to set hostname with host network mode",
            )
            .hint("remove the hostname or use the network BRIDGE"));
        }
        let volumes = volume::volumes(&container.volumes, docker.volume_driver.as_deref(), notices)?;
        note_unused(container, notices)?;
        Ok(Self {
            image: docker.image.clone(),
            pull: if docker.force_pull_image() { PullPolicy::Always } else { PullPolicy::IfMissing },
            port_mappings: port_mappings(docker, &network, resources)?,
            network,
            privileged: docker.privileged(),
            parameters: parameters(docker)?,
            volumes,
            hostname: container.hostname.as_deref().map(hostname).transpose()?,
            terminal: container.tty_info.is_some(),
            window_size: container
                .tty_info
                .as_ref()
                .and_then(|tty| tty.window_size.as_ref())
                .map(|size| (size.rows, size.columns)),
            rlimits: container.rlimit_info.as_ref().map(linux::rlimits).transpose()?.unwrap_or_default(),
            linux: match &container.linux_info {
                Some(info) => LinuxSpec::from_proto(info, docker.privileged(), notices)?,
                None => LinuxSpec::default(),
            },
        })
    }
}

fn port_mappings(
    docker: &v1::container_info::DockerInfo,
    network: &Network,
    resources: &TaskResources,
) -> Result<Vec<PortMapping>, FieldError> {
    let mut mappings = Vec::with_capacity(docker.port_mappings.len());
    for (at, mapping) in docker.port_mappings.iter().enumerate() {
        let field = format!("container.docker.port_mappings[{at}]");
        if matches!(network, Network::Host | Network::None) {
            return Err(FieldError::new(
                field,
                "Port mappings are only supported for bridge and user-defined networks",
            )
            .hint("use the network BRIDGE, or remove the port mappings"));
        }
        if resources.ports.is_empty() {
            return Err(FieldError::new(field, "Port mappings require port resources"));
        }
        let number = |name: &str, value: u32, least: u16| {
            u16::try_from(value).ok().filter(|port| *port >= least).ok_or_else(|| {
                FieldError::new(
                    format!("{field}.{name}"),
                    format!("{value} is not a port between {least} and 65535"),
                )
            })
        };
        let host_port = number("host_port", mapping.host_port, 1)?;
        let container_port = number("container_port", mapping.container_port, 1)?;
        if !resources.ports.contains(host_port) {
            return Err(FieldError::new(
                format!("{field}.host_port"),
                format!("Port [{host_port}] not included in resources"),
            )
            .hint(format!("the task's ports are {}", resources.ports)));
        }
        let protocol = match mapping.protocol.as_deref().map(str::to_lowercase).as_deref() {
            None | Some("tcp") => Protocol::Tcp,
            Some("udp") => Protocol::Udp,
            Some("sctp") => Protocol::Sctp,
            Some(other) => {
                return Err(FieldError::new(
                    format!("{field}.protocol"),
                    format!("unknown protocol {other:?}"),
                )
                .hint("use tcp, udp or sctp"));
            }
        };
        mappings.push(PortMapping { host_port, container_port, protocol });
    }
    Ok(mappings)
}

fn parameters(docker: &v1::container_info::DockerInfo) -> Result<Vec<Parameter>, FieldError> {
    let mut parameters = Vec::with_capacity(docker.parameters.len());
    for (at, parameter) in docker.parameters.iter().enumerate() {
        let field = format!("container.docker.parameters[{at}]");
        if parameter.key == "name" {
            return Err(FieldError::new(
                field,
                "the parameter name is not allowed, since the container's name tracks it",
            )
            .hint("remove it; the parameter hostname names the host inside"));
        }
        if parameter.key.contains('\0') || parameter.value.contains('\0') {
            return Err(FieldError::new(field, "the parameter has a NUL character"));
        }
        parameters.push(Parameter { key: parameter.key.clone(), value: parameter.value.clone() });
    }
    Ok(parameters)
}

fn hostname(name: &str) -> Result<String, FieldError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || name.len() > LONGEST_HOSTNAME || !name.chars().all(legal) {
        return Err(FieldError::new("container.hostname", format!("{name:?} is not a host name"))
            .hint("use 1 to 64 letters, digits, hyphens and dots"));
    }
    Ok(name.to_owned())
}

/// Notes what stock accepts and ignores for Docker.
fn note_unused(container: &v1::ContainerInfo, notices: &mut Notices) -> Result<(), FieldError> {
    if container.mesos.is_some() {
        notices.note("container.mesos", "the container is of type DOCKER")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Strictness;
    use crate::ports::PortRanges;
    use v1::container_info::DockerInfo;
    use v1::container_info::docker_info::{Network as Wire, PortMapping as WirePort};

    fn read(container: &v1::ContainerInfo, ports: &[(u64, u64)]) -> Result<ContainerSpec, FieldError> {
        let resources =
            TaskResources { ports: PortRanges::new(ports.iter().copied()).unwrap(), ..Default::default() };
        ContainerSpec::from_proto(container, &resources, &mut Notices::new(Strictness::Lenient))
    }

    fn container(network: Option<Wire>) -> v1::ContainerInfo {
        let mut docker = DockerInfo { image: "busybox".into(), ..Default::default() };
        docker.network = network.map(Into::into);
        let mut container = v1::ContainerInfo { docker: Some(docker), ..Default::default() };
        container.set_type(v1::container_info::Type::Docker);
        container
    }

    fn with_port(network: Wire, host_port: u32, protocol: Option<&str>) -> v1::ContainerInfo {
        let mut given = container(Some(network));
        given.docker.as_mut().unwrap().port_mappings =
            vec![WirePort { host_port, container_port: 80, protocol: protocol.map(Into::into) }];
        given
    }

    #[test]
    fn a_hostname_needs_its_own_network() {
        let mut given = container(None);
        given.hostname = Some("web".into());
        assert!(
            read(&given, &[])
                .unwrap_err()
                .to_string()
                .starts_with("Unable to set hostname with host network mode")
        );
        given.docker.as_mut().unwrap().network = Some(Wire::Bridge.into());
        assert_eq!(read(&given, &[]).unwrap().hostname.as_deref(), Some("web"));
        given.hostname = Some("a b".into());
        assert!(read(&given, &[]).is_err());
    }

    /// Peer: DockerTest.ROOT_DOCKER_CheckPortResource.
    #[test]
    fn a_host_port_must_be_a_resource() {
        let given = with_port(Wire::Bridge, 10000, None);
        let error = read(&given, &[(9998, 9999), (10001, 11000)]).unwrap_err().to_string();
        assert!(error.starts_with("Port [10000] not included in resources"), "{error}");
        assert_eq!(read(&given, &[(10000, 11000)]).unwrap().port_mappings[0].host_port, 10000);
        assert!(
            read(&given, &[]).unwrap_err().to_string().starts_with("Port mappings require port resources")
        );
    }

    #[rstest::rstest]
    #[case(Wire::Host)]
    #[case(Wire::None)]
    fn port_mappings_need_a_network_of_their_own(#[case] network: Wire) {
        let error = read(&with_port(network, 10000, None), &[(1, 65535)]).unwrap_err().to_string();
        assert!(
            error.starts_with("Port mappings are only supported for bridge and user-defined networks"),
            "{error}"
        );
    }

    #[rstest::rstest]
    #[case(None, Some(Protocol::Tcp))]
    #[case(Some("UDP"), Some(Protocol::Udp))]
    #[case(Some("icmp"), None)]
    fn a_protocol_is_read_in_any_case(#[case] given: Option<&str>, #[case] expected: Option<Protocol>) {
        let spec = read(&with_port(Wire::Bridge, 10000, given), &[(1, 65535)]);
        assert_eq!(spec.ok().map(|s| s.port_mappings[0].protocol), expected);
    }

    #[rstest::rstest]
    #[case(0)]
    #[case(65536)]
    #[case(u32::MAX)]
    fn a_port_that_is_none_is_refused(#[case] port: u32) {
        assert!(read(&with_port(Wire::Bridge, port, None), &[(0, 65535)]).is_err());
    }

    /// Peer: TaskValidationTest.TaskSettingDockerParameterName.
    #[test]
    fn the_parameter_name_is_refused() {
        let mut given = container(None);
        given.docker.as_mut().unwrap().parameters =
            vec![v1::Parameter { key: "name".into(), value: "mine".into() }];
        assert_eq!(read(&given, &[]).unwrap_err().field(), "container.docker.parameters[0]");
    }

    /// Peer: TaskValidationTest.TaskMissingDockerInfo.
    #[test]
    fn a_docker_container_needs_the_docker_message() {
        let given = v1::ContainerInfo { docker: None, ..container(None) };
        assert_eq!(read(&given, &[]).unwrap_err().field(), "container.docker");
    }
}
