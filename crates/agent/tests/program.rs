//! The programs themselves: what they answer without a cluster.

use std::process::{Command, Output};

fn run(program: &str, flags: &[&str]) -> Output {
    Command::new(program).args(flags).env_clear().output().expect("the program that was built for this test")
}

#[rstest::rstest]
#[case::agent(env!("CARGO_BIN_EXE_mesos-agent"))]
#[case::alias(env!("CARGO_BIN_EXE_mesos-slave"))]
fn both_names_tell_their_version_and_help(#[case] program: &str) {
    let version = run(program, &["--version"]);
    assert!(version.status.success(), "{version:?}");
    assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")), "{version:?}");
    let help = run(program, &["--help"]);
    assert!(help.status.success(), "{help:?}");
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(text.contains("--master") && text.contains("--containerizers"), "{text}");
}

#[test]
fn a_misspelt_flag_is_one_line_with_the_nearest_name() {
    let output = run(env!("CARGO_BIN_EXE_mesos-agent"), &["--work_dirr=/nowhere", "--master=127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("work_dirr") && text.contains("work_dir"), "{text}");
}
