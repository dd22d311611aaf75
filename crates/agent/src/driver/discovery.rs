//! The commands that find the agent's addresses (`main` in `src/slave/main.cpp`).

use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use flags::agent::NetworkSettings;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::error::AgentError;

/// How much of a command's output is read, in bytes. An address is much shorter.
const OUTPUT: u64 = 4096;

/// Runs the commands of `--ip_discovery_command` and `--ip6_discovery_command`, and puts what they say into the settings.
///
/// # Errors
///
/// A command fails, takes too long, or prints something else than an address.
pub(super) async fn discover(network: &mut NetworkSettings) -> Result<(), AgentError> {
    let deadline = network.discovery_timeout;
    if let Some(command) = &network.ip_discovery_command {
        network.ip = Some(ask("ip_discovery_command", command, deadline).await?);
    }
    if let Some(command) = &network.ip6_discovery_command {
        network.ip6 = Some(ask("ip6_discovery_command", command, deadline).await?);
    }
    Ok(())
}

async fn ask<A: FromStr>(flag: &'static str, command: &str, deadline: Duration) -> Result<A, AgentError> {
    let failed = |why| AgentError::Flag { flag, why };
    let output = timeout(deadline, output(command)).await.map_err(|_| {
        failed(format!("the command took longer than {deadline:?} (see --ip_discovery_timeout)"))
    })?;
    let output = output.map_err(failed)?;
    let address = output.trim();
    address.parse().map_err(|_| {
        let shortened: String = address.chars().take(64).collect();
        failed(format!("the command printed {shortened:?}, which is not an address of this kind"))
    })
}

/// The processes of a command that runs; they are killed when this is dropped before its end.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It fails when none is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// What a command of the shell prints. Its errors go to the agent's log.
async fn output(command: &str) -> Result<String, String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("the command cannot be run: {error}"))?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(OUTPUT).read_to_end(&mut printed).await;
        read.map_err(|error| format!("the output of the command cannot be read: {error}"))?;
    }
    let status = child.wait().await.map_err(|error| format!("the command is lost: {error}"))?;
    group.0 = None;
    if !status.success() {
        return Err(format!("the command failed with {status}"));
    }
    String::from_utf8(printed).map_err(|_| "the command printed something that is no text".to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use rstest::rstest;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_command_says_the_address() {
        let ip: Ipv4Addr = ask("ip_discovery_command", "echo ' 10.0.0.5 '; true", LONG).await.unwrap();
        assert_eq!(ip, Ipv4Addr::new(10, 0, 0, 5));
        let ip: Ipv6Addr = ask("ip6_discovery_command", "echo fd00::5", LONG).await.unwrap();
        assert_eq!(ip.to_string(), "fd00::5");
    }

    #[rstest]
    #[case::fails("echo 10.0.0.5; exit 3", "exit status: 3")]
    #[case::nothing("true", "\"\"")]
    #[case::a_name("echo localhost", "localhost")]
    #[case::of_another_kind("echo ::1", "::1")]
    #[case::no_text("printf '\\377'", "no text")]
    #[case::no_command("/nowhere/discover", "exit status: 127")]
    #[case::too_much("head -c 100000 /dev/zero", "the command")]
    #[tokio::test]
    async fn what_is_no_address_ends_the_start(#[case] command: &str, #[case] said: &str) {
        let error = ask::<Ipv4Addr>("ip_discovery_command", command, LONG).await.unwrap_err().to_string();
        assert!(error.starts_with("the flag --ip_discovery_command cannot be used: "), "{error}");
        assert!(error.contains(said), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_never_ends_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let command = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let asked = ask::<Ipv4Addr>("ip_discovery_command", &command, Duration::from_secs(2)).await;
        assert!(asked.unwrap_err().to_string().contains("--ip_discovery_timeout"));
        let pid = std::fs::read_to_string(pid).unwrap();
        let deadline = std::time::Instant::now() + LONG;
        // One that nobody has waited for is dead as well.
        while std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z "))
        {
            assert!(std::time::Instant::now() < deadline, "its child lives on");
            tokio::task::yield_now().await;
        }
    }
}
