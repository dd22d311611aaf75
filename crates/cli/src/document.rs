//! Reading a definition: from a file or standard input to TaskInfos.

use std::io::Read;
use std::path::Path;

use marathon_app::json::DocumentKind;
use marathon_app::{BuildContext, PortPool, PortSource};
use mesos_proto::v1;
use serde_json::Value;

use crate::args::DefinitionArgs;
use crate::failure::Failure;

/// The largest definition that is read, in bytes.
const LARGEST: u64 = 8 << 20;

/// The tasks of a definition.
#[derive(Debug)]
pub(crate) struct Tasks {
    pub(crate) infos: Vec<v1::TaskInfo>,
    /// What the definition's author should know, one line each.
    pub(crate) notes: Vec<String>,
}

/// Reads the definition and makes its tasks, with host ports from `ports`.
///
/// # Errors
///
/// One line that names the file or the field.
pub(crate) fn read(args: &DefinitionArgs, ports: &mut dyn PortSource) -> Result<Tasks, Failure> {
    let text = load(&args.file)?;
    let shown = shown(&args.file);
    let failed = |error: marathon_app::AppError| Failure::of(&shown, &error);
    let value = marathon_app::json::parse(&text).map_err(failed)?;
    match marathon_app::json::document_kind(&value) {
        DocumentKind::TaskInfo => {
            let info = task_info(value, args).map_err(|failure| failure.within(&shown))?;
            Ok(Tasks { infos: vec![info], notes: Vec::new() })
        }
        DocumentKind::App => apps(&value, args, ports).map_err(failed),
    }
}

/// What a person calls a definition's place.
pub(crate) fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn load(file: &Path) -> Result<Vec<u8>, Failure> {
    let read = |input: &mut dyn Read| {
        let mut text = Vec::new();
        input.take(LARGEST + 1).read_to_end(&mut text).map(|_| text)
    };
    let text = if file == Path::new("-") {
        read(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(file).and_then(|mut file| read(&mut file))
    };
    let text = text.map_err(|error| Failure::of(format!("cannot read {}", shown(file)), &error))?;
    if text.len() as u64 > LARGEST {
        return Err(Failure::ours(format!("{} is larger than {} MB", shown(file), LARGEST >> 20))
            .hint("an app definition is a few kilobytes; is this the right file?"));
    }
    Ok(text)
}

fn task_info(value: Value, args: &DefinitionArgs) -> Result<v1::TaskInfo, Failure> {
    if args.instances.is_some_and(|instances| instances != 1) {
        return Err(Failure::ours("--instances is for app definitions; a TaskInfo is one task")
            .hint("remove --instances"));
    }
    let mut info: v1::TaskInfo = mesos_proto::json::from_json_filling(value, &["agent_id"])
        .map_err(|error| Failure::ours(crate::failure::chain(&error)))?;
    info.agent_id.value.clone_from(&args.agent_id);
    Ok(info)
}

fn apps(
    value: &Value,
    args: &DefinitionArgs,
    ports: &mut dyn PortSource,
) -> Result<Tasks, marathon_app::AppError> {
    let apps = marathon_app::parse_value(value)?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let version = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let mut service_ports = PortPool::new([PortPool::DEFAULT_SERVICE_PORTS]);
    let mut task_ids = |id: &marathon_app::AppId| id.task_id(&uuid::Uuid::new_v4().to_string());
    let mut tasks = Tasks { infos: Vec::new(), notes: Vec::new() };
    for app in &apps {
        let mut context = BuildContext {
            host: host.clone(),
            agent_id: args.agent_id.clone(),
            version: version.clone(),
            task_ids: &mut task_ids,
            host_ports: ports,
            service_ports: &mut service_ports,
        };
        let instances = args.instances.unwrap_or(app.instances);
        tasks.infos.extend(marathon_app::build_tasks(app, instances, &mut context)?);
        tasks.notes.extend(app.notes.iter().map(ToString::to_string));
    }
    Ok(tasks)
}
