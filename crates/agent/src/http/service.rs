//! Answers requests: bounds first, then the endpoint, then the form that the client wants.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::accept::accepts_gzip;
use super::answer::{Answer, Wanted};
use super::body::{Body, BodyRefused, Collected, collect};
use super::context::{Context, Sources, blocking};
use super::executor_api;
use super::limiter::Limiter;
use super::operator;
use super::pages;
use super::query::Query;
use super::route::{Endpoint, route};
use super::settings::HttpSettings;

/// Answers that are heavier, in bytes, are compressed on a thread for that.
const HEAVY: usize = 64 * 1024;

/// How many large bodies of requests are in memory at once. Who wants to hold up others with such holds up these.
const LARGE_BODIES: usize = 4;

/// The HTTP side of the agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    context: Context,
    requests: Semaphore,
    large_bodies: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    metrics: Limiter,
    statistics: Limiter,
}

impl Http {
    /// Shows `sources` within the bounds of `settings`.
    pub fn new(settings: HttpSettings, sources: Sources) -> Self {
        let permits = |count: std::num::NonZeroUsize| count.get().min(Semaphore::MAX_PERMITS);
        let inner = Inner {
            requests: Semaphore::new(permits(settings.max_requests)),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            downloads: Arc::new(Semaphore::new(permits(settings.max_downloads))),
            metrics: Limiter::new(settings.metrics_rate),
            statistics: Limiter::new(settings.statistics_rate),
            context: Context { sources, settings, large_calls: Semaphore::new(1) },
        };
        Self { inner: Arc::new(inner) }
    }

    /// Answers a request; never fails, and waits for nothing without an end. May be dropped.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let endpoint = route(parts.uri.path());
        let query = match Query::parse(parts.uri.query().unwrap_or_default()) {
            Ok(query) => query,
            Err(bad) => return Answer::bad_request(format!("{bad}\n")).into_response(&Wanted::default()),
        };
        let wanted =
            Wanted { jsonp: query.get("jsonp").map(str::to_owned), gzip: accepts_gzip(&parts.headers) };
        let answer = self.inner.serve(endpoint, &query, &parts, body).await.unwrap_or_else(|refused| refused);
        if !wanted.gzip || answer.weight() < HEAVY {
            return answer.into_response(&wanted);
        }
        let compressed = blocking(move || answer.into_response(&wanted)).await;
        compressed.unwrap_or_else(|refused| refused.into_response(&Wanted::default()))
    }
}

impl Inner {
    async fn serve<B>(
        &self,
        endpoint: Endpoint,
        query: &Query,
        parts: &http::request::Parts,
        body: B,
    ) -> Result<Answer, Answer>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let context = &self.context;
        let patience = context.settings.patience;
        match endpoint {
            // It tells that the agent answers, also when others keep it busy.
            Endpoint::Health => return Ok(Answer::empty()),
            Endpoint::Missing => return Err(Answer::not_found()),
            // Who asks for pages, or is slow, does not keep executors from telling statuses.
            Endpoint::ExecutorApi => {
                let body = self.read(body, context.settings.max_executor_call);
                return executor_api::answer(context, parts, body).await;
            }
            Endpoint::MetricsSnapshot => self.metrics.turn(patience).await,
            Endpoint::Statistics => self.statistics.turn(patience).await,
            _ => Ok(()),
        }
        .map_err(|late| Answer::too_many(late.after))?;
        let permit = timeout(patience, self.requests.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Answer::too_many(patience)) };
        match endpoint {
            Endpoint::State => pages::agent::state(context).await,
            Endpoint::Containers => pages::agent::containers(context, query).await,
            Endpoint::Statistics => pages::agent::statistics(context).await,
            Endpoint::ContainerizerDebug => Ok(pages::agent::containerizer_debug()),
            Endpoint::Flags => Ok(pages::agent::flags(context)),
            Endpoint::Version => Ok(pages::agent::version(context)),
            Endpoint::SystemStats => Ok(pages::agent::system_stats()),
            Endpoint::OperatorApi => {
                let body = async { Ok(self.read(body, context.settings.max_body).await?.bytes) };
                operator::answer(context, &parts.method, &parts.headers, body).await
            }
            Endpoint::ResourceProviderApi => Err(unserved(&parts.method, "it has no resource providers")),
            Endpoint::FilesBrowse => pages::files::list(context, query).await,
            Endpoint::FilesRead => pages::files::piece(context, query).await,
            Endpoint::FilesDownload => {
                pages::files::whole(context, query, &parts.method, &self.downloads).await
            }
            Endpoint::FilesDebug => Ok(pages::files::attached(context)),
            Endpoint::MetricsSnapshot => pages::metrics::snapshot(context, query).await,
            Endpoint::Prometheus => pages::metrics::prometheus(context).await,
            Endpoint::LoggingToggle => pages::logging::toggle(context, query),
            Endpoint::Help => Ok(pages::help::help(parts.uri.path(), query)),
            Endpoint::Profiler => Err(Answer::bad_request("This agent has no profiler.\n")),
            Endpoint::Health | Endpoint::Missing | Endpoint::ExecutorApi => Err(Answer::not_found()),
        }
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// The answer to one that does not come, or is too large.
    async fn read<B>(&self, body: B, most: usize) -> Result<Collected, Answer>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stall = self.context.settings.stall;
        collect(body, most, stall, &self.large_bodies).await.map_err(|why| match why {
            BodyRefused::TooLarge => {
                Answer::text(StatusCode::PAYLOAD_TOO_LARGE, format!("The body is larger than {most} bytes."))
            }
            BodyRefused::TooSlow => {
                Answer::text(StatusCode::REQUEST_TIMEOUT, "The body did not come in time.")
            }
            BodyRefused::Crowded => Answer::too_many(stall),
            BodyRefused::Broken => Answer::bad_request("The body could not be read."),
        })
    }
}

/// The answer of an API that this agent does not serve.
fn unserved(method: &Method, why: &str) -> Answer {
    match *method {
        Method::POST => {
            Answer::text(StatusCode::NOT_IMPLEMENTED, format!("This agent does not serve this API: {why}."))
        }
        _ => Answer::method_not_allowed("POST", method),
    }
}
