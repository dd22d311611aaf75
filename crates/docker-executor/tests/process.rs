//! The program itself, as an agent on a socket starts it.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// An agent, and what it starts.
struct Agent {
    listener: TcpListener,
    dir: TempDir,
}

/// A process that is killed when it is not needed any more.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    /// The command of stock's agent.
    fn command(&self) -> Command {
        let dir = self.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-docker-executor"));
        command
            .env_clear()
            .args([
                "--container=mesos-f6a82b9d-c49c-4dae-92bc-e1de75e242c6",
                "--docker=docker",
                "--launcher_dir=/nonexistent",
                "--mapped_directory=/mnt/mesos/sandbox",
            ])
            .arg(format!("--docker_socket={}", dir.join("none.sock").display()))
            .arg(format!("--sandbox_directory={}", dir.display()))
            .arg(format!("--state_directory={}", dir.join("state").display()))
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("LIBPROCESS_IP", "127.0.0.1"),
                ("LIBPROCESS_PORT", "0"),
                ("MESOS_SLAVE_ID", "S0"),
                ("MESOS_FRAMEWORK_ID", "F"),
                ("MESOS_EXECUTOR_ID", "t"),
                ("MESOS_DIRECTORY", "/sandbox"),
                ("MESOS_CHECKPOINT", "0"),
            ])
            .env("MESOS_SLAVE_PID", format!("slave(1)@{}", self.listener.local_addr().unwrap()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A variable that says something else to libprocess, one that leads programs, and a secret.
#[test]
fn the_environment_of_the_task_is_not_the_executors() {
    let agent = Agent::new();
    let mut command = agent.command();
    command.envs([("SSL_ENABLED", "yes, please"), ("HOME", "/mnt/evil"), ("DB_PASSWORD", "s3cret")]);
    let mut started = Started(command.spawn().unwrap());
    let (stream, _) = agent.listener.accept().unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("POST /slave(1)/mesos.internal.RegisterExecutorMessage "), "{line}");
    let environment = std::fs::read(format!("/proc/{}/environ", started.0.id())).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("MESOS_SLAVE_PID=slave(1)@"), "{environment}");
    for name in ["SSL_ENABLED", "HOME", "DB_PASSWORD", "s3cret"] {
        assert!(!environment.contains(name), "{name} is in {environment}");
    }
    // The agent goes, for which a task without checkpointing does not wait.
    drop(agent);
    assert_eq!(started.0.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    started.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("the agent is gone") && !stderr.contains("s3cret"), "{stderr}");
}

#[rstest::rstest]
#[case("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "soon")]
#[case("MESOS_SLAVE_PID", "slave(1)")]
#[case("LIBPROCESS_IP", "here")]
fn a_variable_that_cannot_be_used_is_an_exit_with_1(#[case] name: &str, #[case] value: &str) {
    let agent = Agent::new();
    let output = agent.command().env(name, value).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(name), "{}", said(&output));
    // A process that has not begun leaves nothing.
    let state = std::fs::read_dir(agent.dir.path().join("state"));
    assert_eq!(state.map_or(0, Iterator::count), 0);
}

#[test]
fn an_unknown_flag_is_an_exit_with_1_and_the_usage() {
    let output = Agent::new().command().arg("--contaimer=x").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("contaimer") && said.contains("Usage: mesos-docker-executor"), "{said}");
}
