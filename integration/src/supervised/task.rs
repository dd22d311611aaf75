//! Owns writing a TaskInfo in a line.

use std::time::Duration;

use mesos_proto::v1;
use mesos_proto::v1::container_info::{DockerInfo, Type, docker_info};

use crate::images::TestImage;

/// A task to launch: by default a shell command on the host's network, with 0.1 CPUs and 64 MB.
#[derive(Debug, Clone)]
pub struct Task {
    info: v1::TaskInfo,
    owner: Option<String>,
}

/// The network of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net<'a> {
    /// The host's own.
    Host,
    /// The engine's bridge.
    Bridge,
    /// Loopback only.
    None,
    /// A network by name.
    User(&'a str),
}

impl Task {
    /// Runs a command line with `/bin/sh -c`.
    pub fn shell(line: &str) -> Self {
        Self::with_command(v1::CommandInfo { value: Some(line.into()), ..Default::default() })
    }

    /// Runs the image's ENTRYPOINT with these arguments in place of its CMD.
    pub fn arguments(arguments: &[&str]) -> Self {
        Self::with_command(v1::CommandInfo {
            shell: Some(false),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            ..Default::default()
        })
    }

    /// Runs what the image says.
    pub fn image_default() -> Self {
        Self::arguments(&[])
    }

    /// Runs this command.
    pub fn with_command(command: v1::CommandInfo) -> Self {
        let docker = DockerInfo { image: TestImage::Busybox.reference().into(), ..Default::default() };
        let mut container = v1::ContainerInfo { docker: Some(docker), ..Default::default() };
        container.set_type(Type::Docker);
        let info = v1::TaskInfo {
            name: "test".into(),
            task_id: v1::TaskId { value: format!("test-{}", uuid::Uuid::new_v4().simple()) },
            command: Some(command),
            container: Some(container),
            ..Default::default()
        };
        Self { info, owner: None }.scalar("cpus", 0.1).scalar("mem", 64.0)
    }

    /// Returns the TaskInfo.
    pub fn info(&self) -> &v1::TaskInfo {
        &self.info
    }

    /// Returns the user that owns the sandbox.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Changes the TaskInfo by hand.
    #[must_use]
    pub fn change(mut self, change: impl FnOnce(&mut v1::TaskInfo)) -> Self {
        change(&mut self.info);
        self
    }

    /// Sets the task's id.
    #[must_use]
    pub fn id(self, id: &str) -> Self {
        self.change(|info| id.clone_into(&mut info.task_id.value))
    }

    /// Sets the image.
    #[must_use]
    pub fn image(self, image: TestImage) -> Self {
        self.image_named(image.reference())
    }

    /// Sets the image by reference.
    #[must_use]
    pub fn image_named(self, reference: &str) -> Self {
        self.docker(|docker| reference.clone_into(&mut docker.image))
    }

    /// Changes the Docker part by hand.
    #[must_use]
    pub fn docker(self, change: impl FnOnce(&mut DockerInfo)) -> Self {
        self.container(|container| change(container.docker.get_or_insert_default()))
    }

    /// Changes the container by hand.
    #[must_use]
    pub fn container(self, change: impl FnOnce(&mut v1::ContainerInfo)) -> Self {
        self.change(|info| change(info.container.get_or_insert_default()))
    }

    /// Adds a `docker run` option.
    #[must_use]
    pub fn parameter(self, key: &str, value: &str) -> Self {
        self.docker(|docker| docker.parameters.push(v1::Parameter { key: key.into(), value: value.into() }))
    }

    /// Sets a resource that is an amount, in place of the one before.
    #[must_use]
    pub fn scalar(self, name: &str, value: f64) -> Self {
        self.change(|info| {
            info.resources.retain(|resource| resource.name != name);
            info.resources.push(v1::Resource {
                name: name.into(),
                r#type: v1::value::Type::Scalar.into(),
                scalar: Some(v1::value::Scalar { value }),
                ..Default::default()
            });
        })
    }

    /// Sets a limit; infinity is one.
    #[must_use]
    pub fn limit(self, name: &str, value: f64) -> Self {
        self.change(|info| {
            info.limits.insert(name.into(), v1::value::Scalar { value });
        })
    }

    /// Allocates all resources to a role.
    #[must_use]
    pub fn role(self, role: &str) -> Self {
        self.change(|info| {
            for resource in &mut info.resources {
                resource.allocation_info = Some(v1::resource::AllocationInfo { role: Some(role.into()) });
            }
        })
    }

    /// Adds a range to the ports resource.
    #[must_use]
    pub fn ports(self, begin: u64, end: u64) -> Self {
        self.change(|info| {
            info.resources.push(v1::Resource {
                name: "ports".into(),
                r#type: v1::value::Type::Ranges.into(),
                ranges: Some(v1::value::Ranges { range: vec![v1::value::Range { begin, end }] }),
                ..Default::default()
            });
        })
    }

    /// Sets the network.
    #[must_use]
    pub fn network(self, network: Net<'_>) -> Self {
        let mode = match network {
            Net::Host => docker_info::Network::Host,
            Net::Bridge => docker_info::Network::Bridge,
            Net::None => docker_info::Network::None,
            Net::User(_) => docker_info::Network::User,
        };
        let task = self.docker(|docker| docker.set_network(mode));
        match network {
            Net::User(name) => task.container(|container| {
                container
                    .network_infos
                    .push(v1::NetworkInfo { name: Some(name.into()), ..Default::default() });
            }),
            Net::Host | Net::Bridge | Net::None => task,
        }
    }

    /// Maps a port of the host to one of the container.
    #[must_use]
    pub fn map(self, host_port: u16, container_port: u16) -> Self {
        self.docker(|docker| {
            docker.port_mappings.push(docker_info::PortMapping {
                host_port: host_port.into(),
                container_port: container_port.into(),
                protocol: Some("tcp".into()),
            });
        })
    }

    /// Mounts a path of the host.
    #[must_use]
    pub fn mount(self, host_path: &str, container_path: &str, mode: v1::volume::Mode) -> Self {
        self.volume(v1::Volume {
            mode: mode.into(),
            container_path: container_path.into(),
            host_path: Some(host_path.into()),
            ..Default::default()
        })
    }

    /// Adds a volume.
    #[must_use]
    pub fn volume(self, volume: v1::Volume) -> Self {
        self.container(|container| container.volumes.push(volume))
    }

    /// Sets the grace between the stop signal and SIGKILL.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        self.change(|info| info.kill_policy = Some(v1::KillPolicy { grace_period: Some(period(grace)) }))
    }

    /// Sets the longest time that the task may run.
    #[must_use]
    pub fn max_completion(self, longest: Duration) -> Self {
        self.change(|info| info.max_completion_time = Some(period(longest)))
    }

    /// Sets the user that owns the sandbox, as a framework's user does.
    #[must_use]
    pub fn owned_by(mut self, user: &str) -> Self {
        self.owner = Some(user.to_owned());
        self
    }
}

fn period(duration: Duration) -> v1::DurationInfo {
    v1::DurationInfo { nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
}
