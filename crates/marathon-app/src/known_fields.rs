//! Every field of Marathon's app definition (1.0 to 1.11, old and new forms, and what its API adds when it prints
//! one) with what becomes of it here. A field that is not in these tables is a misspelling.

use crate::known_fields::Role::{NoEffect, Read, Refused};

/// The fields of one object of the definition.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The object in words, for hints: `container.docker`.
    pub(crate) name: &'static str,
    /// Its fields.
    pub(crate) fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: &'static str,
    /// What becomes of it.
    pub(crate) role: Role,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// It is read.
    Read,
    /// It concerns the scheduler only, or is printed by Marathon and not read.
    NoEffect(Kind, &'static str),
    /// Dropping it would change what the app does.
    Refused(&'static str, &'static str),
}

/// The JSON type of a field that is not read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An array.
    Array,
    /// An object.
    Object,
    /// An object, or a word instead of it.
    ObjectOrWord,
    /// `true` or `false`.
    Flag,
    /// A number.
    Number,
    /// A string.
    Word,
}

/// The app itself.
pub(crate) const APP: Schema = Schema {
    name: "",
    fields: &[
        field("id", Read),
        field("cmd", Read),
        field("args", Read),
        field("user", Read),
        field("cpus", Read),
        field("mem", Read),
        field("disk", Read),
        field("gpus", Read),
        field("resourceLimits", Read),
        field("instances", Read),
        field("env", Read),
        field("labels", Read),
        field("fetch", Read),
        field("uris", Read),
        field("container", Read),
        field("networks", Read),
        field("ipAddress", Read),
        field("ports", Read),
        field("portDefinitions", Read),
        field("requirePorts", Read),
        field("healthChecks", Read),
        field("check", Read),
        field("taskKillGracePeriodSeconds", Read),
        field("tty", Read),
        field("role", Read),
        field("executor", Read),
        field(
            "secrets",
            Refused("secrets are not supported yet", "put the value into env or a mounted file"),
        ),
        field("residency", Refused("resident tasks are not supported yet", "use a host path volume")),
        field("storeUrls", Refused("the artifact store no longer exists", "use fetch")),
        field("acceptedResourceRoles", NoEffect(Kind::Array, "")),
        field("backoffFactor", NoEffect(Kind::Number, "")),
        field("backoffSeconds", NoEffect(Kind::Number, "")),
        field("constraints", NoEffect(Kind::Array, "")),
        field("dependencies", NoEffect(Kind::Array, "")),
        field("executorResources", NoEffect(Kind::Object, "")),
        field("killSelection", NoEffect(Kind::Word, "")),
        field("maxLaunchDelaySeconds", NoEffect(Kind::Number, "")),
        field("readinessChecks", NoEffect(Kind::Array, "")),
        field("taskRateLimit", NoEffect(Kind::Number, "")),
        field("unreachableStrategy", NoEffect(Kind::ObjectOrWord, "")),
        field("upgradeStrategy", NoEffect(Kind::Object, "")),
        field("version", NoEffect(Kind::Word, "")),
        field("versionInfo", NoEffect(Kind::Object, "")),
        field("tasksStaged", NoEffect(Kind::Number, "")),
        field("tasksRunning", NoEffect(Kind::Number, "")),
        field("tasksHealthy", NoEffect(Kind::Number, "")),
        field("tasksUnhealthy", NoEffect(Kind::Number, "")),
        field("deployments", NoEffect(Kind::Array, "")),
        field("readinessCheckResults", NoEffect(Kind::Array, "")),
        field("tasks", NoEffect(Kind::Array, "")),
        field("lastTaskFailure", NoEffect(Kind::Object, "")),
        field("taskStats", NoEffect(Kind::Object, "")),
    ],
};

/// `container`.
pub(crate) const CONTAINER: Schema = Schema {
    name: "container",
    fields: &[
        field("type", Read),
        field("docker", Read),
        field("volumes", Read),
        field("portMappings", Read),
        field("appc", Refused("AppC images are not supported", "use container.docker.image")),
        field(
            "linuxInfo",
            Refused(
                "it is for type MESOS, and not supported yet",
                "use type DOCKER with container.docker.parameters: cap-add, ipc, shm-size",
            ),
        ),
    ],
};

/// `container.docker`.
pub(crate) const DOCKER: Schema = Schema {
    name: "container.docker",
    fields: &[
        field("image", Read),
        field("forcePullImage", Read),
        field("privileged", Read),
        field("parameters", Read),
        field("network", Read),
        field("portMappings", Read),
        field(
            "pullConfig",
            Refused(
                "its value is a secret, and secrets are not supported yet",
                "give registry credentials by --docker_config or fetch a docker.tar.gz",
            ),
        ),
        field(
            "credential",
            NoEffect(
                Kind::Object,
                "nor in Marathon for type DOCKER; use --docker_config or fetch a docker.tar.gz",
            ),
        ),
    ],
};

/// An element of `container.docker.parameters`.
pub(crate) const PARAMETER: Schema =
    Schema { name: "container.docker.parameters[]", fields: &[field("key", Read), field("value", Read)] };

/// An element of `container.volumes`.
pub(crate) const VOLUME: Schema = Schema {
    name: "container.volumes[]",
    fields: &[
        field("containerPath", Read),
        field("hostPath", Read),
        field("mode", Read),
        field("persistent", Read),
        field("external", Read),
        field("secret", Read),
    ],
};

/// `container.volumes[].external`.
pub(crate) const EXTERNAL: Schema = Schema {
    name: "container.volumes[].external",
    fields: &[
        field("name", Read),
        field("provider", Read),
        field("options", Read),
        field("size", Read),
        field(
            "shared",
            NoEffect(
                Kind::Flag,
                "one machine runs all tasks that share it, and the driver decides whether it can be",
            ),
        ),
    ],
};

/// An element of `container.portMappings` or `container.docker.portMappings`.
pub(crate) const PORT_MAPPING: Schema = Schema {
    name: "container.portMappings[]",
    fields: &[
        field("containerPort", Read),
        field("hostPort", Read),
        field("servicePort", Read),
        field("protocol", Read),
        field("name", Read),
        field("labels", Read),
        field("networkNames", Read),
    ],
};

/// An element of `portDefinitions`.
pub(crate) const PORT_DEFINITION: Schema = Schema {
    name: "portDefinitions[]",
    fields: &[field("port", Read), field("protocol", Read), field("name", Read), field("labels", Read)],
};

/// An element of `networks`.
pub(crate) const NETWORK: Schema =
    Schema { name: "networks[]", fields: &[field("mode", Read), field("name", Read), field("labels", Read)] };

/// `ipAddress`, the form before `networks`.
pub(crate) const IP_ADDRESS: Schema = Schema {
    name: "ipAddress",
    fields: &[
        field("networkName", Read),
        field("labels", Read),
        field("discovery", Read),
        field("groups", NoEffect(Kind::Array, "nor in Marathon")),
    ],
};

/// `ipAddress.discovery`.
pub(crate) const IP_DISCOVERY: Schema =
    Schema { name: "ipAddress.discovery", fields: &[field("ports", Read)] };

/// An element of `ipAddress.discovery.ports`.
pub(crate) const IP_DISCOVERY_PORT: Schema = Schema {
    name: "ipAddress.discovery.ports[]",
    fields: &[field("number", Read), field("name", Read), field("protocol", Read), field("labels", Read)],
};

/// An element of `fetch`.
pub(crate) const FETCH: Schema = Schema {
    name: "fetch[]",
    fields: &[
        field("uri", Read),
        field("extract", Read),
        field("executable", Read),
        field("cache", Read),
        field("destPath", Read),
    ],
};

/// `resourceLimits`.
pub(crate) const RESOURCE_LIMITS: Schema =
    Schema { name: "resourceLimits", fields: &[field("cpus", Read), field("mem", Read)] };

/// An element of `healthChecks`.
pub(crate) const HEALTH_CHECK: Schema = Schema {
    name: "healthChecks[]",
    fields: &[
        field("protocol", Read),
        field("path", Read),
        field("port", Read),
        field("portIndex", Read),
        field("command", Read),
        field("ipProtocol", Read),
        field("gracePeriodSeconds", Read),
        field("intervalSeconds", Read),
        field("timeoutSeconds", Read),
        field("delaySeconds", Read),
        field("maxConsecutiveFailures", Read),
        field("ignoreHttp1xx", Read),
    ],
};

/// `healthChecks[].command`.
pub(crate) const HEALTH_COMMAND: Schema =
    Schema { name: "healthChecks[].command", fields: &[field("value", Read)] };

/// `check`.
pub(crate) const CHECK: Schema = Schema {
    name: "check",
    fields: &[
        field("http", Read),
        field("tcp", Read),
        field("exec", Read),
        field("intervalSeconds", Read),
        field("timeoutSeconds", Read),
        field("delaySeconds", Read),
    ],
};

/// `check.http`.
pub(crate) const CHECK_HTTP: Schema = Schema {
    name: "check.http",
    fields: &[field("portIndex", Read), field("path", Read), field("scheme", Read)],
};

/// `check.tcp`.
pub(crate) const CHECK_TCP: Schema = Schema { name: "check.tcp", fields: &[field("portIndex", Read)] };

/// `check.exec`.
pub(crate) const CHECK_EXEC: Schema = Schema { name: "check.exec", fields: &[field("command", Read)] };

/// `check.exec.command`.
pub(crate) const CHECK_COMMAND: Schema =
    Schema { name: "check.exec.command", fields: &[field("shell", Read), field("argv", Read)] };

/// The longest name, in bytes, that is compared with the known ones: the time for it grows with its length.
const LONGEST_TYPO: usize = 64;

/// Names that people use for a field, where no similarity would find it.
const SYNONYMS: [(&str, &str); 8] = [
    ("command", "cmd"),
    ("memory", "mem"),
    ("cpu", "cpus"),
    ("environment", "env"),
    ("gpu", "gpus"),
    ("replicas", "instances"),
    ("killGracePeriodSeconds", "taskKillGracePeriodSeconds"),
    ("network", "networks"),
];

const fn field(name: &'static str, role: Role) -> Field {
    Field { name, role }
}

impl Schema {
    /// The field called `name`.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// What `name`, which is no field of this object, was perhaps meant to be.
    pub(crate) fn hint(&self, name: &str) -> Option<String> {
        if name.len() > LONGEST_TYPO {
            return None;
        }
        let mean = |name: &str| Some(format!("did you mean {name:?}?"));
        let typo = self
            .fields
            .iter()
            .map(|field| (strsim::osa_distance(&field.name.to_lowercase(), &name.to_lowercase()), field.name))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, field)| *distance <= 2.min(field.len() / 3));
        if let Some((_, field)) = typo {
            return mean(field);
        }
        if let Some((_, field)) =
            SYNONYMS.iter().find(|(word, field)| *word == name && self.field(field).is_some())
        {
            return mean(field);
        }
        for schema in [&APP, &CONTAINER, &DOCKER] {
            if schema.field(name).is_some() {
                let place = if schema.name.is_empty() { "the app itself" } else { schema.name };
                return Some(format!("it belongs into {place}"));
            }
        }
        self.fields
            .iter()
            .map(|field| (strsim::jaro_winkler(field.name, name), field.name))
            .filter(|(score, _)| *score > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .and_then(|(_, field)| mean(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_field_that_was_meant() {
        for (schema, name, hint) in [
            (&DOCKER, "imagee", Some("did you mean \"image\"?")),
            (&DOCKER, "forcePulImage", Some("did you mean \"forcePullImage\"?")),
            (&DOCKER, "volumes", Some("it belongs into container")),
            (&DOCKER, "cmd", Some("it belongs into the app itself")),
            (&APP, "image", Some("it belongs into container.docker")),
            (&APP, "portMappings", Some("it belongs into container")),
            (&APP, "port", Some("did you mean \"ports\"?")),
            (&APP, "memory", Some("did you mean \"mem\"?")),
            (&APP, "environment", Some("did you mean \"env\"?")),
            (&APP, "CPUS", Some("did you mean \"cpus\"?")),
            (&APP, "healthcheck", Some("did you mean \"healthChecks\"?")),
            (&APP, "taskKillGracePeriod", Some("did you mean \"taskKillGracePeriodSeconds\"?")),
            (&APP, "xyzzy", None),
            (&VOLUME, "hostpath", Some("did you mean \"hostPath\"?")),
        ] {
            assert_eq!(schema.hint(name).as_deref(), hint, "{name}");
        }
        assert_eq!(APP.hint(&"cmd".repeat(1 << 20)), None, "and do so at once");
    }

    #[test]
    fn every_field_is_in_the_compatibility_page() {
        let page = include_str!("../../../docs/compatibility.md");
        let section = |title: &str| {
            let from = page.find(title).unwrap_or_else(|| panic!("the page has no section {title:?}"));
            let text = &page[from + title.len()..];
            &text[..text.find("\n##").unwrap_or(text.len())]
        };
        let (no_effect, refused) = (section("### No effect here"), section("### Refused"));
        let schemas = [
            &APP,
            &CONTAINER,
            &DOCKER,
            &PARAMETER,
            &VOLUME,
            &EXTERNAL,
            &PORT_MAPPING,
            &PORT_DEFINITION,
            &NETWORK,
            &IP_ADDRESS,
            &IP_DISCOVERY,
            &IP_DISCOVERY_PORT,
            &FETCH,
            &RESOURCE_LIMITS,
            &HEALTH_CHECK,
            &HEALTH_COMMAND,
            &CHECK,
            &CHECK_HTTP,
            &CHECK_TCP,
            &CHECK_EXEC,
            &CHECK_COMMAND,
        ];
        for schema in schemas {
            for field in schema.fields {
                let separator = if schema.name.is_empty() { "" } else { "." };
                let name = format!("`{}{separator}{}`", schema.name, field.name);
                let text = match field.role {
                    Read => page,
                    NoEffect(..) => no_effect,
                    Refused(..) => refused,
                };
                assert!(text.contains(&name), "docs/compatibility.md does not say what becomes of {name}");
            }
        }
    }
}
