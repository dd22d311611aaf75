//! The engine's log of the container.

use std::collections::BTreeMap;

use docker_engine::create_body::LogConfig;
use mesos_types::FieldError;

use super::draft::Draft;
use super::error::{Bad, conflict};

/// The options that both our driver and the engine's usual one have.
const COMMON: [&str; 3] = ["max-size", "max-file", "compress"];

/// Reads `log-opt`.
pub(super) fn option(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (key, value) = value.split_once('=').unwrap_or((value, ""));
    if key.is_empty() {
        return Err(Bad::Form);
    }
    draft.log_options.insert(key.to_owned(), value.to_owned());
    Ok(())
}

/// Puts driver and options into the request.
///
/// Options without a driver are meant for the engine's own driver. The one that we name otherwise stays if it has those
/// options too; if not, none is named, as with stock.
pub(super) fn finish(draft: &mut Draft<'_>) -> Result<(), FieldError> {
    let options = std::mem::take(&mut draft.log_options);
    let log = &mut draft.body.host_config.log_config;
    match draft.log_driver.take() {
        Some(driver) if driver == "none" && !options.is_empty() => {
            return Err(conflict("the log driver none has no log-opt"));
        }
        Some(driver) => *log = Some(LogConfig { driver, config: options.into() }),
        None if options.is_empty() => {}
        None => match log {
            Some(log) if options.keys().all(|key| COMMON.contains(&key.as_str())) => {
                log.config.extend(options)
            }
            _ => *log = Some(LogConfig { driver: String::new(), config: BTreeMap::into(options) }),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use docker_engine::{CreateBody, NEWEST_API};
    use mesos_types::Parameter;

    use super::super::draft::{Context, apply};
    use super::*;

    /// Driver and options of a request for which we named the driver local.
    fn logged(given: &[(&str, &str)]) -> Result<(String, String), FieldError> {
        let mut body = CreateBody::default();
        let config = BTreeMap::from([("max-size".to_owned(), "1".to_owned())]);
        body.host_config.log_config = Some(LogConfig { driver: "local".into(), config: config.into() });
        let given: Vec<_> =
            given.iter().map(|(k, v)| Parameter { key: (*k).into(), value: (*v).into() }).collect();
        apply(&mut body, &given, Context { api: NEWEST_API, sandbox: std::path::Path::new("/w") })?;
        let log = body.host_config.log_config.unwrap();
        let options: Vec<_> = log.config.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Ok((log.driver, options.join(",")))
    }

    #[rstest::rstest]
    #[case::nothing_said(&[], "local", "max-size=1")]
    #[case::an_option_of_both(&[("log-opt", "max-size=5m")], "local", "max-size=5m")]
    #[case::an_option_of_the_engines_own(&[("log-opt", "tag=x"), ("log-opt", "max-size=5m")], "", "max-size=5m,tag=x")]
    #[case::a_driver(&[("log-opt", "env=a"), ("log-driver", "json-file"), ("log-opt", "env=b")], "json-file", "env=b")]
    #[case::a_driver_without_options(&[("log-driver", "none")], "none", "")]
    #[case::the_engines_own_by_name(&[("log-driver", "")], "", "")]
    fn options_go_to_the_driver_that_they_are_for(
        #[case] given: &[(&str, &str)],
        #[case] driver: &str,
        #[case] options: &str,
    ) {
        assert_eq!(logged(given).unwrap(), (driver.to_owned(), options.to_owned()));
    }

    #[test]
    fn no_log_has_no_options() {
        assert!(logged(&[("log-driver", "none"), ("log-opt", "a=b")]).is_err());
    }
}
