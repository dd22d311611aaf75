//! `container` and `container.docker`: the image and how it is run.

use serde_json::Value;

use crate::error::{AppError, JsonPath, Problem, quote};
use crate::known_fields::{CONTAINER, DOCKER, PARAMETER};
use crate::notes::Notes;
use crate::reader::Object;

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

/// The two objects that describe a Docker container.
pub(crate) struct Opened<'v> {
    /// `container`.
    pub(crate) container: Object<'v>,
    /// `container.docker`.
    pub(crate) docker: Object<'v>,
}

/// The types of container in Marathon.
#[derive(Clone, Copy)]
enum ContainerType {
    Docker,
    Mesos,
}

/// Opens `container` and `container.docker`; an app without them is no Docker app and is refused.
pub(crate) fn open<'v>(app: &Object<'v>, notes: &mut Notes) -> Result<Opened<'v>, AppError> {
    let missing = |path: JsonPath| {
        path.error(Problem::Missing {
            needed: "container.docker.image, since only Docker tasks can run here yet",
        })
    };
    let Some(container) = app.object("container", &CONTAINER, notes)? else {
        return Err(missing(app.at("container")));
    };
    let kind =
        container.choice("type", &[("DOCKER", ContainerType::Docker), ("MESOS", ContainerType::Mesos)])?;
    if let Some(ContainerType::Mesos) = kind {
        return Err(container.at("type").error(Problem::Refused {
            what: "containers of type MESOS are not supported yet",
            remedy: "use DOCKER with container.docker.image",
        }));
    }
    match container.object("docker", &DOCKER, notes)? {
        Some(docker) => Ok(Opened { container, docker }),
        None => Err(missing(container.at("docker"))),
    }
}

/// Reads what concerns the image.
pub(crate) fn read_docker(docker: &Object<'_>, notes: &mut Notes) -> Result<Docker, AppError> {
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
