//! Every place of a message that a resource can be in is visited: compared with the descriptors of the messages.

use mesos_proto::{Message, internal, v1};
use mesos_types::resource::HoldsResources;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};

/// Deeper than any message nests.
const DEPTH: usize = 12;

/// A message with one resource in every place that can have one, and their number; `None` where there is no such place.
fn full(kind: &MessageDescriptor, depth: usize) -> Option<(DynamicMessage, usize)> {
    let mut message = DynamicMessage::new(kind.clone());
    if kind.full_name() == "mesos.v1.Resource" {
        message.set_field_by_name("name", Value::String("cpus".into()));
        return Some((message, 1));
    }
    let mut count = 0;
    for field in kind.fields().filter(|field| !field.is_map()) {
        let Kind::Message(inner) = field.kind() else { continue };
        let Some((part, more)) = depth.checked_sub(1).and_then(|depth| full(&inner, depth)) else { continue };
        let value = Value::Message(part);
        message.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
        count += more;
    }
    (count > 0).then_some((message, count))
}

/// Checks that every resource of a full message is visited, once.
fn check<M: Message + ReflectMessage + Default + HoldsResources>() {
    let kind = M::default().descriptor();
    let (message, expected) =
        full(&kind, DEPTH).unwrap_or_else(|| panic!("{} holds no resource", kind.full_name()));
    let mut message: M = message.transcode_to().expect("the same type");
    let mut visited = 0;
    message.for_each_resource(&mut |resource| {
        assert_eq!(resource.name, "cpus", "{} visits a resource twice", kind.full_name());
        resource.name = "seen".into();
        visited += 1;
    });
    assert_eq!(visited, expected, "{}", kind.full_name());
}

#[test]
fn no_resource_of_a_message_is_left_out() {
    check::<v1::Resource>();
    check::<v1::AgentInfo>();
    check::<v1::ExecutorInfo>();
    check::<v1::TaskInfo>();
    check::<v1::TaskGroupInfo>();
    check::<v1::Task>();
    check::<v1::TaskStatus>();
    check::<v1::Offer>();
    check::<v1::Operation>();
    check::<v1::offer::Operation>();
    check::<internal::RegisterSlaveMessage>();
    check::<internal::ReregisterSlaveMessage>();
    check::<internal::RunTaskMessage>();
    check::<internal::RunTaskGroupMessage>();
    check::<internal::CheckpointResourcesMessage>();
    check::<internal::ApplyOperationMessage>();
    check::<internal::UpdateOperationStatusMessage>();
    check::<internal::UpdateOperationStatusRecord>();
    check::<internal::UpdateSlaveMessage>();
    check::<internal::StatusUpdateMessage>();
}
