//! HTTP and HTTPS, by the same rules as stock's libcurl: redirects are followed, 200 is success, a body is taken as it
//! comes. Beyond stock: a cut is resumed with `Range` where the server names the version of the file.
//!
//! Proxies come from `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, user and password from the URI. What a
//! redirect leads to on another host does not get them.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{HeaderMap, IF_RANGE, RANGE};
use reqwest::{Client, Response, redirect};
use url::Url;

use crate::chain::chain;
use crate::download::answer::{Answer, Begun, if_range, judge, validators, whole_size};
use crate::download::error::DownloadError;
use crate::download::retry::{Retries, jittered};
use crate::download::sink::Sink;
use crate::download::stall::Stall;
use crate::download::tls;
use crate::progress::Validators;

/// Redirects that are followed, as recent versions of libcurl do.
const MAX_REDIRECTS: usize = 30;

/// A client for all downloads of one fetch.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: Client,
}

/// An attempt that ended early.
enum Early {
    /// For good.
    Failed(DownloadError),
    /// Until the next, which may wait as long as the server asked.
    Again(DownloadError, Option<Duration>),
}

impl From<DownloadError> for Early {
    fn from(error: DownloadError) -> Early {
        Early::Failed(error)
    }
}

impl Http {
    /// Makes the client, which reads the proxies from the environment.
    pub(super) fn new() -> Result<Http, DownloadError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client_config()?)
            // One stream for each connection: the window of an HTTP/2 stream only holds a large file up.
            .http1_only()
            .redirect(redirect::Policy::limited(MAX_REDIRECTS))
            .referer(false)
            .user_agent(concat!("mesos-fetcher/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| DownloadError::Setup { what: "the HTTP client", source: source.into() })?;
        Ok(Http { client })
    }

    /// Downloads a file, beginning again where that may help.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the download; the sink holds a part.
    pub(super) async fn download(
        &self,
        url: &Url,
        sink: &mut Sink,
        stall: Duration,
        retries: u32,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<Validators, DownloadError> {
        let mut version = Validators::default();
        let mut retries = Retries::new(retries);
        loop {
            let (error, asked) = match self.attempt(url, sink, &mut version, stall).await {
                Ok(()) => return Ok(version),
                Err(Early::Failed(error)) => return Err(error),
                Err(Early::Again(error, asked)) => (error, asked),
            };
            let Some(wait) = retries.failed_at(sink.written(), asked) else { return Err(error) };
            let wait = jittered(wait);
            say(format!(
                "Trying again in {} ms (attempt {}): {}",
                wait.as_millis(),
                retries.number(),
                chain(&error)
            ));
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks once, for the whole file or for what is missing of it.
    async fn attempt(
        &self,
        url: &Url,
        sink: &mut Sink,
        version: &mut Validators,
        limit: Duration,
    ) -> Result<(), Early> {
        let mut stall = Stall::new(limit);
        let mut request = self.client.get(url.clone());
        match if_range(version) {
            Some(tag) if sink.written() > 0 => {
                request = request.header(RANGE, format!("bytes={}-", sink.written())).header(IF_RANGE, tag);
            }
            _ => sink.restart()?,
        }
        let from = sink.written();
        let mut response = stall.wait(request.send()).await?.map_err(not_answered)?;
        stall.renew();
        let begun = Begun { bytes: from, version, total: sink.total() };
        match judge(response.status(), response.headers(), begun) {
            Answer::Whole => {
                sink.restart()?;
                *version = validators(response.headers());
                sink.announce(response.content_length());
            }
            Answer::Rest => {
                let rest = response.content_length().map(|rest| rest.saturating_add(from));
                if let Some(total) = whole_size(response.headers()).or(rest) {
                    sink.announce(Some(total));
                }
            }
            Answer::Nothing => {
                sink.announce(Some(from));
                return Ok(());
            }
            Answer::Anew => {
                *version = Validators::default();
                return Err(Early::Again(DownloadError::Changed, None));
            }
            Answer::Later(asked) => return Err(Early::Again(refused(&response), asked)),
            Answer::Refused => return Err(Early::Failed(refused(&response))),
        }
        loop {
            match stall.wait(response.chunk()).await? {
                Ok(Some(bytes)) => {
                    sink.write(&bytes)?;
                    stall.received(bytes.len());
                }
                Ok(None) => return ended(sink),
                Err(error) => return Err(Early::Again(cut(sink, error.without_url().into()), None)),
            }
        }
    }

    /// Asks for the size without the file.
    pub(super) async fn measure(
        &self,
        url: &Url,
        stall: Duration,
    ) -> Result<(u64, Validators), DownloadError> {
        let response = Stall::new(stall).wait(self.client.head(url.clone()).send()).await?;
        let response = response.map_err(|source| DownloadError::Request { source: source.without_url() })?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(refused(&response));
        }
        // As stock: a server that says 0 to this does not know.
        match announced_length(response.headers()) {
            Some(size) if size > 0 => Ok((size, validators(response.headers()))),
            _ => Err(DownloadError::NoSize),
        }
    }
}

/// A body that ended as it should may still be short of what an earlier answer announced.
fn ended(sink: &Sink) -> Result<(), Early> {
    match sink.total() {
        Some(total) if sink.written() < total => {
            Err(Early::Again(DownloadError::Length { bytes: sink.written(), total }, None))
        }
        _ => Ok(()),
    }
}

/// The length in the header itself: an answer to HEAD has no body whose length could be asked.
fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(reqwest::header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn refused(response: &Response) -> DownloadError {
    DownloadError::Status { status: response.status().as_u16() }
}

fn cut(sink: &Sink, source: Box<dyn Error + Send + Sync>) -> DownloadError {
    DownloadError::Cut { bytes: sink.written(), total: sink.total(), source }
}

/// A connection may come about the next time, unless it is the certificate or the URI that is wrong.
fn not_answered(error: reqwest::Error) -> Early {
    let hopeless = error.is_builder() || error.is_redirect() || has_tls_error(&error);
    let error = DownloadError::Request { source: error.without_url() };
    if hopeless { Early::Failed(error) } else { Early::Again(error, None) }
}

/// Looks for an error of TLS among the causes, where some are wrapped in errors of the standard library.
fn has_tls_error(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    false
}
