//! What a task without an image finds: its user, its limits, its directory.

use anyhow::{Context as _, Result};
use integration::{require_engine, require_reference};
use serde_json::json;

use crate::lab::{Lab, message, plain};

/// Signals 32 and 33.
const OF_THE_LIBRARY: u64 = 0b11 << 31;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_its_user_with_that_users_groups_and_sandbox() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let mut task = plain("id -u; id -G; stat -c '%U %a' .; echo mine > file; stat -c %U file stdout");
    task["command"]["user"] = json!("nobody");
    let (events, _) = lab.ends_as(&task, "TASK_FINISHED").await?;
    let id = std::process::Command::new("id").args(["-G", "nobody"]).output()?.stdout;
    let groups = String::from_utf8(id)?;
    let expected = format!("65534\n{groups}nobody 750\nnobody\nnobody\n");
    assert_eq!(lab.stdout(&events)?, expected);
    lab.nothing_left().await
}

/// Without a user of its own a task is the framework's; without `--switch_user` everybody is the agent's.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_a_user_is_its_frameworks() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let mut lab = Lab::start(&engine, &[]).await?;
    let user = lab.scene.run(&plain("id -un"), &["--user=daemon", "--checkpoint"]).await?;
    assert_eq!(lab.stdout(&user)?, "daemon\n");
    let unknown = lab.scene.run(&plain("true"), &["--user=nobody-at-all"]).await?;
    let status = unknown.last_status()?;
    assert_eq!(status["state"], "TASK_FAILED", "{status}");
    assert!(message(status).contains("nobody-at-all"), "{status}");

    lab.scene.agent.kill()?;
    lab.scene.agent.set_flag("--no-switch_user");
    lab.scene.start_again().await?;
    let user = lab.scene.run(&plain("id -un"), &["--user=daemon", "--checkpoint"]).await?;
    assert_eq!(lab.stdout(&user)?, "root\n");
    lab.nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_its_own_limits_and_the_signals_of_a_new_process() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    // The shell reads its own status itself: while it waits for another program to read it, it blocks all signals.
    let mut task = plain(
        "ulimit -Sn; ulimit -Hn; ulimit -Sc; while read -r name value; do case $name in \
         SigBlk:|SigIgn:) echo \"$name $value\";; esac; done < /proc/$$/status; readlink /proc/self/fd/0",
    );
    task["container"] = json!({ "type": "MESOS", "rlimit_info": { "rlimits": [
        { "type": "RLMT_NOFILE", "soft": 100, "hard": 200 },
        { "type": "RLMT_CORE", "soft": 0, "hard": 0 },
    ] } });
    let (events, _) = lab.ends_as(&task, "TASK_FINISHED").await?;
    let output = lab.stdout(&events)?;
    let (told, ignored) = output.split_once("SigIgn: ").context("no signals")?;
    assert_eq!(told, "100\n200\n0\nSigBlk: 0000000000000000\n");
    let (ignored, input) = ignored.split_once('\n').context("no input")?;
    // Two are the C library's own, which nobody can set.
    assert_eq!(u64::from_str_radix(ignored, 16)? & !OF_THE_LIBRARY, 0, "{ignored}");
    assert_eq!(input, "/dev/null\n");

    task["container"]["rlimit_info"]["rlimits"][0] =
        json!({ "type": "RLMT_NOFILE", "soft": 200, "hard": 100 });
    let (_, status) = lab.ends_as(&task, "TASK_FAILED").await?;
    assert!(message(&status).contains("rlimit"), "{status}");
    lab.nothing_left().await
}

/// The session is the command's own, and nothing of the agent is open in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_a_session_of_its_own_and_no_file_of_ours() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let lab = Lab::start(&engine, &[]).await?;
    let task =
        plain("echo $$; cut -d' ' -f1,5,6 /proc/$$/stat; for f in /proc/$$/fd/*; do echo ${f##*/}; done");
    let (events, _) = lab.ends_as(&task, "TASK_FINISHED").await?;
    let output = lab.stdout(&events)?;
    let mut lines = output.lines();
    let pid = lines.next().context("no pid")?;
    assert_eq!(lines.next(), Some(format!("{pid} {pid} {pid}").as_str()), "{output}");
    // What the shell itself opens is above 2 for the time of a glob.
    assert_eq!(lines.filter(|fd| fd.parse::<u32>().is_ok_and(|fd| fd < 3)).count(), 3, "{output}");
    let open = plain("ls -l /proc/self/fd | grep -c -e socket -e agent.log -e meta || true");
    let (events, _) = lab.ends_as(&open, "TASK_FINISHED").await?;
    assert_eq!(lab.stdout(&events)?, "0\n");
    lab.nothing_left().await
}

/// What lets an executor speak with the agent is not for tasks: stock's executor takes it out of their environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_no_token_of_executors() -> Result<()> {
    let engine = require_engine!(Ok(()));
    require_reference!(Ok(()));
    let scope = integration::TestScope::new(&engine).await?;
    let key = scope.subdir("gate")?.join("key");
    std::fs::write(&key, "a key of the test\n")?;
    let flag = format!("--jwt_secret_key={}", key.display());
    let lab = Lab::in_scope(scope, &["--authenticate_http_executors", &flag]).await?;
    let (events, _) = lab.ends_as(&plain("env"), "TASK_FINISHED").await?;
    let environment = lab.stdout(&events)?;
    assert!(environment.contains("MESOS_FRAMEWORK_ID="), "{environment}");
    assert!(!environment.contains("TOKEN"), "{environment}");
    lab.nothing_left().await
}
