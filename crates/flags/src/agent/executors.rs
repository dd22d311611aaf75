//! The settings of executors: what they are told, and how they are listened to.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use mesos_proto::json::from_json_str;
use mesos_proto::v1;

use super::http::count;
use super::settings::{completed, secret_file};
use super::texts::Texts;
use crate::error::FlagError;
use crate::values::{parse_bool, parse_bytes, parse_duration};

/// The longest time that executors may have to come back (`MAX_EXECUTOR_REREGISTRATION_TIMEOUT`).
const LONGEST_REREGISTRATION: Duration = Duration::from_secs(15);

/// Executors.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutorSettings {
    /// `--executor_registration_timeout`.
    pub registration_timeout: Duration,
    /// `--executor_reregistration_timeout`, 15 seconds at most.
    pub reregistration_timeout: Duration,
    /// `--executor_reregistration_retry_interval`, longer than 0; unset, executors are asked once.
    pub reregistration_retry_interval: Option<Duration>,
    /// `--executor_shutdown_grace_period`.
    pub shutdown_grace_period: Duration,
    /// `--recovery_timeout`.
    pub recovery_timeout: Duration,
    /// `--max_completed_executors_per_framework`.
    pub max_completed_per_framework: usize,
    /// `--default_container_info`.
    pub default_container: Option<v1::ContainerInfo>,
    /// `--http_command_executor`.
    pub http_command_executor: bool,
    /// `--jwt_secret_key`: the absolute path of a file that could be opened at the start.
    pub jwt_secret_key: Option<PathBuf>,
    /// `--authenticate_http_executors`; only with a key.
    pub authentication: ExecutorAuthentication,
    /// `--executor_heartbeat_interval`, longer than 0.
    pub heartbeat_interval: Duration,
    /// `--executor_max_call_size`, in bytes.
    pub max_call_size: u64,
    /// `--executor_max_queued_events`, of one executor.
    pub max_queued_events: NonZeroUsize,
    /// `--executor_max_queued_size`, in bytes, of one executor.
    pub max_queued_size: u64,
}

/// `--authenticate_http_executors`: whether calls of executors must come with their token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorAuthentication {
    /// They need none.
    Open,
    /// They do.
    Required,
}

impl ExecutorSettings {
    pub(super) fn from_texts(texts: &Texts) -> Result<Self, FlagError> {
        let deadline = crate::docker::deadline;
        let settings = Self {
            registration_timeout: texts.required("executor_registration_timeout", parse_duration)?,
            reregistration_timeout: texts.required("executor_reregistration_timeout", reregistration)?,
            reregistration_retry_interval: texts
                .optional("executor_reregistration_retry_interval", deadline)?,
            shutdown_grace_period: texts.required("executor_shutdown_grace_period", parse_duration)?,
            recovery_timeout: texts.required("recovery_timeout", parse_duration)?,
            max_completed_per_framework: texts
                .required("max_completed_executors_per_framework", completed)?,
            default_container: texts.optional("default_container_info", container)?,
            http_command_executor: texts.required("http_command_executor", parse_bool)?,
            jwt_secret_key: texts
                .filled("jwt_secret_key")
                .map(|text| secret_file("jwt_secret_key", text))
                .transpose()?,
            authentication: match texts.required("authenticate_http_executors", parse_bool)? {
                true => ExecutorAuthentication::Required,
                false => ExecutorAuthentication::Open,
            },
            heartbeat_interval: texts.required("executor_heartbeat_interval", deadline)?,
            max_call_size: texts.required("executor_max_call_size", parse_bytes)?,
            max_queued_events: texts.required("executor_max_queued_events", count)?,
            max_queued_size: texts.required("executor_max_queued_size", parse_bytes)?,
        };
        if settings.authentication == ExecutorAuthentication::Required && settings.jwt_secret_key.is_none() {
            return Err(FlagError::invalid(
                "authenticate_http_executors",
                "executors get their tokens from a key: give --jwt_secret_key=/path/of/a/file, too",
            ));
        }
        Ok(settings)
    }
}

fn reregistration(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    match timeout > LONGEST_REREGISTRATION {
        true => Err("executors may have 15secs at most to register again".to_owned()),
        false => Ok(timeout),
    }
}

fn container(text: &str) -> Result<v1::ContainerInfo, String> {
    from_json_str(text).map_err(|error| format!("the value is not a ContainerInfo: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_read_as_stock_reads_it() {
        let read = container(r#"{"type": "DOCKER", "docker": {"image": "busybox"}}"#).unwrap();
        assert_eq!(read.docker.unwrap().image, "busybox");
        assert!(container("{}").is_err());
        assert!(container("busybox").is_err());
    }

    #[test]
    fn executors_have_15_seconds_at_most_to_come_back() {
        assert_eq!(reregistration("15secs"), Ok(Duration::from_secs(15)));
        assert!(reregistration("16secs").is_err());
    }
}
