//! FTP and FTPS, as stock's libcurl: passive, binary, anonymous unless the URI has a user; `ftps` is TLS from the first
//! byte. A transfer has succeeded when the server says 226.
//!
//! A cut is resumed with `REST` where the file's size and time are known to be the same as before. The address in the
//! answer to `PASV` is not believed: the data comes from the host that was asked. There is no proxy for FTP here.

use std::time::Duration;

use suppaftp::tokio::{AsyncRustlsConnector, AsyncRustlsFtpStream};
use suppaftp::types::FileType;
use suppaftp::{FtpError, Mode, Status};
use tokio::io::AsyncReadExt;
use url::{Host, Url};

use crate::chain::chain;
use crate::download::error::DownloadError;
use crate::download::retry::{Retries, jittered};
use crate::download::sink::Sink;
use crate::download::stall::Stall;
use crate::download::tls;
use crate::progress::Validators;

/// Who logs in when the URI names nobody.
const ANONYMOUS: (&str, &str) = ("anonymous", "ftp@example.com");

/// How long the server has to say good-bye.
const GOOD_BYE: Duration = Duration::from_secs(1);

/// Variables that name a proxy for FTP, which libcurl would use.
const PROXIES: [&str; 4] = ["ftp_proxy", "FTP_PROXY", "all_proxy", "ALL_PROXY"];

/// Bytes for each read.
const BUFFER: usize = 128 << 10;

/// What an FTP URL says.
#[derive(Clone, PartialEq, Eq)]
struct Location {
    host: String,
    v6: bool,
    port: u16,
    tls: bool,
    user: String,
    password: String,
    path: String,
}

/// What is known of the file's version: size and time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Version {
    size: Option<u64>,
    time: Option<String>,
}

impl From<Version> for Validators {
    fn from(version: Version) -> Validators {
        Validators { etag: None, last_modified: version.time }
    }
}

/// Downloads a file, beginning again where that may help.
///
/// # Cancel safety
///
/// Dropping it ends the download; the sink holds a part.
pub(super) async fn download(
    url: &Url,
    sink: &mut Sink,
    stall: Duration,
    retries: u32,
    say: &(dyn Fn(String) + Sync),
) -> Result<Validators, DownloadError> {
    let location = Location::of(url)?;
    if let Some(name) =
        PROXIES.iter().find(|name| std::env::var_os(name).is_some_and(|proxy| !proxy.is_empty()))
    {
        say(format!("{name} is set, but there is no proxy for FTP: the server is asked directly"));
    }
    let mut version = Version::default();
    let mut retries = Retries::new(retries);
    loop {
        let Err(error) = attempt(&location, sink, &mut version, stall).await else {
            return Ok(version.into());
        };
        let wait = if may_pass(&error) { retries.failed_at(sink.written(), None) } else { None };
        let Some(wait) = wait.map(jittered) else { return Err(error) };
        say(format!(
            "Trying again in {} ms (attempt {}): {}",
            wait.as_millis(),
            retries.number(),
            chain(&error)
        ));
        tokio::time::sleep(wait).await;
    }
}

/// Asks for the size and the time of change without the file. A server that does not know `MDTM` tells the size only.
pub(super) async fn measure(url: &Url, limit: Duration) -> Result<(u64, Validators), DownloadError> {
    let location = Location::of(url)?;
    let mut stall = Stall::new(limit);
    let mut ftp = connect(&location, &mut stall).await?;
    let size = stall.wait(ftp.size(&location.path)).await?.map_err(failed("SIZE"))?;
    if size == 0 {
        return Err(DownloadError::NoSize);
    }
    let time = stall.wait(ftp.mdtm(&location.path)).await?.ok().map(|time| time.to_string());
    let version = Version { size: Some(size as u64), time };
    Ok((size as u64, version.into()))
}

async fn attempt(
    location: &Location,
    sink: &mut Sink,
    version: &mut Version,
    limit: Duration,
) -> Result<(), DownloadError> {
    let mut stall = Stall::new(limit);
    let mut ftp = connect(location, &mut stall).await?;
    let size = stall.wait(ftp.size(&location.path)).await?.ok().map(|size| size as u64);
    let time = stall.wait(ftp.mdtm(&location.path)).await?.ok().map(|time| time.to_string());
    stall.renew();
    let now = Version { size, time };
    if now != *version || now.size.is_none() || now.time.is_none() {
        sink.restart()?;
    }
    *version = now;
    sink.announce(size);
    let from = sink.written();
    let offset = usize::try_from(from).unwrap_or(usize::MAX);
    // The server refuses the offset only in its answer to the transfer.
    stall.wait(ftp.resume_transfer(offset)).await?.map_err(failed("REST"))?;
    let mut data = match stall.wait(ftp.retr_as_stream(&location.path)).await? {
        Ok(data) => data,
        Err(error) => {
            if from > 0 {
                *version = Version::default();
            }
            return Err(failed("RETR")(error));
        }
    };
    stall.renew();
    let mut buffer = vec![0; BUFFER];
    loop {
        match stall.wait(data.read(&mut buffer)).await? {
            Ok(0) => break,
            Ok(read) => {
                sink.write(&buffer[..read])?;
                stall.received(read);
            }
            Err(source) => return Err(cut(sink, source.into())),
        }
    }
    stall.renew();
    stall.wait(data.finish()).await?.map_err(failed("RETR"))?;
    if let Some(total) = sink.total().filter(|total| *total > sink.written()) {
        return Err(DownloadError::Length { bytes: sink.written(), total });
    }
    // The file is here; whether the server says good-bye is nobody's concern.
    let _ = tokio::time::timeout(GOOD_BYE, ftp.quit()).await;
    Ok(())
}

/// Connects, logs in and sets the type.
async fn connect(location: &Location, stall: &mut Stall) -> Result<AsyncRustlsFtpStream, DownloadError> {
    let address = (location.host.as_str(), location.port);
    let mut ftp = match location.tls {
        false => stall.wait(AsyncRustlsFtpStream::connect(address)).await?.map_err(failed("connecting"))?,
        true => {
            let connector = AsyncRustlsConnector::from(tls::connector()?);
            stall
                .wait(AsyncRustlsFtpStream::connect_secure_implicit(address, connector, &location.host))
                .await?
                .map_err(failed("connecting"))?
        }
    };
    stall.renew();
    ftp.set_mode(if location.v6 { Mode::ExtendedPassive } else { Mode::Passive });
    ftp.set_passive_nat_workaround(true);
    stall.wait(ftp.login(&location.user, &location.password)).await?.map_err(failed("USER and PASS"))?;
    if location.tls {
        let done = [Status::CommandOk];
        stall.wait(ftp.custom_command("PBSZ 0", &done)).await?.map_err(failed("PBSZ"))?;
        stall.wait(ftp.custom_command("PROT P", &done)).await?.map_err(failed("PROT"))?;
    }
    stall.wait(ftp.transfer_type(FileType::Binary)).await?.map_err(failed("TYPE"))?;
    stall.renew();
    Ok(ftp)
}

/// Names the command that failed. What the server said to it is told, what it was told is not.
fn failed(command: &'static str) -> impl FnOnce(FtpError) -> DownloadError {
    move |error| match error {
        FtpError::UnexpectedResponse(response) => DownloadError::FtpReply {
            command,
            status: response.status.code(),
            text: String::from_utf8_lossy(&response.body).trim().chars().take(200).collect(),
        },
        source => DownloadError::Ftp { command, source },
    }
}

fn cut(sink: &Sink, source: Box<dyn std::error::Error + Send + Sync>) -> DownloadError {
    DownloadError::Cut { bytes: sink.written(), total: sink.total(), source }
}

/// Whether another attempt may end better: replies of 4xx are for the moment, those of 5xx for good (RFC 959, 4.2).
fn may_pass(error: &DownloadError) -> bool {
    match error {
        DownloadError::FtpReply { status, command, .. } => *status < 500 || *command == "REST",
        DownloadError::Ftp { source: FtpError::ConnectionError(_), .. }
        | DownloadError::Cut { .. }
        | DownloadError::Length { .. } => true,
        _ => false,
    }
}

impl Location {
    fn of(url: &Url) -> Result<Location, DownloadError> {
        let tls = url.scheme() == "ftps";
        let (host, v6) = match url.host() {
            Some(Host::Ipv6(address)) => (address.to_string(), true),
            Some(host) => (host.to_string(), false),
            None => return Err(DownloadError::FtpPart { part: "host" }),
        };
        let (user, password) = match url.username() {
            "" => (ANONYMOUS.0.to_owned(), ANONYMOUS.1.to_owned()),
            user => (decoded("user", user)?, decoded("password", url.password().unwrap_or_default())?),
        };
        // The path is relative to where the login leads; `%2F` in front makes it absolute (RFC 1738, 3.2.2).
        let path = url.path().strip_prefix('/').unwrap_or(url.path());
        let path = path.rsplit_once(";type=").map_or(path, |(path, _)| path);
        let port = url.port().unwrap_or(if tls { 990 } else { 21 });
        Ok(Location { host, v6, port, tls, user, password, path: decoded("path", path)? })
    }
}

/// Undoes percent encoding. A line break would be a second command.
fn decoded(part: &'static str, text: &str) -> Result<String, DownloadError> {
    match percent_encoding::percent_decode_str(text).decode_utf8() {
        Ok(text) if !text.contains(['\r', '\n', '\0']) => Ok(text.into_owned()),
        _ => Err(DownloadError::FtpPart { part }),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn location(url: &str) -> Result<Location, DownloadError> {
        Location::of(&Url::parse(url).expect("a URL"))
    }

    #[rstest]
    #[case("ftp://h/a/b", "h", 21, "anonymous", "ftp@example.com", "a/b")]
    #[case("ftp://u:p%40@h:2121/a%20b", "h", 2121, "u", "p@", "a b")]
    #[case("ftps://u@h/%2Fetc/x;type=i", "h", 990, "u", "", "/etc/x")]
    #[case("ftp://[::1]/a", "::1", 21, "anonymous", "ftp@example.com", "a")]
    fn parts(
        #[case] url: &str,
        #[case] host: &str,
        #[case] port: u16,
        #[case] user: &str,
        #[case] password: &str,
        #[case] path: &str,
    ) {
        let is = location(url).expect("valid");
        let seen = (is.host.as_str(), is.port, is.user.as_str(), is.password.as_str(), is.path.as_str());
        assert_eq!(seen, (host, port, user, password, path));
    }

    #[rstest]
    #[case("ftp://h/a%0D%0ADELE%20b")]
    #[case("ftp://u%0A:p@h/a")]
    #[case("ftp://u:p%00@h/a")]
    #[case("ftp://h/%FF")]
    fn commands_cannot_be_smuggled(#[case] url: &str) {
        assert!(matches!(location(url), Err(DownloadError::FtpPart { .. })));
    }
}
