//! The `supervision` record of a run: what the next process must know, written before the effect it tells of.
//!
//! It stands beside stock's checkpoint files in the run's meta directory, readable by us alone, since the task's
//! environment is in it. A record is replaced as a whole; one that cannot be read is reported with its path and left
//! where it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::engine::general_purpose::STANDARD;
use docker_containerizer::{Identity, Kill};
use docker_engine::EngineTime;
use mesos_proto::{Message, v1};
use mesos_types::{AgentId, ContainerId, ExecutorId, FrameworkId, TaskId};
use sandbox::{Durability, SandboxError};
use serde::{Deserialize, Serialize};

use crate::checking::ChecksRecord;
use crate::composing::Kind;
use crate::outcome::KillCause;

/// The record's file name.
const FILE: &str = "supervision";

/// The largest record that is read, in bytes: a TaskInfo with room for its form.
const LARGEST: u64 = 16 << 20;

/// The version of the record's form.
const SCHEMA: u32 = 1;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The launch was accepted; a container may exist under the run's name.
    Launching,
    /// The container was seen started.
    Running,
    /// The terminal status was made.
    Terminal,
}

/// A kill under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillRecord {
    /// Who wants it.
    pub cause: KillCause,
    /// When SIGKILL follows, in nanoseconds since 1970.
    pub deadline_ns: u64,
    /// The grace that ends then, in nanoseconds: a kill that is repeated with the same does not begin anew. Records of
    /// older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ns: Option<u64>,
    /// Whether the container has had its stop signal. Records of older versions have not seen it.
    #[serde(default)]
    pub signalled: bool,
}

/// The process of a container without an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its number.
    pub pid: u32,
    /// When it started, in nanoseconds since 1970.
    pub started_ns: u64,
}

/// What is known of a run.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    schema: u32,
    agent_id: AgentId,
    framework_id: FrameworkId,
    executor_id: ExecutorId,
    task_id: TaskId,
    container_id: ContainerId,
    /// The TaskInfo as it was received, unknown fields included.
    #[serde(with = "base64_bytes")]
    pub task_info: Vec<u8>,
    /// How far the run is.
    pub phase: Phase,
    /// Whether nothing was done for the task yet: the next process launches it. Records of older versions are written
    /// when something was.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_waiting: bool,
    /// Who has the container. Records of older versions are of Docker's.
    #[serde(default, skip_serializing_if = "is_docker")]
    pub containerizer: Kind,
    /// The container's name on the engine; of one without an engine its id.
    pub container_name: String,
    /// The engine's id, once it is known.
    pub engine_id: Option<String>,
    /// The engine's word for when the container started.
    pub started_at: Option<String>,
    /// The process of a container without an engine, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessRecord>,
    /// Which image runs, as statuses tell it. Records of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What the checks of the task said. Records of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<ChecksRecord>,
    /// The kill under way.
    pub kill: Option<KillRecord>,
    /// When the task has run for its longest time, in nanoseconds since 1970.
    pub completion_deadline_ns: Option<u64>,
    /// The terminal TaskStatus.
    #[serde(with = "optional_base64_bytes")]
    pub terminal_status: Option<Vec<u8>>,
    /// When the stopped container is removed, in nanoseconds since 1970.
    pub removal_ns: Option<u64>,
}

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error("cannot access the supervision record")]
    Access(#[from] SandboxError),
    /// The file is not a record.
    #[error("the supervision record {} cannot be read", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A newer version wrote it.
    #[error("the supervision record {} has version {found}, and this program reads version {SCHEMA}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl RecordError {
    /// Whether there is no record at all.
    pub fn is_missing(&self) -> bool {
        let Self::Access(error) = self else { return false };
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<std::io::Error>() {
                return error.kind() == std::io::ErrorKind::NotFound;
            }
            cause = error.source();
        }
        false
    }
}

/// Where a run's record is kept.
#[derive(Debug, Clone)]
pub struct RecordStore {
    dir: PathBuf,
}

impl Record {
    /// The record of a task that was accepted and that nothing was done for yet.
    pub fn waiting(identity: &Identity, task_info: Vec<u8>) -> Self {
        let name = identity.container_id.to_string();
        Self { is_waiting: true, ..Self::accepted(identity, task_info, name) }
    }

    /// The record of a launch without an engine that was accepted.
    pub fn plain(identity: &Identity, task_info: Vec<u8>) -> Self {
        let name = identity.container_id.to_string();
        Self { containerizer: Kind::Mesos, ..Self::accepted(identity, task_info, name) }
    }

    /// The record of a launch by Docker that was accepted.
    pub fn accepted(identity: &Identity, task_info: Vec<u8>, container_name: String) -> Self {
        Self {
            schema: SCHEMA,
            agent_id: identity.agent_id.clone(),
            framework_id: identity.framework_id.clone(),
            executor_id: identity.executor_id.clone(),
            task_id: identity.task_id.clone(),
            container_id: identity.container_id,
            task_info,
            phase: Phase::Launching,
            is_waiting: false,
            containerizer: Kind::Docker,
            container_name,
            engine_id: None,
            started_at: None,
            process: None,
            image: None,
            checks: None,
            kill: None,
            completion_deadline_ns: None,
            terminal_status: None,
            removal_ns: None,
        }
    }

    /// The terminal status, if the run has ended.
    pub fn end(&self) -> Option<v1::TaskStatus> {
        self.terminal_status.as_deref().and_then(|bytes| v1::TaskStatus::decode(bytes).ok())
    }

    /// Whose run it is.
    pub fn identity(&self) -> Identity {
        Identity {
            agent_id: self.agent_id.clone(),
            framework_id: self.framework_id.clone(),
            executor_id: self.executor_id.clone(),
            task_id: self.task_id.clone(),
            container_id: self.container_id,
        }
    }

    /// The start time, as the engine compares it.
    pub fn started_at(&self) -> Option<EngineTime> {
        self.started_at.as_deref().map(EngineTime::new)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("container_id", &self.container_id)
            .field("phase", &self.phase)
            .field("engine_id", &self.engine_id)
            .field("kill", &self.kill)
            .finish_non_exhaustive()
    }
}

impl KillRecord {
    /// A kill from now on.
    pub fn now(cause: KillCause, kill: Kill) -> Self {
        Self {
            cause,
            deadline_ns: unix_ns(SystemTime::now() + kill.grace.min(Duration::from_secs(1 << 32))),
            grace_ns: Some(u64::try_from(kill.grace.as_nanos()).unwrap_or(u64::MAX)),
            signalled: false,
        }
    }

    /// The grace that it was given, `own` where the record does not tell.
    pub fn grace(&self, own: Duration) -> Duration {
        self.grace_ns.map_or(own, Duration::from_nanos)
    }

    /// What is left of the kill.
    pub fn left(&self) -> Kill {
        let now = unix_ns(SystemTime::now());
        Kill { grace: Duration::from_nanos(self.deadline_ns.saturating_sub(now)) }
    }
}

impl RecordStore {
    /// The store in a run's state directory, which must exist to write.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Replaces the record. Blocks on the file system.
    ///
    /// The file is not synced: it matters after a crash of this process, and a machine that lost power has lost the
    /// container it tells of.
    ///
    /// # Errors
    ///
    /// The file system's, with the path.
    pub fn write(&self, record: &Record) -> Result<(), RecordError> {
        let bytes = serde_json::to_vec(record)
            .map_err(|source| RecordError::Corrupt { path: self.dir.join(FILE), source })?;
        Ok(sandbox::write_atomic(&self.dir, FILE, &bytes, 0o600, Durability::Process)?)
    }

    /// Reads the record. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// A file that is missing, no record, or a newer version's.
    pub fn read(&self) -> Result<Record, RecordError> {
        let path = self.dir.join(FILE);
        let bytes = sandbox::read_bounded(&path, LARGEST)?;
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let corrupt = |source| RecordError::Corrupt { path: path.clone(), source };
        let version: Version = serde_json::from_slice(&bytes).map_err(corrupt)?;
        if version.schema != SCHEMA {
            return Err(RecordError::Newer { path, found: version.schema });
        }
        serde_json::from_slice(&bytes).map_err(corrupt)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_docker(kind: &Kind) -> bool {
    *kind == Kind::Docker
}

/// A point in time in nanoseconds since 1970.
pub(crate) fn unix_ns(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

mod base64_bytes {
    use base64::Engine as _;

    use super::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(de::Error::custom)
    }
}

mod optional_base64_bytes {
    use base64::Engine as _;

    use super::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| STANDARD.decode(text).map_err(de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let identity = Identity {
            agent_id: "local".parse().unwrap(),
            framework_id: "f".parse().unwrap(),
            executor_id: "e".parse().unwrap(),
            task_id: "t".parse().unwrap(),
            container_id: "c9b9bba0-a5f9-4d3c-8a0b-1f9d6ee4a1b2".parse().unwrap(),
        };
        Record::accepted(&identity, vec![0, 255, 7], "mesos-local-x".into())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = RecordStore::new(dir.path());
        let mut record = record();
        record.terminal_status = Some(vec![1, 2]);
        record.image = Some("reg.test/app@sha256:00".into());
        record.kill = Some(KillRecord {
            cause: KillCause::HealthCheck,
            deadline_ns: 7,
            grace_ns: Some(9),
            signalled: true,
        });
        store.write(&record).unwrap();
        assert_eq!(store.read().unwrap(), record);
    }

    /// The form of version 1, as it is on the disks of agents that run.
    #[test]
    fn version_1_reads_as_it_was_written() {
        let text = include_str!("../tests/data/supervision-1.json");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let read = RecordStore::new(dir.path()).read().unwrap();
        assert_eq!(read.task_info, [0, 255, 7]);
        assert_eq!(read.phase, Phase::Running);
        assert_eq!(read.image, None);
        assert_eq!(read.kill.map(|kill| kill.cause), Some(KillCause::CompletionTime));
        // What came later is absent.
        assert_eq!(read.checks, None);
        let kill = read.kill.unwrap();
        assert_eq!((kill.grace_ns, kill.signalled), (None, false));
        assert_eq!(kill.grace(Duration::from_secs(3)), Duration::from_secs(3));
    }

    /// The same version with checks, and with a kill that remembers its grace; written again it is the same.
    #[test]
    fn version_1_with_checks_reads_as_it_was_written() {
        let text = include_str!("../tests/data/supervision-1-checks.json");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let store = RecordStore::new(dir.path());
        let read = store.read().unwrap();
        let checks = read.checks.clone().unwrap();
        assert_eq!((checks.health.consecutive_failures, checks.healthy), (2, Some(false)));
        let kill = read.kill.unwrap();
        assert_eq!((kill.cause, kill.signalled), (KillCause::HealthCheck, true));
        assert_eq!(kill.grace(Duration::ZERO), Duration::from_millis(500));
        store.write(&read).unwrap();
        let written: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join(FILE)).unwrap()).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    /// The same version of a task without an image; written again it is the same. A program that knows no such tasks reads
    /// it as one of a container that is gone.
    #[test]
    fn version_1_without_an_engine_reads_as_it_was_written() {
        let text = include_str!("../tests/data/supervision-1-plain.json");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let store = RecordStore::new(dir.path());
        let read = store.read().unwrap();
        assert_eq!((read.containerizer, read.is_waiting), (Kind::Mesos, false));
        assert_eq!(read.process, Some(ProcessRecord { pid: 4711, started_ns: 1_900_000_000_000_000_000 }));
        store.write(&read).unwrap();
        let written: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.path().join(FILE)).unwrap()).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn a_task_that_waits_is_told_from_one_that_was_begun() {
        let dir = tempfile::tempdir().unwrap();
        let store = RecordStore::new(dir.path());
        let begun = record();
        let waiting = Record::waiting(&begun.identity(), begun.task_info.clone());
        store.write(&waiting).unwrap();
        assert!(store.read().unwrap().is_waiting);
        store.write(&begun).unwrap();
        assert!(!store.read().unwrap().is_waiting);
    }

    #[test]
    fn a_record_that_is_not_there_is_told_from_one_that_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let store = RecordStore::new(dir.path());
        assert!(store.read().unwrap_err().is_missing());
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(!store.read().unwrap_err().is_missing());
    }

    #[rstest::rstest]
    #[case("", "cannot be read")]
    #[case("{\"schema\": 1}", "cannot be read")]
    #[case("{\"schema\": 2}", "version 2")]
    fn a_record_that_cannot_be_used_names_its_file(#[case] text: &str, #[case] why: &str) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let error = RecordStore::new(dir.path()).read().unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(FILE), "{error}");
    }

    #[test]
    fn a_deadline_that_has_passed_leaves_no_grace() {
        assert_eq!(
            KillRecord { cause: KillCause::Framework, deadline_ns: 1, grace_ns: None, signalled: false }
                .left()
                .grace,
            Duration::ZERO
        );
        let kill = KillRecord::now(KillCause::Framework, Kill { grace: Duration::MAX });
        assert!(kill.left().grace > Duration::from_secs(1 << 30));
    }
}
