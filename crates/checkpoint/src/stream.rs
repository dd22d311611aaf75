//! What the two streams of status updates hold, `task.updates` and `operation.updates`: an entry for every update that
//! was accepted and one for every acknowledgement, in the order of their coming (`StatusUpdateRecord`,
//! `UpdateOperationStatusRecord`).

use mesos_proto::internal::{
    StatusUpdate, StatusUpdateRecord, UpdateOperationStatusMessage, UpdateOperationStatusRecord,
    status_update_record, update_operation_status_record,
};
use mesos_proto::v1::{self, OperationState, TaskState};
use prost::Message;
use uuid::Uuid;

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamRecord<U> {
    /// The update was accepted.
    Update(U),
    /// The update with this id was acknowledged.
    Acknowledged(Uuid),
}

/// An update that streams are made of.
pub trait Streamed: Sized + Clone + PartialEq + std::fmt::Debug {
    /// The entry on disk.
    type Wire: Message + Default;

    /// The entry as it is written.
    fn wire(record: &StreamRecord<Self>) -> Self::Wire;

    /// The entry as it was read.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    fn from_wire(wire: Self::Wire) -> Result<StreamRecord<Self>, String>;

    /// The update's id; `None` when it has none of 16 bytes.
    fn update_id(&self) -> Option<Uuid>;

    /// Whether nothing follows it.
    fn is_terminal(&self) -> bool;

    /// Whether it tells the same state as another one, so that losing one of them loses no change of state.
    fn same_state(&self, other: &Self) -> bool;

    /// Drops what is of no use once the update was acknowledged.
    fn shrink(&mut self) {}
}

impl Streamed for StatusUpdate {
    type Wire = StatusUpdateRecord;

    fn wire(record: &StreamRecord<Self>) -> StatusUpdateRecord {
        use status_update_record::Type;
        match record {
            StreamRecord::Update(update) => {
                StatusUpdateRecord { r#type: Type::Update.into(), update: Some(update.clone()), uuid: None }
            }
            StreamRecord::Acknowledged(uuid) => StatusUpdateRecord {
                r#type: Type::Ack.into(),
                update: None,
                uuid: Some(uuid.as_bytes().to_vec()),
            },
        }
    }

    fn from_wire(wire: StatusUpdateRecord) -> Result<StreamRecord<Self>, String> {
        use status_update_record::Type;
        match Type::try_from(wire.r#type) {
            Ok(Type::Update) => update(wire.update),
            Ok(Type::Ack) => acknowledged(wire.uuid.as_deref()),
            Err(_) => Err(format!("an entry has the unknown type {}", wire.r#type)),
        }
    }

    fn update_id(&self) -> Option<Uuid> {
        Uuid::from_slice(self.uuid.as_deref()?).ok()
    }

    fn is_terminal(&self) -> bool {
        TaskState::try_from(self.status.state).is_ok_and(is_terminal_task_state)
    }

    fn same_state(&self, other: &Self) -> bool {
        self.status.state == other.status.state
    }

    fn shrink(&mut self) {
        self.status.data = None;
    }
}

impl Streamed for UpdateOperationStatusMessage {
    type Wire = UpdateOperationStatusRecord;

    fn wire(record: &StreamRecord<Self>) -> UpdateOperationStatusRecord {
        use update_operation_status_record::Type;
        match record {
            StreamRecord::Update(update) => UpdateOperationStatusRecord {
                r#type: Type::Update.into(),
                update: Some(update.clone()),
                uuid: None,
            },
            StreamRecord::Acknowledged(uuid) => UpdateOperationStatusRecord {
                r#type: Type::Ack.into(),
                update: None,
                uuid: Some(v1::Uuid { value: uuid.as_bytes().to_vec() }),
            },
        }
    }

    fn from_wire(wire: UpdateOperationStatusRecord) -> Result<StreamRecord<Self>, String> {
        use update_operation_status_record::Type;
        match Type::try_from(wire.r#type) {
            Ok(Type::Update) => update(wire.update),
            Ok(Type::Ack) => acknowledged(wire.uuid.as_ref().map(|uuid| uuid.value.as_slice())),
            Err(_) => Err(format!("an entry has the unknown type {}", wire.r#type)),
        }
    }

    fn update_id(&self) -> Option<Uuid> {
        Uuid::from_slice(&self.status.uuid.as_ref()?.value).ok()
    }

    fn is_terminal(&self) -> bool {
        OperationState::try_from(self.status.state).is_ok_and(is_terminal_operation_state)
    }

    fn same_state(&self, other: &Self) -> bool {
        self.status.state == other.status.state
    }
}

/// Whether a task in this state runs no more (`protobuf::isTerminalState`).
#[must_use]
pub fn is_terminal_task_state(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskLost
        | TaskState::TaskError
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// Whether an operation in this state is over (`protobuf::isTerminalState`).
#[must_use]
pub fn is_terminal_operation_state(state: OperationState) -> bool {
    match state {
        OperationState::OperationFinished
        | OperationState::OperationFailed
        | OperationState::OperationError
        | OperationState::OperationDropped
        | OperationState::OperationGoneByOperator => true,
        OperationState::OperationUnsupported
        | OperationState::OperationPending
        | OperationState::OperationUnreachable
        | OperationState::OperationRecovering
        | OperationState::OperationUnknown => false,
    }
}

fn update<U: Streamed>(update: Option<U>) -> Result<StreamRecord<U>, String> {
    let update = update.ok_or("an entry for an update holds none")?;
    match update.update_id() {
        Some(_) => Ok(StreamRecord::Update(update)),
        None => Err("an update has no id of 16 bytes".to_owned()),
    }
}

fn acknowledged<U>(uuid: Option<&[u8]>) -> Result<StreamRecord<U>, String> {
    uuid.and_then(|uuid| Uuid::from_slice(uuid).ok())
        .map(StreamRecord::Acknowledged)
        .ok_or_else(|| "an acknowledgement has no id of 16 bytes".to_owned())
}
