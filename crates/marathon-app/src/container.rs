//! `container` and `container.docker`: what the app runs in, the image and how it is run.

use serde_json::Value;

use crate::error::{AppError, JsonPath, Problem, quote};
use crate::known_fields::{CONTAINER, DOCKER, PARAMETER};
use crate::notes::Notes;
use crate::reader::Object;

/// What an app runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Container {
    /// A Docker container.
    Docker(Docker),
    /// A process of the host, under `container.type` MESOS without an image.
    Mesos,
    /// A process of the host: the app has no container.
    Absent,
}

/// The Docker part of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    /// Image reference as written; its grammar is checked where images are pulled.
    pub image: String,
    /// Whether the registry is asked even if the image is here.
    pub force_pull: bool,
    /// Whether the container is privileged.
    pub privileged: bool,
    /// Options of `docker run`, in order.
    pub parameters: Vec<Parameter>,
}

/// An option of `docker run` without its dashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
}

/// The two objects that describe a container, as far as they are there: both for Docker, and never `docker` alone.
pub(crate) struct Opened<'v> {
    /// `container`.
    pub(crate) container: Option<Object<'v>>,
    /// `container.docker`.
    pub(crate) docker: Option<Object<'v>>,
}

/// The types of container in Marathon.
#[derive(Clone, Copy)]
enum ContainerType {
    Docker,
    Mesos,
}

impl Container {
    /// The Docker part, if it is a Docker container.
    pub fn docker(&self) -> Option<&Docker> {
        match self {
            Self::Docker(docker) => Some(docker),
            Self::Mesos | Self::Absent => None,
        }
    }
}

/// Opens `container` and `container.docker`. A container is Docker's unless its type says MESOS.
pub(crate) fn open<'v>(app: &Object<'v>, notes: &mut Notes) -> Result<Opened<'v>, AppError> {
    let Some(container) = app.object("container", &CONTAINER, notes)? else {
        return Ok(Opened { container: None, docker: None });
    };
    let kinds = [("DOCKER", ContainerType::Docker), ("MESOS", ContainerType::Mesos)];
    let kind = container.choice("type", &kinds)?.unwrap_or(ContainerType::Docker);
    let docker = container.object("docker", &DOCKER, notes)?;
    match (kind, &docker) {
        (ContainerType::Mesos, Some(_)) => Err(container.at("docker").error(Problem::Refused {
            what: "images in containers of type MESOS are not supported yet",
            remedy: "use type DOCKER",
        })),
        (ContainerType::Docker, None) => Err(container.at("docker").error(Problem::Missing {
            needed: "the image to run; without one use type MESOS, or leave the container out",
        })),
        (ContainerType::Mesos, None) | (ContainerType::Docker, Some(_)) => {
            Ok(Opened { container: Some(container), docker })
        }
    }
}

/// Reads what the app runs in.
pub(crate) fn read_container(opened: &Opened<'_>, notes: &mut Notes) -> Result<Container, AppError> {
    match (&opened.container, &opened.docker) {
        (_, Some(docker)) => read_docker(docker, notes).map(Container::Docker),
        (Some(_), None) => Ok(Container::Mesos),
        (None, None) => Ok(Container::Absent),
    }
}

/// Reads what concerns the image.
fn read_docker(docker: &Object<'_>, notes: &mut Notes) -> Result<Docker, AppError> {
    let Some(image) = docker.filled_string("image")? else {
        return Err(docker.at("image").error(Problem::Missing { needed: "the image to run" }));
    };
    if image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(docker.at("image").not_allowed(quote(image), "an image reference: it has a blank"));
    }
    let mut parameters = Vec::new();
    for (path, item) in docker.array("parameters")?.unwrap_or_default() {
        parameters.push(parameter(item, path, notes)?);
    }
    Ok(Docker {
        image: image.to_owned(),
        force_pull: docker.boolean("forcePullImage")?.unwrap_or(false),
        privileged: docker.boolean("privileged")?.unwrap_or(false),
        parameters,
    })
}

fn parameter(item: &Value, path: JsonPath, notes: &mut Notes) -> Result<Parameter, AppError> {
    let parameter = Object::open(item, path, &PARAMETER, notes)?;
    let Some(key) = parameter.filled_string("key")? else {
        return Err(parameter
            .at("key")
            .error(Problem::Missing { needed: "the name of a docker run option" }));
    };
    let Some(value) = parameter.string("value")? else {
        return Err(parameter
            .at("value")
            .error(Problem::Missing { needed: "the value of the option as a string" }));
    };
    Ok(Parameter { key: key.to_owned(), value: value.to_owned() })
}
