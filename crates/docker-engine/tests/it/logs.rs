//! Output through the log driver and through attach.

use docker_engine::{ErrorKind, Follow, LogConfig, LogFrame, LogRequest, OutputStream, Terminal};

use crate::support::{Lab, SOON, with_engine};

async fn read(lab: &Lab, id: &str, request: &LogRequest) -> Vec<LogFrame> {
    let mut reader = lab.engine.logs(id, request, SOON).await.unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = tokio::time::timeout(SOON, reader.next_frame()).await.unwrap() {
        frames.push(frame.unwrap());
    }
    frames
}

fn joined(frames: &[LogFrame], stream: OutputStream) -> Vec<u8> {
    frames.iter().filter(|frame| frame.stream == stream).flat_map(|frame| frame.payload.to_vec()).collect()
}

async fn run_with_driver(lab: &Lab, name: &str, driver: &str, cmd: &[&str]) -> String {
    let mut body = lab.body(cmd);
    body.host_config.log_config = Some(LogConfig { driver: driver.into(), ..LogConfig::default() });
    let id = lab.create(name, &body).await;
    lab.engine.start(&id, SOON).await.unwrap();
    id
}

#[tokio::test]
async fn both_streams_are_read_to_the_end_with_stamps() {
    with_engine("both_streams_are_read_to_the_end_with_stamps", |lab| async move {
        let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; echo -n no line break";
        for driver in ["local", "json-file"] {
            let id = run_with_driver(&lab, driver, driver, &["/bin/sh", "-c", script]).await;
            let started = lab.inspect(&id).await.state.started_at.stamp().unwrap();
            let followed = read(&lab, &id, &LogRequest::all(Follow::Yes)).await;
            lab.engine.wait_not_running(&id, SOON).await.unwrap();
            let frames = read(&lab, &id, &LogRequest::all(Follow::No)).await;
            assert_eq!(joined(&frames, OutputStream::Stdout), b"out 1\nout 2\nout 3\nno line break");
            assert_eq!(joined(&frames, OutputStream::Stderr), b"err 1\nerr 2\nerr 3\n");
            assert!(frames.iter().all(|frame| frame.stamp.secs() >= started.secs() - 1));
            // The engine may end a follow before the last lines, on a busy host.
            assert!(frames.starts_with(&followed), "{driver}: {followed:?}");

            let only = LogRequest { stdout: false, ..LogRequest::all(Follow::No) };
            assert!(read(&lab, &id, &only).await.iter().all(|frame| frame.stream == OutputStream::Stderr));
            let tail = LogRequest { tail: Some(1), ..LogRequest::all(Follow::No) };
            assert_eq!(read(&lab, &id, &tail).await.len(), 1);
            let later = frames.last().unwrap().stamp.secs() + 100;
            let since = LogRequest { since_secs: Some(later), ..LogRequest::all(Follow::No) };
            assert_eq!(read(&lab, &id, &since).await, []);
        }
    })
    .await;
}

#[tokio::test]
async fn long_lines_and_any_bytes_come_as_they_were_written() {
    with_engine("long_lines_and_any_bytes_come_as_they_were_written", |lab| async move {
        // 1 MiB of random bytes. The line break at the end is there because the engine keeps a line until it has one.
        let script = "head -c 1048576 /dev/urandom > /tmp-bytes; cat /tmp-bytes; echo; sleep 600";
        let id = run_with_driver(&lab, "a", "local", &["/bin/sh", "-c", script]).await;
        let mut reader = lab.engine.logs(&id, &LogRequest::all(Follow::Yes), SOON).await.unwrap();
        let mut logged = Vec::new();
        while logged.len() < (1 << 20) + 1 {
            let frame = tokio::time::timeout(SOON, reader.next_frame()).await.unwrap().unwrap().unwrap();
            logged.extend_from_slice(&frame.payload);
        }
        let pid = lab.inspect(&id).await.state.pid.unwrap();
        let written = std::fs::read(format!("/proc/{pid}/root/tmp-bytes"));
        assert_eq!(logged.pop(), Some(b'\n'));
        match written {
            Ok(written) => assert!(written == logged, "the bytes are the same"),
            Err(error) => {
                println!("SKIPPED the comparison: the container's files cannot be seen from here: {error}")
            }
        }
        assert_eq!(logged.len(), 1 << 20);
    })
    .await;
}

#[tokio::test]
async fn a_driver_that_cannot_be_read_says_so() {
    with_engine("a_driver_that_cannot_be_read_says_so", |lab| async move {
        let id = run_with_driver(&lab, "a", "none", &["/bin/sleep", "600"]).await;
        let error = lab.engine.logs(&id, &LogRequest::all(Follow::Yes), SOON).await.unwrap_err();
        assert!(
            error.engine_message().is_some_and(|message| message.contains("does not support reading")),
            "{error}"
        );
        let absent =
            lab.engine.logs("no-such-container", &LogRequest::all(Follow::No), SOON).await.unwrap_err();
        assert!(absent.is_not_found(), "{absent}");
    })
    .await;
}

#[tokio::test]
async fn a_terminal_is_read_through_attach_only() {
    with_engine("a_terminal_is_read_through_attach_only", |lab| async move {
        let mut body = lab.body(&["/bin/sh", "-c", "echo one; echo two >&2"]);
        body.tty = true;
        let id = lab.create("a", &body).await;
        let mut attached = lab.engine.attach(&id, Terminal::Yes, SOON).await.unwrap();
        lab.engine.start(&id, SOON).await.unwrap();
        let mut output = Vec::new();
        while let Some(frame) = tokio::time::timeout(SOON, attached.next_frame()).await.unwrap() {
            let frame = frame.unwrap();
            assert_eq!(frame.stream, OutputStream::Stdout);
            output.extend_from_slice(&frame.payload);
        }
        assert_eq!(output, b"one\r\ntwo\r\n");
        let mut reader = lab.engine.logs(&id, &LogRequest::all(Follow::No), SOON).await.unwrap();
        let error = reader.next_frame().await.unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{error}");
        assert!(reader.next_frame().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn attach_before_the_start_misses_nothing() {
    with_engine("attach_before_the_start_misses_nothing", |lab| async move {
        let script = "seq 1 2000; echo error >&2";
        let mut body = lab.body(&["/bin/sh", "-c", script]);
        body.attach_stdout = true;
        body.attach_stderr = true;
        let id = lab.create("a", &body).await;
        let mut attached = lab.engine.attach(&id, Terminal::No, SOON).await.unwrap();
        lab.engine.start(&id, SOON).await.unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(frame) = tokio::time::timeout(SOON, attached.next_frame()).await.unwrap() {
            let frame = frame.unwrap();
            let output = if frame.stream == OutputStream::Stdout { &mut stdout } else { &mut stderr };
            output.extend_from_slice(&frame.payload);
        }
        let expected: String = (1..=2000).map(|n| format!("{n}\n")).collect();
        assert!(stdout == expected.as_bytes(), "stdout is complete");
        assert_eq!(stderr, b"error\n");
    })
    .await;
}
