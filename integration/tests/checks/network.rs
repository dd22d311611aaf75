//! HTTP, HTTPS and TCP, on every kind of network, in both families; and what happens when the network is gone.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use checks::{CheckNews, Reach};
use integration::require_engine;
use mesos_proto::v1::check_status_info::{Http, Tcp};
use mesos_types::{HttpScheme, IpFamily};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::lab::{
    LONG, Lab, PATIENCE, becomes_healthy, http, is_healthy, is_unhealthy, next, tcp, tls_server,
};

const SERVER: &str = "exec httpd -f -p 80 -h /www";
const SERVER_6: &str = "exec httpd -f -p [::]:80 -h /www";

const PLAIN: HttpScheme = HttpScheme::Http;

#[tokio::test]
async fn a_server_on_the_default_bridge_is_asked_inside_its_network() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    // The loopback device alone: nobody reaches it from outside.
    let container = lab.container("bridge", "bridge", "exec httpd -f -p 127.0.0.1:80 -h /www").await?;
    ensure!(matches!(container.target.reach(), Reach::Namespace(_)), "{:?}", container.target.reach());
    becomes_healthy(&mut lab.check(&container.target, http(PLAIN, 80, "/index.html", IpFamily::V4), LONG))
        .await?;
    is_healthy(&mut lab.check(&container.target, tcp(80, IpFamily::V4), LONG)).await?;
    let why =
        is_unhealthy(&mut lab.check(&container.target, http(PLAIN, 80, "/none", IpFamily::V4), LONG)).await?;
    assert_eq!(why, "HTTP health check failed: the server answered with status 404");
    let why = is_unhealthy(&mut lab.check(&container.target, tcp(81, IpFamily::V4), LONG)).await?;
    assert!(why.contains("cannot connect to 127.0.0.1:81") && why.contains("refused"), "{why}");
    // Loopback without IPv6: the task's failure too.
    is_unhealthy(&mut lab.check(&container.target, tcp(80, IpFamily::V6), LONG)).await?;
    lab.end().await
}

/// Peer: Own.HealthCheckTcpIpv6.
#[tokio::test]
async fn a_server_on_a_network_of_a_user_is_asked_in_both_families() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let network = lab.user_network().await?;
    let container = lab.container("user", &network, SERVER_6).await?;
    for family in [IpFamily::V4, IpFamily::V6] {
        becomes_healthy(&mut lab.check(&container.target, http(PLAIN, 80, "/", family), LONG)).await?;
        is_healthy(&mut lab.check(&container.target, tcp(80, family), LONG)).await?;
    }
    // Only of IPv6.
    let container = lab.container("six", &network, "exec httpd -f -p [::1]:80 -h /www").await?;
    becomes_healthy(&mut lab.check(&container.target, tcp(80, IpFamily::V6), LONG)).await?;
    is_unhealthy(&mut lab.check(&container.target, tcp(80, IpFamily::V4), LONG)).await?;
    lab.end().await
}

/// A certificate that nobody knows, for another name.
#[tokio::test]
async fn https_is_asked_without_verification() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let network = lab.user_network().await?;
    let container = lab.container("tls", &network, "exec sleep 100000").await?;
    let four = tls_server(container.inspection.state.pid, (Ipv4Addr::LOCALHOST, 0).into()).await?;
    is_healthy(&mut lab.check(&container.target, http(HttpScheme::Https, four, "/x", IpFamily::V4), LONG))
        .await?;
    let six = tls_server(container.inspection.state.pid, (Ipv6Addr::LOCALHOST, 0).into()).await?;
    is_healthy(&mut lab.check(&container.target, http(HttpScheme::Https, six, "/x", IpFamily::V6), LONG))
        .await?;
    // Plain HTTP to it is no answer, and neither is TLS to a plain server.
    let why =
        is_unhealthy(&mut lab.check(&container.target, http(PLAIN, four, "/", IpFamily::V4), LONG)).await?;
    assert!(why.contains("no answer"), "{why}");
    lab.end().await
}

#[tokio::test]
async fn a_server_on_the_hosts_network_is_asked_there() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("host", "host", "exec sleep 100000").await?;
    ensure!(matches!(container.target.reach(), Reach::Own), "{:?}", container.target.reach());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }
    });
    is_healthy(&mut lab.check(&container.target, tcp(port, IpFamily::V4), LONG)).await?;
    is_healthy(&mut lab.check(&container.target, http(PLAIN, port, "/", IpFamily::V4), LONG)).await?;
    server.abort();
    lab.end().await
}

/// A server that takes the connection and says nothing.
#[tokio::test]
async fn no_answer_within_the_time_is_a_failure() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("mute", "bridge", "exec nc -ll -p 80 -e sleep 1000").await?;
    let mut up = lab.general(&container.target, tcp(80, IpFamily::V4), LONG);
    loop {
        let CheckNews::Status(status) = next(&mut up).await? else { bail!("a status") };
        if status.tcp == Some(Tcp { succeeded: Some(true) }) {
            break;
        }
    }
    drop(up);
    let time = Duration::from_millis(300);
    let mut checker = lab.check(&container.target, http(PLAIN, 80, "/", IpFamily::V4), time);
    let mut told = is_unhealthy(&mut checker).await?;
    while !told.contains("no answer within 0.300s") {
        ensure!(told.contains("cannot connect") || told.contains("no answer"), "{told}");
        told = is_unhealthy(&mut checker).await?;
    }
    lab.end().await
}

/// As an agent in a container of its own does it.
#[tokio::test]
async fn from_afar_the_containers_address_is_asked() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("afar", "bridge", SERVER).await?;
    let ipv4 = container.inspection.networks["bridge"].ipv4.context("an address")?;
    let target = container.target.clone().from_afar(Some(ipv4), None);
    becomes_healthy(&mut lab.check(&target, http(PLAIN, 80, "/", IpFamily::V4), LONG)).await?;
    is_healthy(&mut lab.check(&target, tcp(80, IpFamily::V4), LONG)).await?;
    // Without an address it cannot be asked, which is no verdict.
    match next(&mut lab.check(&target, tcp(80, IpFamily::V6), LONG)).await? {
        CheckNews::NotDone { why } => assert!(why.contains("no V6 address"), "{why}"),
        other => bail!("{other:?}"),
    }
    lab.end().await
}

#[tokio::test]
async fn a_general_check_tells_status_and_connection() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let container = lab.container("general", "bridge", SERVER).await?;
    becomes_healthy(&mut lab.check(&container.target, tcp(80, IpFamily::V4), LONG)).await?;
    let mut checker = lab.general(&container.target, http(PLAIN, 80, "/none", IpFamily::V4), LONG);
    let CheckNews::Status(status) = next(&mut checker).await? else { bail!("a status") };
    assert_eq!(status.http, Some(Http { status_code: Some(404) }));
    let mut checker = lab.general(&container.target, tcp(81, IpFamily::V4), LONG);
    let CheckNews::Status(status) = next(&mut checker).await? else { bail!("a status") };
    assert_eq!(status.tcp, Some(Tcp { succeeded: Some(false) }));
    lab.end().await
}

/// The container ends while checks are made, and its network with it: nobody is unhealthy, and the namespace thread
/// serves others.
#[tokio::test]
async fn a_network_that_goes_ends_its_checks_and_no_others() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let lab = Lab::new(&engine).await?;
    let gone = lab.container("gone", "bridge", SERVER).await?;
    let stays = lab.container("stays", "bridge", SERVER).await?;
    let mut checker = lab.check(&gone.target, http(PLAIN, 80, "/", IpFamily::V4), LONG);
    becomes_healthy(&mut checker).await?;
    let mut client = lab.scope.client().await?;
    client.delete(&format!("/containers/{}?force=true", gone.id)).await?.ok()?;
    let told = timeout(PATIENCE, checker.next()).await?;
    ensure!(told.is_none(), "{told:?}");
    becomes_healthy(&mut lab.check(&stays.target, http(PLAIN, 80, "/", IpFamily::V4), LONG)).await?;
    assert_eq!(lab.runner.counts().replaced_threads, 0);
    lab.end().await
}
