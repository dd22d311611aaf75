//! Sizes instead of files: what our agent asks before it caches, so that even the question is asked as the task's user.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use mesos_proto::fetcher::fetcher_info;

use super::reporter::{Reporter, shortened};
use crate::chain::chain;
use crate::download::{Downloader, Measured};
use crate::progress::{Event, Validators};
use crate::uri::{FetchUri, redacted};

/// Asks for the size of each item and sends an event for each. An item that has no size is no failure.
pub(super) async fn measure(
    items: Vec<fetcher_info::Item>,
    downloader: &Arc<Downloader>,
    reporter: &Reporter,
    parallel: usize,
) {
    let events = stream::iter(items.into_iter().enumerate()).map(|(index, item)| {
        let downloader = Arc::clone(downloader);
        async move { one(index, &item.uri.value, &downloader).await }
    });
    let mut events = events.buffer_unordered(parallel);
    while let Some(event) = events.next().await {
        reporter.send(&event);
    }
}

async fn one(item: usize, value: &str, downloader: &Downloader) -> Event {
    let measured = match FetchUri::new(value) {
        Ok(uri) => downloader.measure(&uri).await.map_err(|error| chain(&error)),
        Err(error) => Err(chain(&error)),
    };
    let uri = redacted(value.trim_start());
    match measured {
        Ok(Measured { bytes, validators }) => {
            Event::Measured { item, uri, bytes: Some(bytes), validators, error: None }
        }
        Err(error) => {
            let validators = Validators::default();
            Event::Measured { item, uri, bytes: None, validators, error: Some(shortened(&error)) }
        }
    }
}
