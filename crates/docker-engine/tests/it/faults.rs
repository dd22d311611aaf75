//! Engines that go away, hang, or talk nonsense: scripted on the socket.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use docker_engine::{
    CreateBody, Engine, EngineError, EngineOptions, ErrorKind, Follow, LogRequest, OutputStream, Terminal,
};
use rstest::rstest;

use crate::support::{SOON, Script, ScriptedEngine, answer};

const SHORT: Duration = Duration::from_millis(200);
const INSPECTION: &str = r#"{"Id":"c1","State":{"Status":"running","Running":true,"Pid":7}}"#;

async fn connect(engine: &ScriptedEngine) -> Engine {
    Engine::connect(EngineOptions::new(&engine.socket)).await.unwrap()
}

fn is_broken(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::StreamBroken { .. }) && error.outcome_unknown()
}

#[tokio::test]
async fn a_kept_connection_that_died_with_its_daemon_is_no_error() {
    let first = ScriptedEngine::start(|_, _| answer("200 OK", INSPECTION));
    let engine = connect(&first).await;
    engine.inspect("c1", SOON).await.unwrap();
    let socket = first.socket.clone();
    let _dir = first.stop().await;
    let second = ScriptedEngine::start_at(&socket, |_, line| {
        if line.starts_with("POST") { answer("204 No Content", "") } else { answer("200 OK", INSPECTION) }
    });
    // Also what must not be sent twice goes through, as it was never sent on the dead connection.
    engine.start("c1", SOON).await.unwrap();
    engine.inspect("c1", SOON).await.unwrap();
    assert_eq!(second.seen().len(), 2);
}

#[tokio::test]
async fn a_daemon_that_dies_on_the_request_is_asked_again_only_where_that_is_safe() {
    let scripted = ScriptedEngine::start(|connection, line| match connection {
        0 if line.contains("/_ping") => answer("200 OK", "OK"),
        0 => Script::Close,
        _ if line.contains("/start") => answer("204 No Content", ""),
        _ => answer("200 OK", INSPECTION),
    });
    let engine = connect(&scripted).await;
    engine.ping(SOON).await.unwrap();
    engine.inspect("c1", SOON).await.unwrap();

    let scripted =
        ScriptedEngine::start(
            |_, line| {
                if line.contains("/_ping") { answer("200 OK", "OK") } else { Script::Close }
            },
        );
    let engine = connect(&scripted).await;
    engine.ping(SOON).await.unwrap();
    let error = engine.start("c1", SOON).await.unwrap_err();
    assert!(is_broken(&error), "{error}");
    let starts = scripted.seen().iter().filter(|line| line.contains("/start")).count();
    assert_eq!(starts, 1, "a start is sent once: a second one could run the task twice");
}

#[tokio::test]
async fn a_daemon_that_hangs_meets_the_deadline() {
    let scripted = ScriptedEngine::start(|_, _| Script::Hang);
    let engine = connect(&scripted).await;
    let body = CreateBody::default();
    let errors = [
        engine.ping(SHORT).await.unwrap_err(),
        engine.inspect("c1", SHORT).await.unwrap_err(),
        engine.create("c1", &body, SHORT).await.unwrap_err(),
        engine.start("c1", SHORT).await.unwrap_err(),
        engine.wait_not_running("c1", SHORT).await.unwrap_err(),
        engine.logs("c1", &LogRequest::all(Follow::Yes), SHORT).await.unwrap_err(),
        engine.attach("c1", Terminal::No, SHORT).await.unwrap_err(),
        engine.network_inspect("n1", SHORT).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), &ErrorKind::Timeout { after: SHORT });
        assert!(error.outcome_unknown() && error.to_string().contains("outcome is unknown"), "{error}");
    }
}

#[tokio::test]
async fn a_call_whose_turn_does_not_come_was_never_sent() {
    let scripted = ScriptedEngine::start(|_, _| Script::Hang);
    let mut options = EngineOptions::new(&scripted.socket);
    options.max_starts_in_flight = 1;
    let engine = Engine::connect(options).await.unwrap();
    let first = tokio::spawn({
        let engine = engine.clone();
        async move { engine.start("c1", SOON).await }
    });
    while !scripted.seen().iter().any(|line| line.contains("/c1/start")) {
        tokio::task::yield_now().await;
    }
    let error = engine.start("c2", SHORT).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Queued { after: SHORT });
    assert!(!error.outcome_unknown());
    first.abort();
    assert!(!scripted.seen().iter().any(|line| line.contains("c2")));
}

#[rstest]
#[case::nothing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")]
#[case::half_a_chunk("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n{\"Error\":null,")]
#[case::a_proper_end_without_a_word("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]
#[case::a_daemon_that_shuts_down(
    "HTTP/1.1 200 OK\r\nContent-Length: 59\r\n\r\n{\"Error\":{\"Message\":\"context canceled\"},\"StatusCode\":-1}     "
)]
#[tokio::test]
async fn a_wait_that_is_cut_is_never_an_exit(#[case] sent: &'static str) {
    let scripted = ScriptedEngine::start(move |_, _| Script::AnswerAndClose(sent.into()));
    let engine = connect(&scripted).await;
    let error = engine.wait_not_running("c1", SOON).await.unwrap_err();
    assert!(is_broken(&error), "{error}");
}

fn chunk(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn frame(kind: u8, payload: &str) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(payload.as_bytes());
    bytes
}

fn log_answer(chunks: &[Vec<u8>], end: &[u8]) -> Script {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for payload in chunks {
        bytes.extend(chunk(payload));
    }
    bytes.extend_from_slice(end);
    Script::AnswerAndClose(bytes)
}

const STAMP: &str = "2026-08-01T10:00:00.123456789Z";

#[tokio::test]
async fn a_log_that_is_cut_is_told_from_one_that_ended() {
    let line = frame(1, &format!("{STAMP} hello\n"));
    let cases = [
        (log_answer(std::slice::from_ref(&line), b"0\r\n\r\n"), 1, false),
        (log_answer(std::slice::from_ref(&line), b""), 1, true),
        (log_answer(&[line[..20].to_vec()], b"0\r\n\r\n"), 0, true),
        (log_answer(&[line[..20].to_vec(), line[20..].to_vec()], b"0\r\n\r\n"), 1, false),
    ];
    for (script, frames, broken) in cases {
        let scripted = ScriptedEngine::start(move |_, _| script.clone());
        let engine = connect(&scripted).await;
        let mut reader = engine.logs("c1", &LogRequest::all(Follow::Yes), SOON).await.unwrap();
        for _ in 0..frames {
            let frame = reader.next_frame().await.unwrap().unwrap();
            assert_eq!((frame.stream, &frame.payload[..]), (OutputStream::Stdout, &b"hello\n"[..]));
            assert_eq!(frame.stamp.as_nanos() % 1_000_000_000, 123_456_789);
        }
        match reader.next_frame().await {
            None => assert!(!broken),
            Some(item) => assert!(broken && is_broken(&item.unwrap_err())),
        }
        assert!(reader.next_frame().await.is_none());
    }
}

#[tokio::test]
async fn an_error_text_in_a_log_is_an_item_of_its_own() {
    let frames =
        [frame(3, "Error grabbing logs: invalid character\n"), frame(2, &format!("{STAMP} after\n"))];
    let script = log_answer(&[frames.concat()], b"0\r\n\r\n");
    let scripted = ScriptedEngine::start(move |_, _| script.clone());
    let engine = connect(&scripted).await;
    let mut reader = engine.logs("c1", &LogRequest::all(Follow::No), SOON).await.unwrap();
    let error = reader.next_frame().await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InStream { .. }), "{error}");
    assert_eq!(error.engine_message(), Some("Error grabbing logs: invalid character"));
    assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, "after\n");
    assert!(reader.next_frame().await.is_none());
}

#[rstest]
#[case::no_stamp(frame(1, "hello\n"))]
#[case::no_frame(b"hello world\n".to_vec())]
#[case::too_long(vec![1, 0, 0, 0, 0xff, 0, 0, 0, b'x'])]
#[tokio::test]
async fn a_log_that_is_none_is_an_error(#[case] bytes: Vec<u8>) {
    let script = log_answer(&[bytes], b"0\r\n\r\n");
    let scripted = ScriptedEngine::start(move |_, _| script.clone());
    let engine = connect(&scripted).await;
    let mut reader = engine.logs("c1", &LogRequest::all(Follow::No), SOON).await.unwrap();
    let error = reader.next_frame().await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{error}");
    assert!(reader.next_frame().await.is_none());
}

#[tokio::test]
async fn a_log_that_stops_meets_the_inactivity_deadline() {
    // The head and one line, and then nothing: the connection stays open.
    let bytes = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        chunk(&frame(1, &format!("{STAMP} hello\n"))),
    ]
    .concat();
    let scripted = ScriptedEngine::start(move |_, _| Script::Answer(bytes.clone()));
    let engine = connect(&scripted).await;
    let request = LogRequest { inactivity: Some(SHORT), ..LogRequest::all(Follow::No) };
    let mut reader = engine.logs("c1", &request, SOON).await.unwrap();
    assert_eq!(reader.next_frame().await.unwrap().unwrap().payload, "hello\n");
    let error = reader.next_frame().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout { after: SHORT });
    assert!(reader.next_frame().await.is_none());
}

#[tokio::test]
async fn a_socket_nobody_answers_on_comes_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let hint = async |socket: &std::path::Path| {
        let error = Engine::connect(EngineOptions::new(socket)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unreachable { .. }) && error.is_engine_away(), "{error}");
        assert!(
            std::error::Error::source(&error)
                .is_some_and(|cause| !error.to_string().contains(&cause.to_string()))
        );
        error.hint().unwrap().to_owned()
    };
    assert!(hint(&socket).await.contains("--docker_socket"));
    // A listener that is gone leaves its file behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(hint(&socket).await.contains("nobody listens"));
    // Root is never refused, so there is only something to see without it.
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    let refused = std::os::unix::net::UnixStream::connect(&socket).unwrap_err();
    if refused.kind() == std::io::ErrorKind::PermissionDenied {
        assert!(hint(&socket).await.contains("no permission"));
    }
}

#[rstest]
#[case(r#"{"ApiVersion":"1.39"}"#, "Incompatible", "19.03")]
#[case(r#"{"ApiVersion":"1.60","MinAPIVersion":"1.55"}"#, "Incompatible", "upgrade this program")]
#[case(r#"{"ApiVersion":"new"}"#, "Protocol", "not an API version")]
#[case("<html>", "Protocol", "cannot be read")]
#[tokio::test]
async fn an_engine_that_cannot_be_spoken_with_is_refused(
    #[case] version: &'static str,
    #[case] kind: &str,
    #[case] part: &str,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{version}", version.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let error = Engine::connect(EngineOptions::new(&socket)).await.unwrap_err();
    server.await.unwrap();
    assert!(format!("{:?}", error.kind()).starts_with(kind), "{error:?}");
    assert!(error.to_string().contains(part), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_json_or_no_http_is_a_protocol_error() {
    let scripted = ScriptedEngine::start(|_, line| {
        if line.contains("/json") {
            answer("200 OK", r#"{"Id":7}"#)
        } else {
            Script::AnswerAndClose(b"hello\r\n\r\n".into())
        }
    });
    let engine = connect(&scripted).await;
    for error in [engine.inspect("c1", SOON).await.unwrap_err(), engine.info(SOON).await.unwrap_err()] {
        assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_answer_before_the_request_was_written_spoils_no_later_call() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut lines = BufReader::new(stream).lines();
                let mut create = false;
                while let Ok(Some(line)) = lines.next_line().await {
                    create |= line.contains("/create?");
                    if !line.is_empty() {
                        continue;
                    }
                    let (status, body) = if create {
                        ("400 Bad Request", r#"{"message":"too much"}"#)
                    } else {
                        ("200 OK", r#"{"ApiVersion":"1.41"}"#)
                    };
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    lines.get_mut().write_all(answer.as_bytes()).await.unwrap();
                    if create {
                        // Neither reads the rest of the request nor closes.
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    let engine = Engine::connect(EngineOptions::new(&socket)).await.unwrap();
    let mut body = CreateBody::default();
    body.labels.insert("long".into(), "x".repeat(4 << 20));
    let error = engine.create("c1", &body, SOON).await.unwrap_err();
    assert_eq!(error.engine_message(), Some("too much"));
    engine.ping(SOON).await.unwrap();
}

#[tokio::test]
async fn connections_are_kept_for_the_next_call() {
    let scripted = ScriptedEngine::start(|_, _| answer("200 OK", "OK"));
    let engine = connect(&scripted).await;
    for _ in 0..20 {
        engine.ping(SOON).await.unwrap();
    }
    assert!(scripted.seen().iter().all(|line| line.starts_with("0 ")), "{:?}", scripted.seen());
}
