//! A create request while parameters are put into it.
//!
//! Most options set one field at once. What depends on several options (networks, the health check, the log driver, the
//! CPU limit) is collected here and put together at the end, as the docker client does, so that the order of the
//! parameters does not matter.

use std::collections::BTreeMap;
use std::path::Path;

use docker_engine::create_body::HealthConfig;
use docker_engine::{ApiVersion, CreateBody};
use mesos_types::{FieldError, Notice, Parameter};

use super::error::{Bad, Subject};
use super::files::FileParameter;
use super::network::Attachment;
use super::row::{Grammar, Row};
use super::{health, logging, network, number, resources, security, table};
use crate::request::MountPoint;

/// The most parameters of one task, so that no list that is searched grows long. Stock is bound by the length of a
/// command line.
const MOST: usize = 4096;

/// What the translation must know beside the request.
#[derive(Debug, Clone, Copy)]
pub(in crate::request) struct Context<'a> {
    /// The API version that is spoken with the engine.
    pub(in crate::request) api: ApiVersion,
    /// The sandbox's path on the host.
    pub(in crate::request) sandbox: &'a Path,
}

/// What parameters leave beside the request.
#[derive(Debug, Clone, Default)]
pub(in crate::request) struct Outcome {
    /// The places in the sandbox that must exist before the request is sent.
    pub(in crate::request) mount_points: Vec<MountPoint>,
    /// The files to be read before the request is sent.
    pub(in crate::request) files: Vec<FileParameter>,
    /// What is accepted without effect.
    pub(in crate::request) notices: Vec<Notice>,
}

/// The request, and what is not put into it yet.
pub(super) struct Draft<'a> {
    pub(super) body: &'a mut CreateBody,
    pub(super) context: Context<'a>,
    pub(super) outcome: Outcome,
    /// The place of the parameter that is being read.
    pub(super) at: usize,
    /// The networks that parameters name; they replace those of Mesos.
    pub(super) networks: Vec<Attachment>,
    /// What options without a network's name say of the first network.
    pub(super) first: Attachment,
    pub(super) health: HealthConfig,
    pub(super) no_healthcheck: bool,
    /// Whether the image's own health check stays.
    pub(super) image_healthcheck: bool,
    pub(super) log_driver: Option<String>,
    pub(super) log_options: BTreeMap<String, String>,
    pub(super) nano_cpus: Option<i64>,
    pub(super) cpu_period: Option<i64>,
    pub(super) cpu_quota: Option<i64>,
    /// How many ports were named.
    pub(super) ports: usize,
}

/// Puts parameters into a request, in their order.
///
/// # Errors
///
/// The parameter that cannot be translated, with the reason.
pub(in crate::request) fn apply(
    body: &mut CreateBody,
    parameters: &[Parameter],
    context: Context<'_>,
) -> Result<Outcome, FieldError> {
    if parameters.len() > MOST {
        let reason = format!("the task has {} parameters", parameters.len());
        return Err(
            FieldError::new("container.docker.parameters", reason).hint(format!("at most {MOST} are taken"))
        );
    }
    let asked = security::Asked::take(body);
    let mut draft = Draft {
        body,
        context,
        outcome: Outcome::default(),
        at: 0,
        networks: Vec::new(),
        first: Attachment::default(),
        health: HealthConfig::default(),
        no_healthcheck: false,
        image_healthcheck: false,
        log_driver: None,
        log_options: BTreeMap::new(),
        nano_cpus: None,
        cpu_period: None,
        cpu_quota: None,
        ports: 0,
    };
    for (at, parameter) in parameters.iter().enumerate() {
        draft.at = at;
        let (key, value) = split(parameter);
        let subject = Subject { at, key, value: &value };
        draft.read(subject)?;
    }
    network::finish(&mut draft)?;
    health::finish(&mut draft)?;
    logging::finish(&mut draft)?;
    resources::finish(&mut draft)?;
    security::finish(&mut draft, asked)?;
    Ok(draft.outcome)
}

/// Whether a parameter sets one of these options, by whatever spelling.
pub(in crate::request) fn sets(parameter: &Parameter, names: &[&str]) -> bool {
    let (key, _) = split(parameter);
    table::find(key).is_some_and(|row| names.contains(&row.name))
}

/// The key and the value, as `--key=value` is split on a command line: at the first equals sign.
fn split(parameter: &Parameter) -> (&str, String) {
    match parameter.key.split_once('=') {
        Some((key, begin)) => (key, format!("{begin}={}", parameter.value)),
        None => (&parameter.key, parameter.value.clone()),
    }
}

impl Draft<'_> {
    fn read(&mut self, subject: Subject<'_>) -> Result<(), FieldError> {
        let Some(row) = table::find(subject.key) else {
            return Err(subject.unknown(table::advice(subject.key)));
        };
        let has = self.context.api;
        if let Some(needs) = row.since.filter(|needs| *needs > has) {
            return Err(subject.too_old("", needs, has));
        }
        self.set(row, subject.value)
            .map_err(|bad| subject.bad(bad, &row.grammar.expected(), row.secrecy, has))
    }

    fn set(&mut self, row: &Row, value: &str) -> Result<(), Bad> {
        match row.grammar {
            Grammar::Bool(set) => set(self, number::boolean(value).ok_or(Bad::Form)?),
            Grammar::Text(_, of) => value.clone_into(of(self)),
            Grammar::Item(_, of) => of(self).push(value.to_owned()),
            Grammar::Integer(set) => set(self, number::integer(value).ok_or(Bad::Form)?),
            Grammar::Size(set) => set(self, number::size(value).ok_or(Bad::Form)?),
            Grammar::Duration(set) => set(self, number::duration(value).ok_or(Bad::Form)?),
            Grammar::Own(_, set) => set(self, value)?,
            Grammar::Inert(values, refusal) => {
                let taken = values.iter().any(|inert| {
                    *inert == value
                        || number::boolean(inert).is_some_and(|inert| number::boolean(value) == Some(inert))
                });
                if !taken {
                    return Err(Bad::Refused(refusal));
                }
            }
            Grammar::Refused(refusal) => return Err(Bad::Refused(refusal)),
        }
        Ok(())
    }

    /// Refuses a part of a value that needs a newer engine.
    pub(super) fn needs(&self, part: &'static str, minor: u16) -> Result<(), Bad> {
        let needs = ApiVersion::new(1, minor);
        if self.context.api < needs { Err(Bad::TooOld { part, needs }) } else { Ok(()) }
    }

    /// Says that the parameter that is being read has no effect.
    pub(super) fn notice(&mut self, what: &str) {
        let field = format!("container.docker.parameters[{}]", self.at);
        self.outcome.notices.push(Notice::new(field, what));
    }
}
