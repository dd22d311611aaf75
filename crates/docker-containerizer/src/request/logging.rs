//! The engine-side log of a container: which driver, and how its output is read.
//!
//! Stock leaves the driver to the engine and copies everything a second time into the sandbox, so json-file grows
//! without bound. We name `local`, which keeps bytes as they are (json-file mangles what is not UTF-8), with size caps,
//! unless the task names a driver or the operator set another default than json-file in the engine.

use std::collections::BTreeMap;

use docker_engine::create_body::LogConfig;
use docker_engine::{CreateBody, HostConfig};

use super::{EngineFacts, Output, RequestInput, parameters};

/// Drivers whose log the engine can always read back with time stamps.
const READABLE: [&str; 3] = ["local", "json-file", "journald"];

/// The size of the engine's files where it is not said: no driver has smaller ones by default.
const UNSAID_SIZE: u64 = 10 << 20;

/// The log that the engine keeps of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineLog {
    /// The driver (`--docker_log_driver`).
    pub driver: String,
    /// The size at which the engine begins a new file, in bytes.
    pub max_size: u64,
    /// How many files the engine keeps.
    pub max_files: u32,
}

/// Sets the driver where the engine's default is json-file; a parameter may replace it.
pub(super) fn apply(host: &mut HostConfig, input: &RequestInput<'_>) {
    let named = input.task.container.parameters.iter().any(|p| parameters::sets(p, &["log-driver"]));
    if named || input.engine.default_log_driver != "json-file" {
        return;
    }
    let log = &input.settings.engine_log;
    let mut config = BTreeMap::new();
    if READABLE[..2].contains(&log.driver.as_str()) {
        config.insert("max-size".to_owned(), log.max_size.to_string());
        config.insert("max-file".to_owned(), log.max_files.to_string());
    }
    if log.driver == "local" {
        // Compressing costs the engine CPU for files that live for minutes.
        config.insert("compress".to_owned(), "false".to_owned());
    }
    host.log_config = Some(LogConfig { driver: log.driver.clone(), config: config.into() });
}

/// How the output of the finished request is read.
pub(super) fn output(body: &CreateBody, engine: &EngineFacts) -> Output {
    let driver = body
        .host_config
        .log_config
        .as_ref()
        .map(|log| log.driver.as_str())
        .filter(|driver| !driver.is_empty());
    output_of(driver.unwrap_or(&engine.default_log_driver), body.tty)
}

/// How the output of a container with this driver is read.
pub(crate) fn output_of(driver: &str, tty: bool) -> Output {
    if tty || !READABLE.contains(&driver) { Output::Attach } else { Output::Log }
}

/// The size at which the engine begins a new file, in bytes, from the driver's option of that name.
pub(crate) fn file_size(max_size: Option<&str>) -> u64 {
    max_size.and_then(log_size).unwrap_or(UNSAID_SIZE)
}

/// Reads a size as the engine's drivers do: a number and perhaps a unit in powers of 1024.
pub(crate) fn log_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let shift = match text[end..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(Some("1048576"), 1 << 20)]
    #[case(Some("20m"), 20 << 20)]
    #[case(Some("1 GB"), 1 << 30)]
    #[case(Some("-1"), UNSAID_SIZE)]
    #[case(Some("99999999999999999999"), UNSAID_SIZE)]
    #[case(Some("1.5m"), UNSAID_SIZE)]
    #[case(None, UNSAID_SIZE)]
    fn a_size_is_read_as_the_engine_reads_it(#[case] text: Option<&str>, #[case] expected: u64) {
        assert_eq!(file_size(text), expected);
    }

    #[rstest::rstest]
    #[case("local", false, Output::Log)]
    #[case("json-file", false, Output::Log)]
    #[case("local", true, Output::Attach)]
    #[case("none", false, Output::Attach)]
    #[case("gelf", false, Output::Attach)]
    fn output_is_read_by_driver(#[case] driver: &str, #[case] tty: bool, #[case] expected: Output) {
        assert_eq!(output_of(driver, tty), expected);
    }
}
