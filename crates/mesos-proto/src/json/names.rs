//! The names that differ between the v0 and v1 forms, and the nearest name to one that is wrong.

use std::borrow::Cow;

use prost_reflect::{EnumDescriptor, EnumValueDescriptor, FieldDescriptor, MessageDescriptor};

/// Fields by their v1 name and their v0 name.
const FIELDS: [(&str, &str); 2] = [("agent_id", "slave_id"), ("agent_info", "slave_info")];

/// Beginnings of enum values by their v1 name and their v0 name. Capabilities such as `AGENT_DRAINING` are the same in both.
const VALUES: [(&str, &str); 2] = [("REASON_AGENT_", "REASON_SLAVE_"), ("SOURCE_AGENT", "SOURCE_SLAVE")];

/// Fields that have no v1 name, as only the v0 message has them.
const V0_ONLY: [&str; 1] = ["mesos.v1.AgentInfo.checkpoint"];

/// A longer name is nobody's typing error, and comparing it would cost time that its sender chooses.
const LONGEST: usize = 64;

/// Which names the printed form has.
///
/// They differ in `slave_id`/`agent_id`, `slave_info`/`agent_info`, `REASON_SLAVE_*`/`REASON_AGENT_*` and
/// `SOURCE_SLAVE`/`SOURCE_AGENT` only. Messages without a v1 form, such as those of `mesos.internal`, keep their v0
/// names in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The names of `mesos.v1`, as in the v1 HTTP APIs.
    V1,
    /// The names of `mesos`, as in the agent's `/state` and the older APIs.
    V0,
}

/// The name of a field in the printed form; none if the form does not have it.
pub(super) fn field_name(field: &FieldDescriptor, names: Names) -> Option<&str> {
    let name = field.name();
    match names {
        Names::V1 if V0_ONLY.contains(&field.full_name()) => None,
        Names::V1 => Some(name),
        Names::V0 => Some(FIELDS.iter().find(|(v1, _)| *v1 == name).map_or(name, |(_, v0)| v0)),
    }
}

/// The name of an enum value in the printed form.
pub(super) fn value_name(value: &EnumValueDescriptor, names: Names) -> String {
    match names {
        Names::V1 => value.name().to_owned(),
        Names::V0 => swap_value(value.name(), |(v1, v0)| (v1, v0)).unwrap_or_else(|| value.name().to_owned()),
    }
}

/// The field that either name means.
pub(super) fn find_field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| {
        FIELDS.iter().find_map(|&(v1, v0)| {
            let other = if name == v1 {
                v0
            } else if name == v0 {
                v1
            } else {
                return None;
            };
            message.get_field_by_name(other)
        })
    })
}

/// The enum value that either name means.
pub(super) fn find_value(kind: &EnumDescriptor, name: &str) -> Option<EnumValueDescriptor> {
    kind.get_value_by_name(name).or_else(|| kind.get_value_by_name(&swap_value(name, |(v1, v0)| (v0, v1))?))
}

fn swap_value(
    name: &str,
    order: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Option<String> {
    VALUES.iter().find_map(|&pair| {
        let (from, to) = order(pair);
        name.strip_prefix(from).map(|rest| format!("{to}{rest}"))
    })
}

/// The known name that someone may have meant by a wrong one.
///
/// Case, dashes and camel case count for nothing; of the rest a third may be wrong.
pub(super) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = Cow<'a, str>>) -> Option<String> {
    if wrong.len() > LONGEST {
        return None;
    }
    let wrong = plain(wrong);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &plain(&name)), name))
        .filter(|(distance, name)| distance * 3 <= wrong.len().max(name.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.into_owned())
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DESCRIPTORS;

    #[test]
    fn suggests_what_was_meant() {
        let known = ["task_id", "agent_id", "container", "command"];
        let table = [
            ("taskId", Some("task_id")),
            ("task-id", Some("task_id")),
            ("TASK_ID", Some("task_id")),
            ("contianer", Some("container")),
            ("comand", Some("command")),
            ("zzz", None),
            ("", None),
        ];
        for (wrong, expected) in table {
            assert_eq!(nearest(wrong, known.map(Cow::from)).as_deref(), expected, "{wrong}");
        }
        assert_eq!(nearest(&"task_id".repeat(100_000), known.map(Cow::from)), None);
    }

    #[test]
    fn no_message_has_a_field_by_both_names() {
        for message in DESCRIPTORS.all_messages() {
            for (v1, v0) in FIELDS {
                assert!(
                    message.get_field_by_name(v1).is_none() || message.get_field_by_name(v0).is_none(),
                    "{} has {v1} and {v0}",
                    message.full_name(),
                );
            }
        }
    }

    #[test]
    fn what_only_v0_has_exists() {
        for name in V0_ONLY {
            let (message, field) = name.rsplit_once('.').unwrap();
            let message = DESCRIPTORS.get_message_by_name(message).unwrap();
            assert!(message.get_field_by_name(field).is_some(), "{name}");
        }
    }

    #[test]
    fn values_have_two_names_where_v0_and_v1_differ() {
        let reason = DESCRIPTORS.get_enum_by_name("mesos.v1.TaskStatus.Reason").unwrap();
        let removed = find_value(&reason, "REASON_SLAVE_REMOVED").unwrap();
        assert_eq!(removed.name(), "REASON_AGENT_REMOVED");
        assert_eq!(find_value(&reason, "REASON_AGENT_REMOVED").unwrap(), removed);
        assert_eq!(value_name(&removed, Names::V0), "REASON_SLAVE_REMOVED");
        assert_eq!(value_name(&removed, Names::V1), "REASON_AGENT_REMOVED");

        let capability = DESCRIPTORS.get_enum_by_name("mesos.v1.AgentInfo.Capability.Type").unwrap();
        let draining = find_value(&capability, "AGENT_DRAINING").unwrap();
        assert_eq!(value_name(&draining, Names::V0), "AGENT_DRAINING");
        assert!(find_value(&capability, "SLAVE_DRAINING").is_none());
    }
}
