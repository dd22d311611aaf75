//! The log that the engine keeps: its driver, the driver's options, and how large its files grow.

use docker_engine::CreateBody;
use docker_engine::create_body::LogConfig;

use super::privileges::listed;
use crate::policy::judge::{Policy, Situation};
use crate::policy::rule::Rule;
use crate::policy::setting::Setting;
use crate::policy::verdict::Verdict;
use crate::request::log_size;

/// The drivers that keep files of their own on the host, without bound unless they are told.
const FILES: [&str; 2] = ["local", "json-file"];

/// Judges it, and puts the agent's caps on files that name none. A task without a word of logs has what the operator
/// set, in the agent or the engine.
pub(in crate::policy) fn judge(
    policy: &Policy,
    body: &mut CreateBody,
    situation: &Situation,
    verdict: &mut Verdict,
) {
    let Some(log) = &mut body.host_config.log_config else { return };
    let driver = if log.driver.is_empty() { &situation.default_log_driver } else { &log.driver }.clone();
    if driver != situation.log.driver && driver != situation.default_log_driver {
        listed(policy, Rule::LogDrivers, "HostConfig.LogConfig.Type", "the log driver", &driver, verdict);
    }
    let own = situation.booked.log.as_ref();
    for (key, value) in log.config.iter() {
        let is_own = own.is_some_and(|own| own.config.get(key) == Some(value));
        if !is_own {
            let field = format!("HostConfig.LogConfig.Config[{key}]");
            listed(policy, Rule::LogOptions, &field, "the log option", key, verdict);
        }
    }
    let setting = policy.setting(Rule::LogSize);
    if setting.is_any() || !FILES.contains(&driver.as_str()) {
        return;
    }
    if *setting == Setting::Resources {
        fill(log, &driver, situation);
    }
    let most = situation.log.max_size.saturating_mul(situation.log.max_files.into());
    let is_within = match setting {
        Setting::Resources => size(log).is_some_and(|size| size <= most),
        _ => own == Some(&*log),
    };
    if !is_within {
        let what = format!("log files of more than {most} bytes, or of a size that is none");
        let remedy = "remove the log options max-size and max-file, or use smaller values";
        verdict.deny(Rule::LogSize, "HostConfig.LogConfig.Config[max-size]", what, remedy);
    }
}

/// Puts the agent's caps on files that name none.
fn fill(log: &mut LogConfig, driver: &str, situation: &Situation) {
    let mut fill = |key: &str, value: String| {
        log.config.entry(key.to_owned()).or_insert(value);
    };
    fill("max-size", situation.log.max_size.to_string());
    fill("max-file", situation.log.max_files.to_string());
    if driver == "local" && situation.log.max_files < 2 {
        // The driver takes no single file that is compressed.
        fill("compress", "false".to_owned());
    }
}

/// How much the files may hold, in bytes.
fn size(log: &LogConfig) -> Option<u64> {
    let size = log_size(log.config.get("max-size")?).filter(|&size| size > 0)?;
    let files: u64 = log.config.get("max-file")?.parse().ok()?;
    size.checked_mul(files.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{HostPlaces, Preset};
    use crate::request::EngineLog;

    /// The verdict on a log of a task, where the agent's caps are 3 files of 1 MiB.
    fn judged(default: &str, driver: &str, options: &[(&str, &str)]) -> (LogConfig, Vec<Rule>) {
        let config: std::collections::BTreeMap<_, _> =
            options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut body = CreateBody::default();
        body.host_config.log_config = Some(LogConfig { driver: driver.into(), config: config.into() });
        let situation = Situation {
            log: EngineLog { driver: "local".into(), max_size: 1 << 20, max_files: 3 },
            default_log_driver: default.into(),
            ..Situation::default()
        };
        let policy = Policy::preset(Preset::Strict, HostPlaces::default());
        let mut verdict = Verdict::default();
        judge(&policy, &mut body, &situation, &mut verdict);
        let log = body.host_config.log_config.clone().unwrap();
        // The outcome is judged the same.
        let mut again = Verdict::default();
        judge(&policy, &mut body, &situation, &mut again);
        assert_eq!((&body.host_config.log_config.unwrap(), &again), (&log, &verdict));
        (log, verdict.violations().iter().map(|one| one.rule).collect())
    }

    #[rstest::rstest]
    #[case("json-file", "json-file", &[])]
    #[case("json-file", "", &[])]
    #[case("json-file", "local", &[])]
    #[case("json-file", "", &[("tag", "x")])]
    #[case("local", "", &[("compress", "true")])]
    fn files_that_name_no_size_get_the_agents(
        #[case] default: &str,
        #[case] driver: &str,
        #[case] options: &[(&str, &str)],
    ) {
        let (log, rules) = judged(default, driver, options);
        assert_eq!(rules, []);
        assert_eq!(log.config["max-size"], "1048576");
        assert_eq!(log.config["max-file"], "3");
    }

    #[rstest::rstest]
    #[case("json-file", &[("max-size", "1m"), ("max-file", "3")], true)]
    #[case("json-file", &[("max-size", "3m"), ("max-file", "1")], true)]
    #[case("json-file", &[("max-size", "10g")], false)]
    #[case("local", &[("max-size", "10g")], false)]
    #[case("", &[("max-size", "10g")], false)]
    #[case("local", &[("max-file", "1000")], false)]
    #[case("json-file", &[("max-size", "-1")], false)]
    #[case("json-file", &[("max-size", "0")], false)]
    #[case("json-file", &[("max-size", "1.5m")], false)]
    #[case("json-file", &[("max-size", "18446744073709551615"), ("max-file", "18446744073709551615")], false)]
    #[case("journald", &[], true)]
    fn files_are_no_larger_than_the_agents(
        #[case] driver: &str,
        #[case] options: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        let (_, rules) = judged("json-file", driver, options);
        assert_eq!(rules, if expected { vec![] } else { vec![Rule::LogSize] });
    }

    #[test]
    fn the_driver_is_the_one_that_the_container_gets() {
        // The engine's own choice is nobody's escape, and where it logs to is not the task's to say.
        assert_eq!(judged("fluentd", "", &[]).1, []);
        assert_eq!(judged("fluentd", "fluentd", &[]).1, []);
        assert_eq!(judged("fluentd", "", &[("fluentd-address", "10.0.0.1:1")]).1, [Rule::LogOptions]);
        assert_eq!(judged("json-file", "fluentd", &[]).1, [Rule::LogDrivers]);
        assert_eq!(judged("syslog", "", &[("syslog-tls-key", "/root/key")]).1, [Rule::LogOptions]);
    }
}
