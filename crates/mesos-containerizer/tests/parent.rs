//! The program as a process: what it does with real commands, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mesos_containerizer::parent::ended::{End, Ended};
use mesos_containerizer::parent::messages::{
    Identity, Order, ResourceLimit, StartFailure, Told, VERSION, Word, receive, send,
};
use mesos_containerizer::parent::told::{Grace, Line, tell};
use mesos_containerizer::processes::{self, ProcessId};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run's directories and order.
struct Run {
    dir: tempfile::TempDir,
    order: Order,
}

/// A parent that was started.
struct Parent {
    child: Child,
    socket: UnixStream,
    command: u32,
}

impl Run {
    fn shell(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (sandbox, state) = (dir.path().join("sandbox"), dir.path().join("state"));
        fs::create_dir(&sandbox).unwrap();
        fs::create_dir(&state).unwrap();
        let order = Order {
            version: VERSION,
            sandbox,
            state,
            executable: "/bin/sh".into(),
            arguments: vec!["sh".into(), "-c".into(), script.into()],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            identity: None,
            owner: None,
            limits: Vec::new(),
            log_max_size: None,
            log_max_files: 0,
            tap: false,
        };
        Self { dir, order }
    }

    fn with(mut self, change: impl FnOnce(&mut Order)) -> Self {
        change(&mut self.order);
        self
    }

    fn spawn(&self) -> (Child, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_mesos-containerizer"))
            .args(["run", "test"])
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        (child, ours)
    }

    /// Up to the command's process behind its gate.
    fn fork(&self) -> Parent {
        let (child, mut socket) = self.spawn();
        send(&mut socket, &self.order).unwrap();
        match receive(&mut socket).unwrap() {
            Told::Forked { pid } => Parent { child, socket, command: pid },
            other => panic!("{other:?}"),
        }
    }

    /// Up to the command that runs.
    fn start(&self) -> Parent {
        let mut parent = self.fork();
        assert_eq!(parent.go(), Told::Started);
        parent
    }

    fn refused(&self) -> StartFailure {
        let mut parent = self.fork();
        let Told::Failed(failure) = parent.go() else { panic!("it was started") };
        parent.join();
        failure
    }

    /// A command that is run to its end.
    fn ended(&self) -> End {
        self.start().join();
        self.end()
    }

    fn end(&self) -> End {
        End::load(&self.order.state).unwrap().expect("the end is on disk")
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap()).into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.order.sandbox.join(name)
    }
}

impl Parent {
    fn go(&mut self) -> Told {
        send(&mut self.socket, &Word::Go).unwrap();
        receive(&mut self.socket).unwrap()
    }

    /// Waits for the parent's end.
    fn join(mut self) {
        eventually("the parent ends", || self.child.try_wait().unwrap().is_some());
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // A test that failed leaves what it had started.
        let root = self.child.id();
        let _ = processes::kill_tree(|all| processes::descendants(all, root));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks at a fact, with a deadline")]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process with this in its arguments is there.
fn is_there(mark: &str) -> bool {
    marked(mark).next().is_some()
}

fn marked(mark: &str) -> impl Iterator<Item = ProcessId> {
    let own = std::process::id();
    let all = processes::all().unwrap();
    all.into_iter().filter(move |stat| stat.id.pid != own && !stat.is_zombie).map(|stat| stat.id).filter(
        move |id| {
            fs::read(format!("/proc/{}/cmdline", id.pid))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark))
        },
    )
}

/// A number of seconds that no other process sleeps.
fn unique() -> String {
    format!("9{}", uuid::Uuid::new_v4().as_u128() % 100_000_000)
}

#[rstest::rstest]
#[case::success("exit 0", Ended::Exited { code: 0 })]
#[case::a_code("exit 77", Ended::Exited { code: 77 })]
#[case::a_signal("kill -SEGV $$", Ended::Signalled { signal: 11 })]
#[case::killed("kill -KILL $$", Ended::Signalled { signal: 9 })]
fn the_end_is_left_on_disk(#[case] script: &str, #[case] expected: Ended) {
    let end = Run::shell(script).ended();
    assert_eq!(end.ended, expected);
    assert!(end.is_complete);
}

/// As the system says it of the same command: whether it can leave one is a matter of the machine.
#[test]
fn a_core_dump_is_told() {
    let script = "ulimit -c unlimited 2> /dev/null || :; kill -ABRT $$";
    let dir = tempfile::tempdir().unwrap();
    let alone = Command::new("sh").args(["-c", script]).current_dir(dir.path()).status().unwrap();
    let end = Run::shell(script).ended();
    assert_eq!((end.ended, end.dumped_core), (Ended::Signalled { signal: 6 }, alone.core_dumped()));
    assert!(!Run::shell("kill -KILL $$").ended().dumped_core);
}

#[test]
fn output_is_in_the_sandbox_and_the_last_of_stderr_with_the_end() {
    let run = Run::shell("pwd; echo out; echo why >&2; printf 'no end' >&2");
    let end = run.ended();
    assert_eq!(run.read("stdout"), format!("{}\nout\n", run.order.sandbox.display()));
    assert_eq!(run.read("stderr"), "why\nno end");
    assert_eq!(end.last_errors, "why\nno end");
}

#[test]
fn a_command_has_exactly_its_environment_and_nothing_of_ours() {
    let run = Run::shell("").with(|order| {
        order.executable = "/usr/bin/env".into();
        order.arguments = vec!["env".into()];
        order.environment = vec![("SECRET".into(), "geheim".into()), ("A".into(), "b c".into())];
    });
    run.ended();
    assert_eq!(run.read("stdout"), "SECRET=geheim\nA=b c\n");

    let run = Run::shell(
        "ls -l /proc/self/fd >&2; sed -n 's/^Sig//p' /proc/self/status; ps -o sid=,pgid= -p $$; echo $$",
    );
    let parent = run.start();
    let environ = fs::read(format!("/proc/{}/environ", parent.child.id())).unwrap_or_default();
    assert!(environ.is_empty(), "the parent has no environment");
    parent.join();
    let text = run.read("stdout");
    for mask in ["Blk", "Ign", "Cgt"] {
        let set = text.lines().find_map(|line| line.strip_prefix(&format!("{mask}:\t"))).unwrap();
        // The C library keeps 32 and 33 for itself.
        let set = u64::from_str_radix(set, 16).unwrap() & !(0b11 << 31);
        assert_eq!(set, 0, "{text}");
    }
    let lines: Vec<&str> = text.lines().rev().take(2).collect();
    let own = lines[0];
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>(),
        [own, own],
        "a session and a group of its own"
    );
    let fds = run.read("stderr");
    // Its own streams, and the directory that `ls` lists.
    assert_eq!(fds.lines().filter(|line| line.contains("->")).count(), 4, "{fds}");
    assert!(fds.contains("0 -> /dev/null"), "{fds}");
}

#[test]
fn a_command_runs_as_its_user_with_its_groups() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root becomes another");
        return;
    }
    let run = Run::shell("id -u; id -g; id -G; echo by-name > /dev/stderr; touch mine").with(|order| {
        order.identity = Some(Identity { uid: 12345, gid: 12346, groups: vec![12346, 12347] });
        order.owner = Some((12345, 12346));
    });
    std::os::unix::fs::chown(&run.order.sandbox, Some(12345), Some(12346)).unwrap();
    // What leads to a test's directory is root's alone.
    open_way(run.dir.path());
    assert_eq!(run.ended().ended, Ended::Exited { code: 0 }, "{}", run.read("stderr"));
    assert_eq!(run.read("stdout"), "12345\n12346\n12346 12347\n");
    assert_eq!(run.read("stderr"), "by-name\n");
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(fs::metadata(run.path("mine")).unwrap().uid(), 12345);
    assert_eq!(fs::metadata(run.path("stdout")).unwrap().uid(), 12345);
}

fn open_way(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn limits_are_set_and_one_that_cannot_be_is_told() {
    let limit = |name: &str, soft, hard| ResourceLimit { name: name.into(), soft, hard };
    let run = Run::shell("ulimit -Sn; ulimit -Hn; ulimit -c").with(|order| {
        order.limits = vec![limit("nofile", 64, 128), limit("core", 0, 0)];
    });
    run.ended();
    assert_eq!(run.read("stdout"), "64\n128\n0\n");
    let failure = Run::shell("true").with(|order| order.limits = vec![limit("patience", 1, 2)]).refused();
    assert_eq!(failure.exit_code, 125);
    assert!(failure.to_string().contains("limit patience"), "{failure}");
}

#[test]
fn a_command_that_cannot_be_executed_is_told_with_the_reason() {
    let run = Run::shell("").with(|order| order.executable = "/no/such/program".into());
    let failure = run.refused();
    assert_eq!((failure.exit_code, failure.what.as_str()), (127, "cannot execute /no/such/program"));
    assert!(failure.why.contains("No such file"), "{failure}");
    assert_eq!(run.end().ended, Ended::NeverStarted { why: failure.to_string() });
}

#[test]
fn a_script_without_an_interpreter_is_the_shells() {
    use std::os::unix::fs::PermissionsExt as _;
    let run = Run::shell("").with(|order| {
        order.executable = "./script".into();
        order.arguments = vec!["script".into(), "argument".into()];
    });
    fs::write(run.path("script"), "echo the $1").unwrap();
    fs::set_permissions(run.path("script"), fs::Permissions::from_mode(0o755)).unwrap();
    run.ended();
    assert_eq!(run.read("stdout"), "the argument\n");
}

#[test]
fn nothing_runs_when_the_agent_goes_before_its_word() {
    let mark = unique();
    let run = Run::shell(&format!("touch started; sleep {mark}"));
    // Before the order, after it, and before the word.
    let (mut child, socket) = run.spawn();
    drop(socket);
    eventually("the parent ends", || child.try_wait().unwrap().is_some());
    let mut parent = run.fork();
    let (_, closed) = UnixStream::pair().unwrap();
    parent.socket = closed;
    let command = parent.command;
    parent.join();
    assert!(processes::look(command).is_none());
    assert!(!run.path("started").exists());
    assert!(matches!(run.end().ended, Ended::NeverStarted { .. }));
}

#[test]
fn a_command_whose_parent_is_killed_ends_too() {
    let mark = unique();
    let run = Run::shell(&format!("exec sleep {mark}"));
    let mut parent = run.start();
    eventually("it sleeps", || is_there(&mark));
    parent.child.kill().unwrap();
    eventually("it is gone", || !is_there(&mark));
    assert_eq!(End::load(&run.order.state).unwrap(), None);
    let waiting = Run::shell(&format!("sleep {mark}")).fork();
    let command = waiting.command;
    drop(waiting);
    // Who waits for it now is nobody of ours.
    eventually("it never starts", || processes::look(command).is_none_or(|stat| stat.is_zombie));
}

#[test]
fn the_agents_end_ends_nothing() {
    let run = Run::shell("while ! [ -e go ]; do sleep 0.01; done; echo on; exit 5");
    let mut parent = run.start();
    let (_, closed) = UnixStream::pair().unwrap();
    parent.socket = closed;
    fs::write(run.path("go"), "").unwrap();
    parent.join();
    assert_eq!(run.end().ended, Ended::Exited { code: 5 });
    assert_eq!(run.read("stdout"), "on\n");
}

/// What a command leaves behind: in the background, in a session of its own, forked twice, deaf, stopped.
#[rstest::rstest]
#[case::background("sleep MARK &")]
#[case::session("setsid sleep MARK &")]
#[case::forked_twice("(setsid sh -c 'sleep MARK & exit' &)")]
#[case::deaf("sh -c 'trap \"\" TERM HUP INT; sleep MARK; sleep MARK' &")]
#[case::stopped("sleep MARK & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!")]
#[case::without_streams("setsid sleep MARK > /dev/null 2>&1 < /dev/null &")]
#[case::many("for i in 1 2 3 4 5 6 7 8 9; do (setsid sh -c 'sleep MARK & sleep MARK' &) ; done")]
fn what_a_command_leaves_behind_is_killed(#[case] script: &str) {
    let mark = unique();
    let run = Run::shell(&format!(
        "{}\nwhile [ -z \"$(pgrep -fx 'sleep {mark}')\" ]; do :; done; exit 4",
        script.replace("MARK", &mark)
    ));
    assert_eq!(run.ended().ended, Ended::Exited { code: 4 }, "{}", run.read("stderr"));
    assert!(!is_there(&mark), "something is left");
}

/// The status of the command is not taken for that of one of the many that end at the same moment.
#[test]
fn a_command_that_ends_among_others_keeps_its_status() {
    for _ in 0..10 {
        let run = Run::shell("i=0; while [ $i -lt 40 ]; do i=$((i+1)); (: &); done; exit 6");
        assert_eq!(run.ended().ended, Ended::Exited { code: 6 }, "{}", run.read("stderr"));
    }
}

#[test]
fn what_a_command_leaves_behind_in_a_stop_has_the_grace() {
    let mark = unique();
    let run = Run::shell(&format!("(sleep {mark}; echo late) & echo up; wait"));
    let parent = run.start();
    eventually("it is up", || run.read("stdout") == "up\n" && is_there(&format!("sleep\0{mark}")));
    let rest: Vec<ProcessId> = marked(&format!("sleep\0{mark}")).collect();
    // Who was started in the tick of a stop is asked once more.
    eventually("it was there before", || rest.iter().all(|id| id.start < Grace::of(Duration::ZERO).began));
    tell(&run.order.state, &Line::Grace(Grace::of(Duration::from_secs(600)))).unwrap();
    let command = processes::look(parent.command).unwrap().id;
    processes::signal_one(command, rustix::process::Signal::TERM).unwrap();
    eventually("the shell is gone", || processes::look(parent.command).is_none_or(|stat| stat.id != command));
    assert!(is_there(&format!("sleep\0{mark}")), "the rest has its time");
    // It ends by itself, and says its last word.
    let rest: Vec<ProcessId> = marked(&format!("sleep\0{mark}")).collect();
    processes::signal_all(&rest, rustix::process::Signal::KILL);
    parent.join();
    assert_eq!(run.end().ended, Ended::Signalled { signal: 15 });
    assert!(run.read("stdout").ends_with("late\n"), "{}", run.read("stdout"));
}

/// The agent lists the processes once, and one may be started behind its back.
#[test]
fn who_was_started_in_a_stop_is_asked_too() {
    let mark = unique();
    let run = Run::shell(&format!("sleep {mark} & echo up; wait"));
    let began = Grace::of(Duration::from_secs(600));
    let parent = run.start();
    eventually("it is up", || run.read("stdout") == "up\n" && is_there(&format!("sleep\0{mark}")));
    // Told late: all of it was started after the agent began.
    tell(&run.order.state, &Line::Grace(began)).unwrap();
    processes::signal_one(processes::look(parent.command).unwrap().id, rustix::process::Signal::TERM)
        .unwrap();
    parent.join();
    assert!(!is_there(&mark));
    assert_eq!(run.end().ended, Ended::Signalled { signal: 15 });
}

#[test]
fn a_grace_that_is_over_is_the_end_of_all() {
    let mark = unique();
    let run = Run::shell(&format!("sh -c 'trap \"\" TERM; sleep {mark}; sleep {mark}' & echo up; wait"));
    let parent = run.start();
    eventually("it is up", || run.read("stdout") == "up\n" && is_there(&mark));
    tell(&run.order.state, &Line::Grace(Grace::of(Duration::from_millis(50)))).unwrap();
    processes::signal_one(processes::look(parent.command).unwrap().id, rustix::process::Signal::TERM)
        .unwrap();
    parent.join();
    assert!(!is_there(&mark));
}

#[test]
fn a_line_of_ours_is_among_the_output() {
    let run = Run::shell("printf 'half a line' >&2; while ! [ -e go ]; do sleep 0.01; done; echo more >&2");
    let parent = run.start();
    eventually("it has written", || run.read("stderr") == "half a line");
    tell(&run.order.state, &Line::Note("a note".into())).unwrap();
    eventually("the note is there", || run.read("stderr").ends_with("a note\n"));
    fs::write(run.path("go"), "").unwrap();
    parent.join();
    assert_eq!(run.read("stderr"), "half a line\n[mesos-agent] a note\nmore\n");
    assert_eq!(run.end().last_errors, "half a linemore", "what is ours is not the command's");
}

#[test]
fn much_output_is_rotated_and_none_is_lost() {
    let run = Run::shell("seq 1 200000; echo done >&2").with(|order| {
        order.log_max_size = std::num::NonZeroU64::new(100_000);
        order.log_max_files = 50;
    });
    assert!(run.ended().is_complete);
    let mut text = String::new();
    let mut number = 0;
    while run.path(&format!("stdout.{}", number + 1)).exists() {
        number += 1;
    }
    assert!(number > 5, "it was rotated {number} times");
    for at in (1..=number).rev() {
        let part = run.read(&format!("stdout.{at}"));
        assert!(part.len() >= 100_000 && part.len() < 100_010 && part.ends_with('\n'), "{}", part.len());
        text.push_str(&part);
    }
    text.push_str(&run.read("stdout"));
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(text == expected, "{} bytes of {}", text.len(), expected.len());
}

/// What is in the place of a log file before the command, or put there by it, is never written through.
#[rstest::rstest]
#[case::a_link(|at: &Path, precious: &Path| symlink(precious, at).unwrap())]
#[case::a_hard_link(|at: &Path, precious: &Path| fs::hard_link(precious, at).unwrap())]
#[case::a_directory(|at: &Path, _: &Path| fs::create_dir(at).unwrap())]
#[case::a_fifo(|at: &Path, _: &Path| {
    nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(fs::metadata(at).unwrap().file_type().is_fifo());
})]
fn a_hostile_sandbox_gets_nothing_written_elsewhere(#[case] plant: fn(&Path, &Path)) {
    let run = Run::shell("seq 1 3000; echo last").with(|order| {
        order.log_max_size = std::num::NonZeroU64::new(1000);
        order.log_max_files = 2;
    });
    let precious = run.dir.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    for name in ["stdout", "stderr", "stdout.new", "stdout.1", "stdout.2"] {
        plant(&run.path(name), &precious);
    }
    assert_eq!(run.ended().ended, Ended::Exited { code: 0 });
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(run.read("stdout").ends_with("last\n"));
}

#[test]
fn a_log_that_is_replaced_under_the_command_goes_on_beside_it() {
    let run = Run::shell("rm stdout; ln -s ../precious stdout; seq 1 3000; echo last").with(|order| {
        order.log_max_size = std::num::NonZeroU64::new(1000);
        order.log_max_files = 2;
    });
    let precious = run.dir.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    run.ended();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(run.read("stdout").ends_with("last\n"));
}

#[test]
fn a_tap_has_the_output_too_and_one_that_is_gone_keeps_nobody() {
    for reads in [true, false] {
        let run = Run::shell("seq 1 50000; echo why >&2").with(|order| order.tap = true);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut tap, tapped) = std::io::pipe().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_mesos-containerizer"))
            .args(["run", "test"])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(tapped)
            .spawn()
            .unwrap();
        let mut parent = Parent { child, socket: ours, command: 0 };
        send(&mut parent.socket, &run.order).unwrap();
        assert!(matches!(receive(&mut parent.socket).unwrap(), Told::Forked { .. }));
        assert_eq!(parent.go(), Told::Started);
        if reads {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut all = Vec::new();
            tap.read_to_end(&mut all).unwrap();
            let (mut all, mut piece) = (all.as_slice(), Vec::new());
            while let Some(stream) = mesos_containerizer::parent::tap::read(&mut all, &mut piece).unwrap() {
                match stream {
                    containerizer::StreamName::Stdout => out.extend_from_slice(&piece),
                    containerizer::StreamName::Stderr => err.extend_from_slice(&piece),
                }
            }
            assert_eq!(err, b"why\n");
            assert_eq!(out, fs::read(run.path("stdout")).unwrap());
        } else {
            drop(tap);
        }
        parent.join();
        assert!(run.read("stdout").ends_with("50000\n"));
    }
}

#[test]
fn a_parent_of_another_version_says_so() {
    let run = Run::shell("true").with(|order| order.version = VERSION + 1);
    let (mut child, mut socket) = run.spawn();
    send(&mut socket, &run.order).unwrap();
    let Told::Failed(failure) = receive(&mut socket).unwrap() else { panic!("a failure") };
    assert!(failure.to_string().contains("another version"), "{failure}");
    eventually("the parent ends", || child.try_wait().unwrap().is_some());
}

/// A file system of one megabyte for a run; `None`, after saying so, where none can be mounted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn below(dir: &Path) -> Option<Self> {
        let at = dir.join("disk");
        fs::create_dir(&at).unwrap();
        let size = c"size=1m";
        match rustix::mount::mount("tmpfs", &at, "tmpfs", rustix::mount::MountFlags::empty(), Some(size)) {
            Ok(()) => Some(Self(at)),
            Err(error) => {
                eprintln!("skipped: no file system can be mounted: {error}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

fn on(disk: &SmallDisk, script: &str) -> Run {
    Run::shell(script).with(|order| {
        order.sandbox = disk.0.join("sandbox");
        order.state = disk.0.join("state");
        fs::create_dir(&order.sandbox).unwrap();
        fs::create_dir(&order.state).unwrap();
    })
}

/// More than a pipe holds is written while the disk is full, so that the parent has had to leave it out.
#[test]
fn output_on_a_full_disk_is_left_out_and_told_and_the_command_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::below(dir.path()) else { return };
    let run = on(
        &disk,
        "echo first; until grep -q first stdout; do :; done; dd if=/dev/zero of=fill bs=4k 2> /dev/null; \
         seq 100000; rm fill; echo last; exit 3",
    );
    let end = run.ended();
    assert_eq!(end.ended, Ended::Exited { code: 3 });
    assert!(!end.is_complete);
    let text = run.read("stdout");
    assert!(text.starts_with("first\n") && text.contains("bytes of output are missing here"), "{text}");
    assert!(text.ends_with("last\n") || text.ends_with("100000\nlast\n"), "{text}");
}

#[test]
fn a_command_that_has_filled_its_disk_keeps_its_exit_status() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::below(dir.path()) else { return };
    let run = on(&disk, "dd if=/dev/zero of=fill bs=1k 2> /dev/null; echo why >&2; exit 4");
    let end = run.ended();
    assert_eq!((end.ended, end.last_errors.as_str()), (Ended::Exited { code: 4 }, "why"));
}

/// Somebody outside of the tree who has the pipe does not hold up the end.
#[test]
fn a_pipe_that_somebody_else_holds_is_no_command_that_runs() {
    let run = Run::shell("echo up; while ! [ -e go ]; do sleep 0.01; done; echo done");
    let parent = run.start();
    eventually("it is up", || run.read("stdout") == "up\n");
    let held = fs::OpenOptions::new().write(true).open(format!("/proc/{}/fd/1", parent.command)).unwrap();
    fs::write(run.path("go"), "").unwrap();
    parent.join();
    assert_eq!(run.read("stdout"), "up\ndone\n");
    drop(held);
}
