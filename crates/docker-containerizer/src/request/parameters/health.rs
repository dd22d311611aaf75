//! The engine's own health check. It is beside Mesos' checks: an unhealthy container is not killed for it.
//!
//! A task does not have one unless it asks for it: stock lets the image's run and looks at it nowhere, which costs a
//! process in the container every time. Here it is off ([`switch_off`]), and what a task asks for becomes its `healthy`.

use docker_engine::CreateBody;
use docker_engine::create_body::HealthConfig;
use mesos_types::FieldError;

use super::draft::Draft;
use super::error::conflict;

/// Puts the health check into the request, as `parse` of the docker client does.
pub(super) fn finish(draft: &mut Draft<'_>) -> Result<(), FieldError> {
    let health = std::mem::take(&mut draft.health);
    let times = [
        ("health-interval", health.interval),
        ("health-timeout", health.timeout),
        ("health-start-period", health.start_period),
        ("health-start-interval", health.start_interval),
        ("health-retries", health.retries),
    ];
    // Zero, and an empty command, are as if nothing was said.
    let said = !health.test.is_empty() || times.iter().any(|(_, time)| time.is_some_and(|time| time != 0));
    if draft.no_healthcheck {
        if said || draft.image_healthcheck {
            return Err(conflict("no-healthcheck and the health options exclude each other"));
        }
        draft.body.healthcheck = Some(none());
        return Ok(());
    }
    if let Some((name, _)) = times.iter().find(|(_, time)| time.is_some_and(i64::is_negative)) {
        return Err(FieldError::new("container.docker.parameters", format!("{name} is negative")));
    }
    if said || draft.image_healthcheck {
        // One without a command is the image's.
        draft.body.healthcheck = Some(health);
    }
    Ok(())
}

/// Switches off the image's own health check where the task has not asked for one.
pub(in crate::request) fn switch_off(body: &mut CreateBody) {
    body.healthcheck.get_or_insert_with(none);
}

/// The engine's word for no health check, also not the image's.
fn none() -> HealthConfig {
    HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::translated;

    #[rstest::rstest]
    #[case(&[("health-cmd", "x y"), ("health-interval", "1m30s"), ("health-start-interval", "5s")],
        json!({"Test": ["CMD-SHELL", "x y"], "Interval": 90_000_000_000_i64, "StartInterval": 5_000_000_000_i64}))]
    #[case(&[("health-interval", "100us")], json!({"Interval": 100_000}))]
    #[case(&[("no-healthcheck", "true")], json!({"Test": ["NONE"]}))]
    #[case(&[("no-healthcheck", "true"), ("no-healthcheck", "false")], Value::Null)]
    #[case(&[("health-interval", "0")], Value::Null)]
    #[case(&[("health-cmd", "x"), ("health-cmd", "")], Value::Null)]
    #[case(&[("image-healthcheck", "true")], json!({}))]
    #[case(&[("image-healthcheck", "true"), ("image-healthcheck", "false")], Value::Null)]
    #[case(&[("image-healthcheck", "true"), ("health-retries", "5")], json!({"Retries": 5}))]
    fn a_health_check_is_what_the_client_sends(#[case] given: &[(&str, &str)], #[case] expected: Value) {
        let health = translated(given).unwrap().healthcheck;
        assert_eq!(serde_json::to_value(health).unwrap(), expected);
    }

    #[rstest::rstest]
    #[case(&[("no-healthcheck", "true"), ("health-cmd", "x")], "exclude each other")]
    #[case(&[("no-healthcheck", "true"), ("image-healthcheck", "true")], "exclude each other")]
    #[case(&[("health-interval", "-1s")], "health-interval is negative")]
    #[case(&[("health-retries", "-1")], "health-retries is negative")]
    fn a_contradiction_is_refused(#[case] given: &[(&str, &str)], #[case] expected: &str) {
        let error = translated(given).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
