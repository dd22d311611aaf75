//! Copies of messages that may be shown to anyone.

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};

/// The message whose field `value` holds a secret's content.
const SECRET: &str = "mesos.v1.Secret";

/// A copy without the content of secrets: of every `Secret` in it, the type and the reference are left.
///
/// A message that is nested more than 100 levels deep becomes the default; prost decodes no such message.
pub fn without_secrets<M: ReflectMessage + Clone + Default>(message: &M) -> M {
    let kind = message.descriptor();
    if !may_hold(&kind) {
        return message.clone();
    }
    let mut dynamic = DynamicMessage::new(kind);
    let copied = dynamic.transcode_from(message);
    strip(&mut dynamic);
    copied.ok().and_then(|()| dynamic.transcode_to().ok()).unwrap_or_default()
}

/// Whether a message of this kind can have a secret somewhere in it.
fn may_hold(kind: &MessageDescriptor) -> bool {
    let mut seen = vec![kind.clone()];
    let mut at = 0;
    while let Some(kind) = seen.get(at).cloned() {
        if kind.full_name() == SECRET {
            return true;
        }
        for field in kind.fields() {
            if let Kind::Message(inner) = field.kind()
                && !seen.contains(&inner)
            {
                seen.push(inner);
            }
        }
        at += 1;
    }
    false
}

fn strip(message: &mut DynamicMessage) {
    if message.descriptor().full_name() == SECRET {
        message.clear_field_by_name("value");
    }
    for (_, value) in message.fields_mut() {
        strip_value(value);
    }
}

fn strip_value(value: &mut Value) {
    match value {
        Value::Message(message) => strip(message),
        Value::List(list) => list.iter_mut().for_each(strip_value),
        Value::Map(map) => map.values_mut().for_each(strip_value),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{
        CommandInfo, ContainerInfo, Environment, ExecutorInfo, FrameworkInfo, Secret, Volume,
        environment::Variable, secret, volume,
    };

    #[test]
    fn secrets_lose_their_content_wherever_they_are() {
        let secret = || Secret {
            r#type: Some(secret::Type::Value.into()),
            reference: Some(secret::Reference { name: "n".to_owned(), key: None }),
            value: Some(secret::Value { data: b"hunter2".to_vec() }),
        };
        let variable = Variable { name: "V".to_owned(), secret: Some(secret()), ..Variable::default() };
        let source = volume::Source { secret: Some(secret()), ..volume::Source::default() };
        let executor = ExecutorInfo {
            command: Some(CommandInfo {
                environment: Some(Environment { variables: vec![variable] }),
                ..CommandInfo::default()
            }),
            container: Some(ContainerInfo {
                volumes: vec![Volume { source: Some(source), ..Volume::default() }],
                ..ContainerInfo::default()
            }),
            ..ExecutorInfo::default()
        };
        let shown = without_secrets(&executor);
        let variable = &shown.command.as_ref().unwrap().environment.as_ref().unwrap().variables[0];
        let source = shown.container.as_ref().unwrap().volumes[0].source.as_ref().unwrap();
        for secret in [variable.secret.as_ref().unwrap(), source.secret.as_ref().unwrap()] {
            assert_eq!(secret.value, None);
            assert_eq!(secret.reference.as_ref().unwrap().name, "n");
        }
        assert_eq!(variable.name, "V");
    }

    #[test]
    fn what_has_no_secret_is_the_same() {
        let executor = ExecutorInfo { name: Some("e".to_owned()), ..ExecutorInfo::default() };
        assert_eq!(without_secrets(&executor), executor);
        let framework = FrameworkInfo { name: "f".to_owned(), ..FrameworkInfo::default() };
        assert!(!may_hold(&framework.descriptor()));
        assert_eq!(without_secrets(&framework), framework);
    }
}
