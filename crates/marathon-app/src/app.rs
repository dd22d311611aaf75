//! An app, valid by construction.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::command::{Command, read_command};
use crate::container::{self, Container, Opened, read_container};
use crate::env::read_env;
use crate::error::{AppError, JsonPath, Problem};
use crate::fetch::{Fetch, read_fetch};
use crate::health::{Check, HealthCheck, read_check, read_health_check};
use crate::id::AppId;
use crate::known_fields::APP;
use crate::networks::{Network, read_network};
use crate::notes::{Note, Notes};
use crate::ports::{Ports, read_ports};
use crate::reader::Object;
use crate::resources::{ResourceLimits, Resources, read_limits, read_resources};
use crate::volumes::{Volume, read_volumes};

/// The most seconds of a grace period, Marathon's int32.
const MAX_SECONDS: u32 = i32::MAX.unsigned_abs();

/// An app that can be turned into tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// Id.
    pub id: AppId,
    /// What runs.
    pub command: Command,
    /// User of the command, when named.
    pub user: Option<String>,
    /// What is asked for.
    pub resources: Resources,
    /// What may be used.
    pub limits: ResourceLimits,
    /// How many tasks; may be 0.
    pub instances: u32,
    /// Variables; they win over those that Marathon adds.
    pub env: BTreeMap<String, String>,
    /// Labels of the task.
    pub labels: BTreeMap<String, String>,
    /// What is fetched into the sandbox.
    pub fetch: Vec<Fetch>,
    /// What it runs in.
    pub container: Container,
    /// Volumes, in order.
    pub volumes: Vec<Volume>,
    /// Network.
    pub network: Network,
    /// Ports, in order.
    pub ports: Ports,
    /// The health check that runs on the agent.
    pub health_check: Option<HealthCheck>,
    /// The check that runs on the agent.
    pub check: Option<Check>,
    /// Time between stop signal and SIGKILL.
    pub kill_grace: Option<Duration>,
    /// Terminal.
    pub tty: Tty,
    /// Role that the resources are allocated to.
    pub role: Option<String>,
    /// What the user should know; one line each.
    pub notes: Vec<Note>,
    pub(crate) path: JsonPath,
}

/// Whether the command gets a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tty {
    /// Output is two streams.
    Absent,
    /// Output is one stream through a terminal.
    Attached,
}

impl App {
    /// Reads one app.
    pub(crate) fn read(value: &Value, path: JsonPath) -> Result<Self, AppError> {
        let mut notes = Notes::default();
        let app = Object::open(value, path, &APP, &mut notes)?;
        let id = match app.string("id")? {
            Some(id) => AppId::parse(id, &app.at("id"))?,
            None => {
                return Err(app
                    .at("id")
                    .error(Problem::Missing { needed: "the id of the app, such as /web" }));
            }
        };
        refuse_custom_executor(&app)?;
        let opened = container::open(&app, &mut notes)?;
        let container = read_container(&opened, &mut notes)?;
        let resources = read_resources(&app)?;
        let network = read_network(&app, &opened, &mut notes)?;
        let tty = read_tty(&app, &opened)?;
        let ports = read_ports(&app, &opened, &network, &mut notes)?;
        Ok(Self {
            id,
            command: read_command(&app, &container)?,
            user: app.filled_string("user")?.map(str::to_owned),
            resources,
            limits: read_limits(&app, resources, &mut notes)?,
            instances: app.integer("instances", 0..=MAX_SECONDS)?.unwrap_or(1),
            env: read_env(&app)?,
            labels: app.string_map("labels")?,
            fetch: read_fetch(&app, &mut notes)?,
            container,
            volumes: read_volumes(&opened, &mut notes)?,
            health_check: read_health_check(&app, &ports, &mut notes)?,
            check: read_check(&app, &ports, &mut notes)?,
            kill_grace: app
                .integer("taskKillGracePeriodSeconds", 0..=MAX_SECONDS)?
                .map(|seconds| Duration::from_secs(seconds.into())),
            tty,
            role: app.filled_string("role")?.map(str::to_owned),
            network,
            ports,
            notes: notes.into_vec(),
            path: app.path,
        })
    }
}

/// `tty`: whether there is a terminal, which only a Docker container has.
fn read_tty(app: &Object<'_>, opened: &Opened<'_>) -> Result<Tty, AppError> {
    match app.boolean("tty")? {
        None | Some(false) => Ok(Tty::Absent),
        Some(true) if opened.docker.is_some() => Ok(Tty::Attached),
        Some(true) => Err(app.at("tty").error(Problem::Refused {
            what: "terminals for apps without an image are not supported yet",
            remedy: "leave the field out, or run the command under script(1)",
        })),
    }
}

/// `executor` names a program to run instead of the command; only the default is possible here.
fn refuse_custom_executor(app: &Object<'_>) -> Result<(), AppError> {
    match app.string("executor")? {
        None | Some("" | "//cmd") => Ok(()),
        Some(_) => Err(app.at("executor").error(Problem::Refused {
            what: "custom executors are not supported in app definitions",
            remedy: "leave the field out",
        })),
    }
}
