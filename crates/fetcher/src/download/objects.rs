//! Objects in S3, Google Cloud Storage and Azure, without Hadoop.
//!
//! Credentials and endpoints come from the environment that the agent gives: `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, ..., `GOOGLE_SERVICE_ACCOUNT`, ...,
//! `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`, ..., as the crate `object_store` reads them. Without any
//! the instance's own role is asked for. `AWS_SKIP_SIGNATURE=true` (`GOOGLE_..`, `AZURE_..`) reads what is public.
//!
//! Hosts with a Hadoop client (in `HADOOP_HOME` or on the `PATH`) whose configuration holds the keys keep working: see [`route`].

use std::time::Duration;

use futures_util::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, ObjectStoreScheme, RetryConfig,
};
use url::Url;

use crate::download::error::DownloadError;
use crate::download::sink::Sink;
use crate::download::stall::Stall;
use crate::progress::Validators;
use crate::uri::Scheme;

/// The longest time for all attempts of one request.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);

/// Who reads an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// We do.
    Native,
    /// The Hadoop client does.
    Hadoop,
}

/// What the name of a variable that decides who may read an object, or where it is, has in it. A region alone says
/// neither.
const DECIDING: [&str; 10] =
    ["ACCOUNT", "CREDENTIAL", "ENDPOINT", "KEY", "ROLE", "SAS", "SECRET", "SKIP_SIGNATURE", "TOKEN", "USE_"];

/// Decides who reads an object: the Hadoop client when it is there and the environment has no credentials and no endpoint
/// for the provider, as it would be on a host that was set up for stock Mesos; else we do.
pub(super) fn route(
    scheme: Scheme,
    has_hadoop: bool,
    environment: impl IntoIterator<Item = String>,
) -> Route {
    let prefix = match scheme {
        Scheme::S3 => "AWS_",
        Scheme::Gcs => "GOOGLE_",
        Scheme::Azure => "AZURE_",
        Scheme::Http | Scheme::Ftp => return Route::Native,
    };
    let decides = |name: String| {
        name.strip_prefix(prefix).is_some_and(|rest| DECIDING.iter().any(|part| rest.contains(part)))
    };
    match has_hadoop && !environment.into_iter().any(decides) {
        true => Route::Hadoop,
        false => Route::Native,
    }
}

/// One object in its store.
pub(super) struct Object {
    provider: &'static str,
    store: Box<dyn ObjectStore>,
    path: Path,
}

impl Object {
    /// Finds the store of a URL.
    pub(super) fn find(
        scheme: Scheme,
        url: &Url,
        stall: Duration,
        retries: u32,
    ) -> Result<Object, DownloadError> {
        let provider = match scheme {
            Scheme::Gcs => "Google Cloud Storage",
            Scheme::Azure => "Azure",
            _ => "S3",
        };
        let failed = |source| DownloadError::Object { provider, source };
        let url = with_known_scheme(url);
        let (_, path) = ObjectStoreScheme::parse(&url).map_err(|error| failed(error.into()))?;
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: retries as usize,
            retry_timeout: RETRY_TIMEOUT,
        };
        let client = |plain: bool| {
            // The limit of the whole request would include the body.
            ClientOptions::new()
                .with_timeout_disabled()
                .with_connect_timeout(stall)
                .with_read_timeout(stall)
                .with_http1_only()
                .with_allow_http(plain)
        };
        let store: Box<dyn ObjectStore> = match scheme {
            Scheme::Gcs => Box::new(
                GoogleCloudStorageBuilder::from_env()
                    .with_url(url.as_str())
                    .with_client_options(client(allows_http(&["GOOGLE_BASE_URL"], "GOOGLE_ALLOW_HTTP")))
                    .with_retry(retry)
                    .build()
                    .map_err(failed)?,
            ),
            Scheme::Azure => Box::new(
                MicrosoftAzureBuilder::from_env()
                    .with_url(url.as_str())
                    .with_client_options(client(allows_http(
                        &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"],
                        "AZURE_ALLOW_HTTP",
                    )))
                    .with_retry(retry)
                    .build()
                    .map_err(failed)?,
            ),
            _ => Box::new(
                AmazonS3Builder::from_env()
                    .with_url(url.as_str())
                    .with_client_options(client(allows_http(
                        &["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"],
                        "AWS_ALLOW_HTTP",
                    )))
                    .with_retry(retry)
                    .build()
                    .map_err(failed)?,
            ),
        };
        Ok(Object { provider, store, path })
    }

    /// Downloads the object. Cuts are resumed by the store's client.
    pub(super) async fn download(
        &self,
        sink: &mut Sink,
        limit: Duration,
    ) -> Result<Validators, DownloadError> {
        let failed = |source| DownloadError::Object { provider: self.provider, source };
        let mut stall = Stall::new(limit);
        let result = stall.wait(self.store.get(&self.path)).await?.map_err(failed)?;
        stall.renew();
        let validators = validators(&result.meta);
        sink.announce(Some(result.meta.size));
        let mut stream = result.into_stream();
        while let Some(bytes) = stall.wait(stream.next()).await? {
            let bytes = bytes.map_err(failed)?;
            sink.write(&bytes)?;
            stall.received(bytes.len());
        }
        Ok(validators)
    }

    /// Asks for the size without the object.
    pub(super) async fn measure(&self, limit: Duration) -> Result<(u64, Validators), DownloadError> {
        let failed = |source| DownloadError::Object { provider: self.provider, source };
        let meta = Stall::new(limit).wait(self.store.head(&self.path)).await?.map_err(failed)?;
        Ok((meta.size, validators(&meta)))
    }
}

fn validators(meta: &object_store::ObjectMeta) -> Validators {
    Validators { etag: meta.e_tag.clone(), last_modified: Some(meta.last_modified.to_rfc3339()) }
}

/// The name that Hadoop had for its second S3 client means the same bucket.
fn with_known_scheme(url: &Url) -> Url {
    match url.as_str().strip_prefix("s3n://").map(|rest| Url::parse(&format!("s3://{rest}"))) {
        Some(Ok(url)) => url,
        _ => url.clone(),
    }
}

/// An endpoint without TLS is used when the operator names one, or says that it may be.
fn allows_http(endpoints: &[&str], allow: &str) -> bool {
    let plain = |name: &&str| std::env::var(name).is_ok_and(|url| url.starts_with("http://"));
    endpoints.iter().any(plain) || std::env::var(allow).is_ok_and(|allow| allow.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Scheme::S3, true, &[], Route::Hadoop)]
    #[case(Scheme::S3, false, &[], Route::Native)]
    #[case(Scheme::S3, true, &["AWS_ACCESS_KEY_ID"], Route::Native)]
    #[case(Scheme::S3, true, &["GOOGLE_SERVICE_ACCOUNT"], Route::Hadoop)]
    #[case(Scheme::S3, true, &["AWS_REGION", "AWS_DEFAULT_REGION"], Route::Hadoop)]
    #[case(Scheme::S3, true, &["AWS_ENDPOINT_URL"], Route::Native)]
    #[case(Scheme::S3, true, &["AWS_WEB_IDENTITY_TOKEN_FILE"], Route::Native)]
    #[case(Scheme::S3, true, &["AWS_SKIP_SIGNATURE"], Route::Native)]
    #[case(Scheme::Gcs, true, &["GOOGLE_SERVICE_ACCOUNT"], Route::Native)]
    #[case(Scheme::Azure, true, &["AWS_REGION"], Route::Hadoop)]
    #[case(Scheme::Http, true, &[], Route::Native)]
    fn hadoop_reads_objects_only_where_nothing_else_is_said(
        #[case] scheme: Scheme,
        #[case] has_hadoop: bool,
        #[case] environment: &[&str],
        #[case] expected: Route,
    ) {
        assert_eq!(route(scheme, has_hadoop, environment.iter().map(ToString::to_string)), expected);
    }

    #[test]
    fn the_old_name_of_s3_is_the_same_bucket() {
        let url = Url::parse("s3n://bucket/a/b").expect("a URL");
        assert_eq!(with_known_scheme(&url).as_str(), "s3://bucket/a/b");
    }
}
