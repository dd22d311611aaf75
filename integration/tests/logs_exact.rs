//! Exact logs on a real engine: what a task writes is in its sandbox once each and in order, whatever it writes and
//! however the engine rotates its own log meanwhile.

use std::num::NonZeroU64;

use anyhow::{Context as _, Result, ensure};
use integration::logs_check::{MARK, Rig, RigOptions, Run, check_all_numbers, check_numbers, read_stream};
use integration::supervised::Task;
use integration::{Fault, FaultProxy, Rule, TestScope, eventually, require_engine};
use sandbox::RotationPolicy;

const SOON: std::time::Duration = std::time::Duration::from_secs(60);

async fn rig(scope: &TestScope, options: RigOptions) -> Result<Rig> {
    Rig::new(scope.engine().socket(), &scope.agent_id(), &scope.subdir("w")?, options).await
}

async fn end(rig: &Rig, scope: &TestScope) -> Result<()> {
    rig.settled().await?;
    scope.assert_clean().await
}

/// Runs a shell line to its end and returns the run.
async fn run(rig: &Rig, line: &str) -> Result<Run> {
    let mut run = rig.launch(&Task::shell(line))?;
    run.finished().await?;
    Ok(run)
}

/// Lines of 100 bytes with rising numbers, as fast as they can be written.
fn flood(lines: u64) -> String {
    format!("awk 'BEGIN {{ for (i = 1; i <= {lines}; i++) printf \"%099d\\n\", i }}'")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_output_is_exact() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    for (line, stdout, stderr) in [
        ("true", Vec::new(), Vec::new()),
        ("echo x", b"x\n".to_vec(), Vec::new()),
        ("printf 'no end'", b"no end".to_vec(), Vec::new()),
        (
            "printf 'one\\nno end'; printf 'two\\nno end' >&2",
            b"one\nno end".to_vec(),
            b"two\nno end".to_vec(),
        ),
        ("printf '\\377\\000\\200\\n\\n\\303'", b"\xff\0\x80\n\n\xc3".to_vec(), Vec::new()),
        ("printf '\\r\\n\\n\\r'", b"\r\n\n\r".to_vec(), Vec::new()),
        ("head -c 1000000 /dev/zero | tr '\\0' a", vec![b'a'; 1_000_000], Vec::new()),
        // A line break behind the very last long line is lost by the driver `local` of Docker 20.10, so a line follows.
        (
            "head -c 1000000 /dev/zero | tr '\\0' b >&2; echo >&2; echo end >&2",
            Vec::new(),
            [&[b'b'; 1_000_000][..], b"\nend\n"].concat(),
        ),
        (
            "for n in 32768 40000 16384; do head -c $n /dev/zero | tr '\\0' e; echo; done; echo end",
            [&[b'e'; 32768][..], b"\n", &[b'e'; 40000], b"\n", &[b'e'; 16384], b"\nend\n"].concat(),
            Vec::new(),
        ),
        (
            "head -c 16384 /dev/zero | tr '\\0' c; echo; head -c 16383 /dev/zero | tr '\\0' d; echo",
            [vec![b'c'; 16384], vec![b'\n'], vec![b'd'; 16383], vec![b'\n']].concat(),
            Vec::new(),
        ),
    ] {
        let ran = run(&rig, line).await.with_context(|| line.to_owned())?;
        ensure!(ran.read("stdout")? == stdout, "stdout of {line}: {:?}", head(&ran.read("stdout")?));
        ensure!(ran.read("stderr")? == stderr, "stderr of {line}: {:?}", head(&ran.read("stderr")?));
    }
    end(&rig, &scope).await
}

fn head(bytes: &[u8]) -> String {
    format!("{} bytes, {:?}", bytes.len(), String::from_utf8_lossy(&bytes[..bytes.len().min(200)]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_streams_keep_their_own_order() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    let line = "i=1; while [ $i -le 3000 ]; do echo \"out $i\"; echo \"err $i\" >&2; i=$((i+1)); done";
    let ran = run(&rig, line).await?;
    check_all_numbers(&ran.read("stdout")?, "out ", 3000)?;
    check_all_numbers(&ran.read("stderr")?, "err ", 3000)?;
    // Two processes that write at the same time.
    let line = "awk 'BEGIN { for (i = 1; i <= 50000; i++) print \"out\", i }' & \
                awk 'BEGIN { for (i = 1; i <= 50000; i++) print \"err\", i }' >&2; wait";
    let ran = run(&rig, line).await?;
    check_all_numbers(&ran.read("stdout")?, "out ", 50_000)?;
    check_all_numbers(&ran.read("stderr")?, "err ", 50_000)?;
    end(&rig, &scope).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ends_at_once_has_its_output_each_time() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    for round in 0..10 {
        let mut runs = (0..5)
            .map(|at| rig.launch(&Task::shell(&format!("echo x {round} {at}; echo y {round} {at} >&2"))))
            .collect::<Result<Vec<_>>>()?;
        for (at, run) in runs.iter_mut().enumerate() {
            run.finished().await?;
            // The output was there before the terminal status.
            ensure!(
                run.read("stdout")? == format!("x {round} {at}\n").as_bytes(),
                "{round} {at}: {}",
                head(&run.read("stdout")?)
            );
            ensure!(run.read("stderr")? == format!("y {round} {at}\n").as_bytes(), "{round} {at}");
        }
    }
    end(&rig, &scope).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_gives_what_a_terminal_makes_of_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    let with_tty = |line: &str| {
        Task::shell(line)
            .container(|container| container.tty_info = Some(mesos_proto::v1::TtyInfo::default()))
    };
    for (line, expected) in [
        ("echo x", "x\r\n".to_owned()),
        ("test -t 1 && echo a terminal; echo error >&2", "a terminal\r\nerror\r\n".to_owned()),
        ("seq 1 2000", (1..=2000).map(|i| format!("{i}\r\n")).collect()),
    ] {
        let mut run = rig.launch(&with_tty(line))?;
        run.finished().await?;
        ensure!(run.read("stdout")? == expected.as_bytes(), "{line}: {}", head(&run.read("stdout")?));
        ensure!(run.read("stderr")?.is_empty(), "{line}: {}", head(&run.read("stderr")?));
    }
    end(&rig, &scope).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_log_drivers_are_read_too() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rig = rig(&scope, RigOptions::default()).await?;
    let numbers = "seq 1 20000; seq 1 100 >&2";
    let json = || Task::shell(numbers).parameter("log-driver", "json-file");
    for (name, task) in [
        ("none", Task::shell(numbers).parameter("log-driver", "none")),
        ("json-file", json()),
        ("json-file, small", json().parameter("log-opt", "max-size=1m").parameter("log-opt", "max-file=4")),
        ("local", Task::shell(numbers).parameter("log-driver", "local")),
    ] {
        let mut run = rig.launch(&task)?;
        run.finished().await?;
        check_all_numbers(&run.read("stdout")?, "", 20_000).with_context(|| name.to_owned())?;
        check_all_numbers(&run.read("stderr")?, "", 100).with_context(|| name.to_owned())?;
    }
    end(&rig, &scope).await
}

/// Lines as [`flood`], in pieces of 100 kB, never more than 2 MB ahead of what is in the sandbox.
fn paced(pieces: u64) -> String {
    format!(
        "i=0; while [ $i -lt {pieces} ]; do \
         while [ $(stat -c %s $MESOS_SANDBOX/stdout) -lt $(((i-20)*100000)) ]; do usleep 2000; done; \
         awk -v a=$((i*1000+1)) 'BEGIN {{ for (n = a; n < a + 1000; n++) printf \"%099d\\n\", n }}'; i=$((i+1)); done"
    )
}

/// About 20 MB, so that the engine goes through its five files four times. Each rotation costs the reader a request or
/// two, and none of them reads what lies far behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_the_engine_rotates_under_a_paced_writer() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let options = RigOptions { engine_file_size: 1 << 20, engine_files: 5, ..RigOptions::default() };
    let rig = Rig::new(proxy.socket(), &scope.agent_id(), &scope.subdir("w")?, options).await?;
    let ran = run(&rig, &paced(200)).await?;
    check_all_numbers(&ran.read("stdout")?, "", 200_000)?;
    ensure!(ran.read("stderr")?.is_empty(), "{}", head(&ran.read("stderr")?));
    let requests: Vec<_> = proxy.requests().into_iter().filter(|r| r.target.contains("/logs?")).collect();
    let near = requests.iter().filter(|request| request.target.contains("tail=")).count();
    let far = requests.len() - near;
    println!("20 MB over about 25 rotations: {near} short reads and {far} long ones");
    // The first read has no place to begin at.
    ensure!(near < 150 && far < 25, "{near} short reads, {far} long ones");
    end(&rig, &scope).await
}

/// Line by line, so that the reader is at the end of the log whenever it is rotated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_keeps_up_sees_every_line_over_many_rotations() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let options = RigOptions { engine_file_size: 16 << 10, engine_files: 5, ..RigOptions::default() };
    let rig = rig(&scope, options).await?;
    // Never more than half a file ahead: an engine that is slow to open its next file would leave out a whole one.
    let line = "i=1; while [ $i -le 400 ]; do printf '%0999d\\n' $i; \
                while [ $(stat -c %s $MESOS_SANDBOX/stdout) -lt $(((i-8)*1000)) ]; do usleep 1000; done; i=$((i+1)); done";
    let ran = run(&rig, line).await?;
    check_all_numbers(&ran.read("stdout")?, "", 400)?;
    end(&rig, &scope).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_line_is_whole_though_the_engine_rotates_inside_it() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let options = RigOptions { engine_file_size: 100_000, engine_files: 20, ..RigOptions::default() };
    let rig = rig(&scope, options).await?;
    // All pieces of such a line have one stamp; they are all alike in the first and differ in the second.
    for (piece, expected) in [
        ("head -c 20000 /dev/zero | tr '\\0' a", vec![b'a'; 50 * 20_000]),
        ("printf '%020000d' $i", (1..=50).flat_map(|i| format!("{i:020000}").into_bytes()).collect()),
    ] {
        let line = format!("i=1; while [ $i -le 50 ]; do {piece}; usleep 20000; i=$((i+1)); done");
        let ran = run(&rig, &line).await?;
        let found = ran.read("stdout")?;
        let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        ensure!(
            found == expected,
            "{piece}: {} instead of {} bytes, the first other one at {differs:?}: {}",
            found.len(),
            expected.len(),
            head(&found[differs.unwrap_or(expected.len().min(found.len()))..]),
        );
    }
    end(&rig, &scope).await
}

/// The request that goes on with new output, which here brings none.
fn silent_follow() -> Rule {
    Rule::new("GET", "/containers/*/logs", Fault::StallBody(0)).with_query("follow=1")
}

/// An engine that has much to do looks for a log's last lines for as long as it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_log_is_waited_for() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let rig = Rig::new(proxy.socket(), &scope.agent_id(), &scope.subdir("w")?, RigOptions::default()).await?;
    proxy.add(silent_follow());
    let slowly = Fault::Drip(1 << 20, std::time::Duration::from_secs(3));
    proxy.add(Rule::new("GET", "/containers/*/logs", slowly).with_query("follow=0"));
    let ran = run(&rig, "echo a line; echo an error >&2").await?;
    let found = (ran.read("stdout")?, ran.read("stderr")?);
    ensure!(found == (b"a line\n".to_vec(), b"an error\n".to_vec()), "{} {}", head(&found.0), head(&found.1));
    end(&rig, &scope).await
}

/// What the engine says in place of output is no end of the log: it is read again, and where the engine says it each
/// time, the gap is marked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_cannot_read_its_log_on_is_asked_again() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let proxy = FaultProxy::start(engine.socket()).await?;
    let rig = Rig::new(proxy.socket(), &scope.agent_id(), &scope.subdir("w")?, RigOptions::default()).await?;
    proxy.add(silent_follow());
    // A frame of the kind for the engine's own errors, with its length.
    let complaint = Fault::Replace(200, "\u{3}\0\0\0\0\0\0\u{1c}Error grabbing logs: a test\n".to_owned());
    let rule = Rule::new("GET", "/containers/*/logs", complaint).with_query("follow=0");
    let once = proxy.add(rule.clone().times(1));
    let ran = run(&rig, "echo a line").await?;
    ensure!(proxy.hits(once) == 1 && ran.read("stdout")? == b"a line\n", "{}", head(&ran.read("stdout")?));
    ensure!(ran.read("stderr")?.is_empty(), "{}", head(&ran.read("stderr")?));

    let always = proxy.add(rule);
    let ran = run(&rig, "echo a line").await?;
    let marked = format!("{MARK}output is missing here: the engine's log could not be read to its end\n");
    ensure!(
        proxy.hits(always) > 1 && ran.read("stdout")? == marked.as_bytes(),
        "{}",
        head(&ran.read("stdout")?)
    );
    end(&rig, &scope).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_over_tiny_engine_logs_has_only_marked_gaps() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    for (file_size, files) in [(1 << 20, 5), (256 << 10, 2)] {
        let options =
            RigOptions { engine_file_size: file_size, engine_files: files, ..RigOptions::default() };
        let rig =
            Rig::new(engine.socket(), &scope.agent_id(), &scope.subdir(&format!("w{file_size}"))?, options)
                .await?;
        let began = std::time::Instant::now();
        // What is rotated away before the reader has seen a first line leaves nothing to miss it by.
        let line = "printf '%099d\\n' 1; while [ ! -s $MESOS_SANDBOX/stdout ]; do usleep 1000; done; \
                    awk 'BEGIN { for (i = 2; i <= 200000; i++) printf \"%099d\\n\", i }'";
        let ran = run(&rig, line).await?;
        let numbers = check_numbers(&ran.read("stdout")?, "")?;
        println!("20 MB over {files} files of {file_size}: {numbers:?} in {:?}", began.elapsed());
        ensure!(numbers.last == 200_000, "the end is missing: {numbers:?}");
        ensure!(numbers.gaps > 0 || numbers.lines == 200_000, "{numbers:?}");
        rig.settled().await?;
    }
    scope.assert_clean().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_over_many_rotations_are_exact() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    // Small enough that the engine rotates many times, large enough that nothing may go.
    let options = RigOptions { engine_file_size: 8 << 20, engine_files: 20, ..RigOptions::default() };
    let rig = rig(&scope, options).await?;
    let began = std::time::Instant::now();
    let ran = run(&rig, &flood(1_000_000)).await?;
    println!("100 MB in {:?}", began.elapsed());
    let log = ran.read("stdout")?;
    ensure!(log.len() == 100_000_000, "{} bytes; {:?}", log.len(), check_numbers(&log, ""));
    check_all_numbers(&log, "", 1_000_000)?;
    end(&rig, &scope).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandboxs_own_rotation_splits_no_line_and_loses_none() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rotation = RotationPolicy { max_size: NonZeroU64::new(100_000), max_files: 200 };
    let rig = rig(&scope, RigOptions { rotation, ..RigOptions::default() }).await?;
    let ran = run(&rig, &format!("{}; {} >&2", flood(100_000), flood(1000))).await?;
    check_all_numbers(&ran.read("stdout")?, "", 100_000)?;
    check_all_numbers(&ran.read("stderr")?, "", 1000)?;
    let sandbox = ran.layout().sandbox();
    for name in ["stdout.1", "stdout.50", "stdout.99"] {
        let part = std::fs::read(sandbox.join(name)).with_context(|| name.to_owned())?;
        ensure!(part.ends_with(b"\n") && part.len() <= 100_100, "{name}: {}", head(&part));
    }
    ensure!(!sandbox.join("stdout.101").exists(), "rotated too often");
    end(&rig, &scope).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_as_many_rotated_files_are_kept_as_the_flag_says() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let scope = TestScope::new(&engine).await?;
    let rotation = RotationPolicy { max_size: NonZeroU64::new(10_000), max_files: 3 };
    let rig = rig(&scope, RigOptions { rotation, ..RigOptions::default() }).await?;
    let mut task = rig.launch(&Task::shell(&format!("{}; sleep 1000", flood(2000))))?;
    task.running().await?;
    let sandbox = task.layout().sandbox().to_owned();
    let last = format!("{:099}\n", 2000);
    eventually("the last line", SOON, async || {
        Ok(read_stream(&sandbox, "stdout").is_ok_and(|log| log.ends_with(last.as_bytes())).then_some(()))
    })
    .await?;
    task.kill(Some(std::time::Duration::ZERO)).await?;
    task.ended().await?;
    let mut names: Vec<_> = std::fs::read_dir(&sandbox)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    ensure!(names == ["stderr", "stdout", "stdout.1", "stdout.2", "stdout.3"], "{names:?}");
    let log = String::from_utf8(read_stream(&sandbox, "stdout")?)?;
    let numbers: Vec<u64> = log.lines().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{:?}", numbers.first());
    ensure!(!log.contains(MARK), "a line of ours");
    end(&rig, &scope).await
}
