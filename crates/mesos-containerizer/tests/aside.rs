//! Commands beside a container's own: what they share with it, and that nothing of them is left.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mesos_containerizer::aside::{Aside, AsideEnd, AsideError, AsideOrder, Surroundings};
use mesos_containerizer::parent::messages::{Identity, ResourceLimit};
use mesos_containerizer::processes::{self, look};
use tokio::time::timeout;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn surroundings(sandbox: &Path) -> Surroundings {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Surroundings {
        program: PathBuf::from(env!("CARGO_BIN_EXE_mesos-containerizer")),
        sandbox: sandbox.to_owned(),
        environment: [variable("PATH", "/usr/bin:/bin"), variable("GREETING", "geheim")].into(),
        identity: None,
        limits: Arc::default(),
        groups: Arc::default(),
    }
}

fn shell(line: &str) -> AsideOrder {
    AsideOrder {
        executable: "sh".into(),
        arguments: ["sh", "-c", line].map(str::to_owned).into(),
        environment: Vec::new(),
        identity: None,
        kept: 1024,
    }
}

async fn run(surroundings: &Surroundings, order: AsideOrder) -> AsideEnd {
    let mut aside = Aside::start(surroundings, order).await.unwrap();
    let end = timeout(PATIENCE, aside.ended()).await.expect("an end").unwrap();
    timeout(PATIENCE, aside.gone()).await.expect("the helper's end");
    end
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Waits until the file has a whole line, and reads it.
async fn line(path: &Path) -> String {
    let read = async {
        loop {
            match std::fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, read).await.expect("a line")
}

fn runs(pid: &str) -> bool {
    look(pid.parse().unwrap()).is_some_and(|stat| !stat.is_zombie)
}

#[tokio::test]
async fn a_command_has_the_containers_environment_and_place_and_nothing_of_ours() {
    let sandbox = tempfile::tempdir().unwrap();
    // Of this process, and nobody else's business.
    let _open = std::fs::File::open("/dev/null").unwrap();
    let mut order = shell("pwd; env | sort; ls /proc/self/fd; echo error >&2; readlink /proc/self/fd/0");
    order.environment = vec![("ADDED".into(), "2".into()), ("PATH".into(), "/bin:/usr/bin".into())];
    let end = run(&surroundings(sandbox.path()), order).await;
    assert!(end.status.success());
    let place = sandbox.path().canonicalize().unwrap();
    // The shell adds its own; the last descriptor is the list's.
    let expected = format!(
        "{0}\nADDED=2\nGREETING=geheim\nPATH=/bin:/usr/bin\nPWD={0}\n0\n1\n2\n3\n/dev/null\n",
        place.display()
    );
    assert_eq!(text(&end.stdout), expected);
    assert_eq!(text(&end.stderr), "error\n");
}

#[tokio::test]
async fn a_command_runs_as_the_containers_user_with_its_limits() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let sandbox = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(sandbox.path(), Some(65534), Some(65534)).unwrap();
    let surroundings = Surroundings {
        identity: Some(Identity { uid: 65534, gid: 65534, groups: vec![65534, 4] }),
        limits: [ResourceLimit { name: "nofile".into(), soft: 77, hard: 99 }].into(),
        ..surroundings(sandbox.path())
    };
    let line = "id -u; id -g; id -G; ulimit -Sn; ulimit -Hn; touch file && echo by name >/dev/stderr";
    let end = run(&surroundings, shell(line)).await;
    assert_eq!(text(&end.stdout), "65534\n65534\n65534 4\n77\n99\n");
    assert_eq!(text(&end.stderr), "by name\n");
}

#[tokio::test]
async fn its_end_is_told_as_it_was() {
    let sandbox = tempfile::tempdir().unwrap();
    let surroundings = surroundings(sandbox.path());
    assert_eq!(run(&surroundings, shell("exit 3")).await.status.code(), Some(3));
    assert_eq!(run(&surroundings, shell("kill -9 $$")).await.status.signal(), Some(9));
    let end = run(&surroundings, shell("seq 100000; seq 5 >&2")).await;
    assert_eq!(end.stdout.len(), 1024);
    assert!(text(&end.stdout).ends_with("\n99999\n100000\n"));
    assert_eq!(text(&end.stderr), "1\n2\n3\n4\n5\n");
    // A multi-call program goes by the name that it is given.
    let named = AsideOrder {
        executable: "/bin/busybox".into(),
        arguments: ["sh", "-c", "echo $0", "zero"].map(str::to_owned).into(),
        ..shell("")
    };
    if Path::new("/bin/busybox").exists() {
        assert_eq!(text(&run(&surroundings, named).await.stdout), "zero\n");
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_so() {
    let sandbox = tempfile::tempdir().unwrap();
    let surroundings = surroundings(sandbox.path());
    let start = async |surroundings: &Surroundings, executable: &str| {
        let order = AsideOrder { executable: executable.into(), ..shell("") };
        Aside::start(surroundings, order).await.unwrap_err()
    };
    match start(&surroundings, "/no/such/program").await {
        AsideError::Start(failure) => assert_eq!(failure.exit_code, 127, "{failure}"),
        other => panic!("{other:?}"),
    }
    let elsewhere = Surroundings { sandbox: "/no/such/sandbox".into(), ..surroundings.clone() };
    match start(&elsewhere, "true").await {
        AsideError::Start(failure) => {
            assert_eq!(failure.exit_code, 125, "{failure}");
            assert!(failure.to_string().contains("/no/such/sandbox"), "{failure}");
        }
        other => panic!("{other:?}"),
    }
    let grouped = Surroundings { groups: ["/no/such/group".into()].into(), ..surroundings.clone() };
    assert!(matches!(start(&grouped, "true").await, AsideError::Group { .. }));
    let missing = Surroundings { program: "/no/such/helper".into(), ..surroundings.clone() };
    assert!(matches!(start(&missing, "true").await, AsideError::Helper { .. }));
    let other = Surroundings { program: "/bin/true".into(), ..surroundings };
    assert!(matches!(start(&other, "true").await, AsideError::Lost(_)));
}

/// What a command starts, however it hides: a child, one in a session of its own, and one whose parent has ended.
const HIDING: &str = "echo working; echo $$ >root.tmp; sleep 1000 & echo $! >child; \
    setsid sh -c 'echo $$ >session; (sleep 1000 & echo $! >orphan)' & wait $!; mv root.tmp root; sleep 1000";

async fn hidden(sandbox: &Path) -> Vec<String> {
    let mut pids = Vec::new();
    for name in ["root", "child", "orphan"] {
        pids.push(line(&sandbox.join(name)).await);
    }
    assert!(pids.iter().all(|pid| runs(pid)));
    pids
}

#[tokio::test]
async fn a_kill_ends_all_that_it_has_started() {
    let sandbox = tempfile::tempdir().unwrap();
    let mut aside = Aside::start(&surroundings(sandbox.path()), shell(HIDING)).await.unwrap();
    let pids = hidden(sandbox.path()).await;
    aside.kill();
    let end = timeout(PATIENCE, aside.ended()).await.expect("its end").unwrap();
    assert!(!pids.iter().any(|pid| runs(pid)), "{pids:?}");
    assert_eq!((end.status.signal(), text(&end.stdout)), (Some(9), "working\n".to_owned()));
    timeout(PATIENCE, aside.gone()).await.expect("the helper's end");
    assert!(matches!(aside.ended().await, Err(AsideError::Lost(_))));
}

#[tokio::test]
async fn nothing_outlives_who_asked() {
    let sandbox = tempfile::tempdir().unwrap();
    let aside = Aside::start(&surroundings(sandbox.path()), shell(HIDING)).await.unwrap();
    let pids = hidden(sandbox.path()).await;
    drop(aside);
    let gone = async {
        while pids.iter().any(|pid| runs(pid)) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("their end");
}

#[tokio::test]
async fn what_is_left_behind_is_killed_where_nothing_contains_it() {
    let sandbox = tempfile::tempdir().unwrap();
    let order = shell("sleep 1000 & echo $! >left; echo said");
    let end = run(&surroundings(sandbox.path()), order).await;
    assert_eq!((end.status.code(), text(&end.stdout)), (Some(0), "said\n".to_owned()));
    assert!(!runs(&line(&sandbox.path().join("left")).await));
}

/// It is held by nothing but the kill itself: processes that fork all the time, each from one that ends.
#[tokio::test]
async fn what_forks_all_the_time_is_gone_after_a_kill() {
    let sandbox = tempfile::tempdir().unwrap();
    let script =
        "hop() { (hop) & }; hop; hop; hop; echo $PPID >helper.tmp; mv helper.tmp helper; exec sleep 1000";
    let mut aside = Aside::start(&surroundings(sandbox.path()), shell(script)).await.unwrap();
    let helper: u32 = line(&sandbox.path().join("helper")).await.parse().unwrap();
    aside.kill();
    let end = timeout(PATIENCE, aside.ended()).await.expect("its end").unwrap();
    assert_eq!(end.status.signal(), Some(9));
    timeout(PATIENCE, aside.gone()).await.expect("the helper's end");
    assert_eq!(look(helper), None);
    let hops = processes::all().unwrap();
    let hops: Vec<_> = hops.iter().filter(|stat| is_in(stat.id.pid, sandbox.path())).collect();
    assert!(hops.is_empty(), "{hops:?}");
}

/// Whether a process is at home in a sandbox.
fn is_in(pid: u32, sandbox: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(sandbox))
}

#[tokio::test]
async fn neither_the_helper_nor_its_command_line_holds_a_value() {
    let sandbox = tempfile::tempdir().unwrap();
    let order = shell("echo $PPID >helper.tmp; mv helper.tmp helper; sleep 1000");
    let _aside = Aside::start(&surroundings(sandbox.path()), order).await.unwrap();
    let helper = line(&sandbox.path().join("helper")).await;
    let of = |file: &str| std::fs::read(format!("/proc/{helper}/{file}")).unwrap();
    assert_eq!(of("environ"), b"");
    assert!(of("cmdline").ends_with(b"mesos-containerizer\0aside\0"), "{:?}", text(&of("cmdline")));
}
