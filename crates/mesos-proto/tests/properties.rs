//! Properties of the JSON form over any input: nothing panics, and what was read is printed and read again alike.
//!
//! Messages are made from the descriptors, so that every field of every message takes part. `PROPTEST_CASES` sets how
//! many cases there are.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use mesos_proto::{
    DESCRIPTORS, Message, executor, fetcher, internal,
    json::{Names, from_json, from_json_str, to_json, to_json_set},
    scheduler, slave,
    v1::{AgentInfo, ContainerInfo, ExecutorInfo, FrameworkInfo, Offer, ResourceUsage, TaskInfo, TaskStatus},
};
use proptest::{collection, prelude::*, sample::Index};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage};
use serde_json::{Map, Value, json};

/// How deep the made documents go before only required fields are filled.
const DEPTH: u32 = 5;

/// Any JSON, with words that mean something to Mesos among the keys and values.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "[a-z_]{0,12}",
        any::<String>(),
        Just("task_id".to_owned()),
        Just("slave_id".to_owned()),
        Just("agent_id".to_owned()),
        Just("value".to_owned()),
        Just("container".to_owned()),
        Just("Infinity".to_owned()),
        Just("REASON_SLAVE_REMOVED".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            collection::vec((word.clone(), inner), 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// A source of choices that proptest shrinks: a list of numbers, read in turn, then zeros.
struct Choices(std::vec::IntoIter<u64>);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0.next().unwrap_or(0)
    }
}

fn choices() -> impl Strategy<Value = Vec<u64>> {
    collection::vec(any::<u64>(), 0..400)
}

/// Makes a valid document for a message. No choices left means that only required fields are set.
fn document(kind: &MessageDescriptor, choices: &mut Choices, names: Names, depth: u32) -> Value {
    let mut members = Map::new();
    let mut taken = Vec::new();
    for field in kind.fields() {
        let wanted = depth < DEPTH && choices.next() % 3 == 1;
        if field.cardinality() != Cardinality::Required && !wanted {
            continue;
        }
        if let Some(oneof) = field.containing_oneof() {
            if taken.contains(&oneof.name().to_owned()) {
                continue;
            }
            taken.push(oneof.name().to_owned());
        }
        members.insert(name(&field, names), content(&field, choices, names, depth));
    }
    Value::Object(members)
}

fn name(field: &FieldDescriptor, names: Names) -> String {
    match (names, field.name()) {
        (Names::V0, "agent_id") => "slave_id".to_owned(),
        (Names::V0, "agent_info") => "slave_info".to_owned(),
        (_, name) => name.to_owned(),
    }
}

fn content(field: &FieldDescriptor, choices: &mut Choices, names: Names, depth: u32) -> Value {
    let count = choices.next() % 3 + 1;
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let value = entry.map_entry_value_field();
            (0..count).map(|n| (format!("key {n}"), single(&value.kind(), choices, names, depth))).collect()
        }
        kind if field.is_list() => (0..count).map(|_| single(&kind, choices, names, depth)).collect(),
        kind => single(&kind, choices, names, depth),
    }
}

fn single(kind: &Kind, choices: &mut Choices, names: Names, depth: u32) -> Value {
    // The low half as it is gives every 32-bit pattern.
    let half = |n: u64| u32::try_from(n & u64::from(u32::MAX)).unwrap();
    match kind {
        Kind::Message(kind) => document(kind, choices, names, depth + 1),
        Kind::Enum(kind) => {
            let index = usize::try_from(choices.next() % kind.values().len() as u64).unwrap();
            Value::from(kind.values().nth(index).unwrap().name())
        }
        Kind::Bool => json!(choices.next() % 2 == 1),
        Kind::Double => match f64::from_bits(choices.next()) {
            n if n.is_finite() => json!(n),
            // Not NaN, which equals nothing.
            n if n > 0.0 => json!("Infinity"),
            _ => json!("-Infinity"),
        },
        Kind::Int32 => json!(half(choices.next()).cast_signed()),
        Kind::Int64 => json!(choices.next().cast_signed()),
        Kind::Uint32 => json!(half(choices.next())),
        Kind::Uint64 => json!(choices.next()),
        Kind::String => json!(format!("text {}\u{0}\"é", choices.next() % 10)),
        Kind::Bytes => json!(["", "AA==", "AAE=", "/+8A"][usize::try_from(choices.next() % 4).unwrap()]),
        other => panic!("stock has no field of kind {other:?}"),
    }
}

/// Checks the round trips of a document that is valid for `M`.
fn goes_both_ways<M>(choices: Vec<u64>)
where
    M: ReflectMessage + Default + PartialEq,
{
    for names in [Names::V1, Names::V0] {
        let mut choices = Choices(choices.clone().into_iter());
        let json = document(&M::default().descriptor(), &mut choices, names, 0);
        let message: M = from_json(json.clone()).unwrap_or_else(|e| panic!("{e} in {json}"));
        assert!(M::decode(message.encode_to_vec().as_slice()).unwrap() == message, "bytes of {json}");
        for names in [Names::V1, Names::V0] {
            let printed = to_json_set(&message, names);
            let again: M = from_json(printed.clone()).unwrap_or_else(|e| panic!("{e} in {printed}"));
            // What only v0 has is not printed in v1, so that form may hold less.
            if names == Names::V0 {
                assert!(again == message, "{json} became {printed}");
            }
            assert_eq!(to_json_set(&again, names), printed);
            // The form with defaults says the same: setting a default again changes nothing in it.
            let full = to_json(&message, names);
            let again: M = from_json(full.clone()).unwrap_or_else(|e| panic!("{e} in {full}"));
            assert_eq!(to_json(&again, names), full);
        }
    }
}

/// Replaces, removes or adds something at a place in a document.
fn mutate(json: &mut Value, at: &[Index], value: Value) {
    match json {
        Value::Object(members) if !members.is_empty() && !at.is_empty() => {
            let key = members.keys().nth(at[0].index(members.len())).unwrap().clone();
            match value {
                Value::Null => {
                    members.shift_remove(&key);
                }
                Value::String(name) if at.len() == 1 => {
                    let old = members.shift_remove(&key).unwrap();
                    members.insert(name, old);
                }
                value => mutate(members.get_mut(&key).unwrap(), &at[1..], value),
            }
        }
        Value::Array(elements) if !elements.is_empty() && !at.is_empty() => {
            let index = at[0].index(elements.len());
            mutate(&mut elements[index], &at[1..], value);
        }
        other => *other = value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_read_or_refused(json in any_json()) {
        let errors = [from_json::<TaskInfo>(json.clone()).err(), from_json::<FrameworkInfo>(json).err()];
        for error in errors.into_iter().flatten() {
            let text = error.to_string();
            prop_assert!(text.starts_with('$') && text.starts_with(error.path()), "{}", text);
            prop_assert!(!text.contains('\n'), "{}", text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = from_json_str::<TaskInfo>(&text);
    }

    #[test]
    fn a_changed_task_is_read_or_refused(
        choices in choices(),
        at in collection::vec(any::<Index>(), 1..8),
        value in any_json(),
    ) {
        let mut json = document(&TaskInfo::default().descriptor(), &mut Choices(choices.into_iter()), Names::V1, 0);
        mutate(&mut json, &at, value);
        if let Ok(task) = from_json::<TaskInfo>(json) {
            prop_assert!(to_json(&task, Names::V0).is_object());
        }
    }

    #[test]
    fn any_bytes_that_are_a_task_can_be_printed(bytes in collection::vec(any::<u8>(), 0..64)) {
        if let Ok(task) = TaskInfo::decode(bytes.as_slice()) {
            prop_assert!(to_json(&task, Names::V1).is_object());
        }
    }

    #[test]
    fn tasks_go_both_ways(choices in choices()) { goes_both_ways::<TaskInfo>(choices) }

    #[test]
    fn what_frameworks_know_goes_both_ways(choices in choices()) {
        goes_both_ways::<TaskStatus>(choices.clone());
        goes_both_ways::<ExecutorInfo>(choices.clone());
        goes_both_ways::<ContainerInfo>(choices.clone());
        goes_both_ways::<FrameworkInfo>(choices.clone());
        goes_both_ways::<AgentInfo>(choices.clone());
        goes_both_ways::<Offer>(choices.clone());
        goes_both_ways::<scheduler::Call>(choices.clone());
        goes_both_ways::<executor::Event>(choices);
    }

    #[test]
    fn what_agents_know_goes_both_ways(choices in choices()) {
        goes_both_ways::<ResourceUsage>(choices.clone());
        goes_both_ways::<internal::ReregisterSlaveMessage>(choices.clone());
        goes_both_ways::<internal::RunTaskMessage>(choices.clone());
        goes_both_ways::<slave::ContainerLaunchInfo>(choices.clone());
        goes_both_ways::<slave::ContainerConfig>(choices.clone());
        goes_both_ways::<fetcher::FetcherInfo>(choices);
    }
}

#[test]
fn map_keys_are_strings() {
    for message in DESCRIPTORS.all_messages() {
        for field in message.fields().filter(FieldDescriptor::is_map) {
            let Kind::Message(entry) = field.kind() else {
                panic!("{} is a map of no entries", field.full_name())
            };
            assert_eq!(entry.map_entry_key_field().kind(), Kind::String, "{}", field.full_name());
        }
    }
}
