//! HTTP and HTTPS: a GET as `curl -s -S -L -k -g` makes it, which is what stock runs (`httpHealthCheck`).
//!
//! The status that counts is that of the last answer, after redirects. The body is read to its end, up to a bound, and
//! thrown away: a server that breaks off in the middle has not answered. HTTP/1.1 is spoken, also over TLS.

use std::net::SocketAddr;
use std::sync::LazyLock;

use http::header::{ACCEPT, HOST, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use mesos_types::{HttpProbe, HttpScheme};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use url::{Host, Url};

use super::connect::{ConnectError, connect, not_followed};
use super::redirect::{MOST, Next, host_header, next, path_and_query};
use super::resolve::{self, Lookup, NoAddress};
use super::url_host;
use crate::judge::{Answer, Asked};
use crate::runner::Shared;
use crate::target::{Reach, family_of};

/// How much of a body is read.
const MOST_BODY: usize = 1024 * 1024;

/// The most header fields of an answer, and the most bytes of them.
const MOST_HEADERS: usize = 200;
const MOST_HEAD: usize = 256 * 1024;

/// Who asks.
static AGENT: LazyLock<HeaderValue> =
    LazyLock::new(|| HeaderValue::from_static(concat!("mesos-health-check/", env!("CARGO_PKG_VERSION"))));

/// Why there is no answer.
enum NoAnswer {
    /// The server's doing, as a sentence.
    Its(String),
    /// Ours.
    Ours(String),
}

/// Asks once, and follows where it is led.
pub(super) async fn ask(shared: &Shared, reach: &Reach, probe: &HttpProbe, lookup: &Lookup) -> Asked {
    let scheme = match probe.scheme {
        HttpScheme::Http => "http",
        HttpScheme::Https => "https",
    };
    let first = format!("{scheme}://{}:{}{}", url_host(probe.family), probe.port, probe.path);
    let mut url = match Url::parse(&first) {
        Ok(url) => url,
        // A path that begins with a slash makes a URL with any characters.
        Err(error) => return Asked::Unanswered(format!("the path {:?} makes no URL: {error}", probe.path)),
    };
    for _ in 0..=MOST {
        let (status, location) = match get(shared, reach, &url, probe, lookup).await {
            Ok(answer) => answer,
            Err(NoAnswer::Its(why)) => return Asked::Unanswered(why),
            Err(NoAnswer::Ours(why)) => return Asked::NotDone(why),
        };
        match next(&url, status, location.as_ref().map(HeaderValue::as_bytes)) {
            Next::Final => {
                return Asked::Answered(
                    Answer::HttpStatus(status.as_u16()),
                    format!("the server answered with status {}", status.as_u16()),
                );
            }
            Next::To(there) => url = there,
            Next::Nowhere(why) => return Asked::Unanswered(why),
        }
    }
    Asked::Unanswered(format!("more than {MOST} redirects"))
}

async fn get(
    shared: &Shared,
    reach: &Reach,
    url: &Url,
    probe: &HttpProbe,
    lookup: &Lookup,
) -> Result<(StatusCode, Option<HeaderValue>), NoAnswer> {
    let stream = dial(shared, reach, url, probe, lookup).await?;
    let request = request(url).map_err(|error| NoAnswer::Its(error.to_string()))?;
    let broken = |error: hyper::Error| NoAnswer::Its(format!("no answer: {}", chain(&error)));
    let answer = if url.scheme() == "https" {
        let name = server_name(url).ok_or_else(|| NoAnswer::Its("the host is no name for TLS".to_owned()))?;
        let tls = shared.tls.connector().ok_or_else(|| NoAnswer::Ours("TLS cannot be set up".to_owned()))?;
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|error| NoAnswer::Its(format!("no TLS connection: {}", chain(&error))))?;
        exchange(TokioIo::new(stream), request).await
    } else {
        exchange(TokioIo::new(stream), request).await
    };
    answer.map_err(broken)
}

async fn dial(
    shared: &Shared,
    reach: &Reach,
    url: &Url,
    probe: &HttpProbe,
    lookup: &Lookup,
) -> Result<TcpStream, NoAnswer> {
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(NoAnswer::Its("the URL has no host".to_owned()));
    };
    let addresses = match resolve::known(&host, port) {
        Some(addresses) => addresses,
        None => {
            let host = host.to_string();
            if let Reach::Addresses { .. } = reach {
                return Err(NoAnswer::Ours(not_followed(&host)));
            }
            let found = shared.resolver.addresses(reach, lookup, &host, port).await;
            found.map_err(|error| match error {
                NoAddress::Its(error) => NoAnswer::Its(format!("{host:?} cannot be resolved: {error}")),
                NoAddress::NotDone(why) => NoAnswer::Ours(why),
            })?
        }
    };
    let mut failure = NoAnswer::Its("the host has no address".to_owned());
    for address in in_order(addresses, probe) {
        match connect(shared, reach, address).await {
            Ok(stream) => return Ok(stream),
            Err(ConnectError::Refused(why)) => failure = NoAnswer::Its(why),
            Err(ConnectError::NotDone(why)) => failure = NoAnswer::Ours(why),
        }
    }
    Err(failure)
}

/// The addresses of the check's family first.
fn in_order(mut addresses: Vec<SocketAddr>, probe: &HttpProbe) -> Vec<SocketAddr> {
    addresses.sort_by_key(|address| family_of(&address.ip()) != probe.family);
    addresses
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, http::Error> {
    Request::builder()
        .method(Method::GET)
        .uri(path_and_query(url))
        .header(HOST, host_header(url))
        .header(USER_AGENT, AGENT.clone())
        .header(ACCEPT, "*/*")
        .body(Empty::new())
}

/// The name that TLS is told; addresses are told to nobody, as the standard has it.
fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok(),
        Host::Ipv4(address) => Some(ServerName::IpAddress(std::net::IpAddr::from(address).into())),
        Host::Ipv6(address) => Some(ServerName::IpAddress(std::net::IpAddr::from(address).into())),
    }
}

async fn exchange(
    stream: impl Read + Write + Unpin,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Option<HeaderValue>), hyper::Error> {
    let (mut sender, connection) =
        // As lenient as curl.
        http1::Builder::new()
            .max_headers(MOST_HEADERS)
            .max_buf_size(MOST_HEAD)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .handshake(stream)
            .await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (status, location) = (response.status(), response.headers().get(LOCATION).cloned());
        drain(response).await?;
        Ok((status, location))
    };
    let mut answer = std::pin::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    // The connection is driven here, so that it ends with the asking.
    let driven = tokio::select! {
        biased;
        answer = &mut answer => return answer,
        driven = &mut connection => driven,
    };
    match driven {
        // What was received before the end of the connection is still there to be read.
        Ok(()) => answer.await,
        Err(error) => Err(error),
    }
}

/// Reads a body to its end or to the bound.
async fn drain(response: Response<Incoming>) -> Result<(), hyper::Error> {
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame?.data_ref().map_or(0, Bytes::len);
        if read >= MOST_BODY {
            break;
        }
    }
    Ok(())
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let text = match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    };
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::CheckSettings;
    use mesos_types::IpFamily;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers the n-th connection with the n-th text, the last one for ever, and closes. Returns port and requests.
    async fn server(answers: Vec<String>) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut answers = answers.into_iter().peekable();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let _ = seen.send(String::from_utf8_lossy(&request[..length]).into_owned());
                let answer = if answers.len() > 1 { answers.next() } else { answers.peek().cloned() };
                let _ = stream.write_all(answer.unwrap_or_default().as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        (port, requests)
    }

    fn probe(port: u16, path: &str) -> HttpProbe {
        HttpProbe { scheme: HttpScheme::Http, port, path: path.into(), family: IpFamily::V4 }
    }

    async fn asked(port: u16, path: &str) -> Asked {
        let shared = Shared::new(CheckSettings::default());
        ask(&shared, &Reach::Own, &probe(port, path), &Lookup::default()).await
    }

    fn status(code: u16) -> Asked {
        Asked::Answered(Answer::HttpStatus(code), format!("the server answered with status {code}"))
    }

    #[rstest::rstest]
    #[case("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200)]
    #[case("HTTP/1.0 204 No\r\n\r\n", 204)]
    #[case("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200)]
    #[case("HTTP/1.1 503 Bad\r\nContent-Length: 0\r\n\r\n", 503)]
    #[case("HTTP/1.1 304 Same\r\n\r\n", 304)]
    #[case("HTTP/1.1 200\r\nA b: c\r\nServer : x\r\n folded\r\nContent-Length: 0\r\n\r\n", 200)]
    #[tokio::test]
    async fn the_status_is_the_answer(#[case] answer: &str, #[case] code: u16) {
        let (port, mut requests) = server(vec![answer.into()]).await;
        assert_eq!(asked(port, "/a b?x=[1]").await, status(code));
        let request = requests.recv().await.unwrap();
        assert!(request.starts_with("GET /a%20b?x=[1] HTTP/1.1\r\n"), "{request}");
        assert!(request.to_ascii_lowercase().contains(&format!("host: 127.0.0.1:{port}\r\n")), "{request}");
        assert!(request.contains("mesos-health-check/"), "{request}");
    }

    #[tokio::test]
    async fn redirects_are_followed_to_another_server() {
        let (there, mut seen) = server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()]).await;
        let over =
            format!("HTTP/1.1 302 F\r\nLocation: http://localhost:{there}/deep\r\nContent-Length: 0\r\n\r\n");
        let (port, _) =
            server(vec!["HTTP/1.1 301 M\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n".into(), over]).await;
        assert_eq!(asked(port, "/").await, status(200));
        assert!(seen.recv().await.unwrap().starts_with("GET /deep "));
    }

    #[rstest::rstest]
    #[case("HTTP/1.1 302 F\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n", "more than 50 redirects")]
    #[case("HTTP/1.1 302 F\r\nLocation: ftp://x/\r\nContent-Length: 0\r\n\r\n", "scheme \"ftp\"")]
    #[case("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "no answer")]
    #[case("noise without end of head", "no answer")]
    #[case("", "no answer")]
    #[tokio::test]
    async fn what_is_no_answer_is_a_failure(#[case] answer: &str, #[case] why: &str) {
        let (port, _) = server(vec![answer.into()]).await;
        match asked(port, "/").await {
            Asked::Unanswered(told) => assert!(told.contains(why), "{told}"),
            other => panic!("{other:?}"),
        }
    }

    /// From afar all connections would be made in the network of this process, which is not the container's.
    #[rstest::rstest]
    #[case("http://10.255.255.1/", "10.255.255.1")]
    #[case("http://metadata.example/", "metadata.example")]
    #[tokio::test]
    async fn from_afar_a_redirect_out_of_the_container_is_not_followed(
        #[case] location: &str,
        #[case] named: &str,
    ) {
        let answer = format!("HTTP/1.1 302 F\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let (port, _) = server(vec![answer]).await;
        let shared = Shared::new(CheckSettings::default());
        let afar = Reach::Addresses { ipv4: Some(std::net::Ipv4Addr::LOCALHOST), ipv6: None };
        match ask(&shared, &afar, &probe(port, "/"), &Lookup::default()).await {
            Asked::NotDone(why) => assert!(why.contains(named) && why.contains("--pid=host"), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_body_without_end_is_read_to_the_bound() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let mut sent = 0_usize;
            while stream.write_all(&[b'x'; 65536]).await.is_ok() {
                sent += 65536;
            }
            sent
        });
        assert_eq!(asked(port, "/").await, status(200));
        assert!(server.await.unwrap() < 64 * MOST_BODY, "the connection was closed");
    }

    #[tokio::test]
    async fn nobody_there_is_the_tasks_failure() {
        // Nobody listens at it, and nobody else gets it.
        let taken = tokio::net::TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = taken.local_addr().unwrap().port();
        match asked(port, "/").await {
            Asked::Unanswered(why) => {
                assert!(why.contains("cannot connect") && why.contains("refused"), "{why}")
            }
            other => panic!("{other:?}"),
        }
    }
}
