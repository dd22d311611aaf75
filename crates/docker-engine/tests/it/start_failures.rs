//! Commands that cannot be started, and the exit code that people know for each.

use docker_engine::start_failure_exit_code;
use rstest::rstest;

use crate::support::{SOON, with_engine};

#[rstest]
#[case(&["no-such-command"], 127)]
#[case(&["/no/such/file"], 127)]
#[case(&["/bin/not-executable"], 126)]
#[case(&["/bin"], 126)]
#[tokio::test]
async fn a_start_that_fails_has_an_exit_code(#[case] cmd: &'static [&'static str], #[case] expected: u8) {
    with_engine("a_start_that_fails_has_an_exit_code", move |lab| async move {
        let id = lab.create("a", &lab.body(cmd)).await;
        let error = lab.engine.start(&id, SOON).await.unwrap_err();
        println!("{cmd:?}: {} {:?}", error.status().unwrap_or_default(), error.engine_message());
        assert_eq!(start_failure_exit_code(&error), expected, "{error}");
        assert!(!error.outcome_unknown());
        let state = lab.inspect(&id).await.state;
        assert!(!state.running && !state.error.is_empty(), "{state:?}");
        assert_eq!(state.exit_code, i64::from(expected), "the engine's own code is the same");
    })
    .await;
}

/// What the kernel refuses only when the process is there already is an exit, not a start that failed.
#[rstest]
#[case(&["/bin/no-interpreter"])]
#[case(&["/bin/no-format"])]
#[tokio::test]
async fn a_command_that_fails_late_has_started(#[case] cmd: &'static [&'static str]) {
    with_engine("a_command_that_fails_late_has_started", move |lab| async move {
        let id = lab.create("a", &lab.body(cmd)).await;
        match lab.engine.start(&id, SOON).await {
            Ok(_) => assert_ne!(lab.engine.wait_not_running(&id, SOON).await.unwrap().exit_code, 0),
            Err(error) => assert_ne!(start_failure_exit_code(&error), 125, "{error}"),
        }
    })
    .await;
}
