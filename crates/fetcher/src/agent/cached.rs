//! A fetch's entries of the cache: taken, measured, waited for, filled.
//!
//! Whatever goes wrong here ends in a download past the cache, with a line that says why, as in Mesos.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::FetchError;
use super::fetcher::{FetchOrder, Fetcher, Told};
use super::plan::{Wanted, cached_groups};
use super::settings::Revalidation;
use crate::cache::{Cache, CacheFile, Filled, Key, Ticket};
use crate::info::{Action, Mode};
use crate::progress::{Event, Validators};

/// How often a fetch waits for another one's download that fails, before it downloads for itself.
const ROUNDS: usize = 3;

/// What a source says of a file: its size in bytes and its version.
type Measured = Result<(u64, Validators), String>;

/// The entries that a fetch holds.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The cache and the account's directory in it, where anything goes through it.
    pub(super) place: Option<(Arc<Cache>, std::path::PathBuf)>,
    held: Vec<(Vec<usize>, Ticket)>,
    /// Versions of downloads, by the names of their files.
    versions: HashMap<String, Validators>,
}

/// One entry that is wanted, with the URIs that it is for.
#[derive(Clone)]
struct Group {
    uris: Vec<usize>,
    key: Key,
}

impl Entries {
    /// Takes the entries of all URIs that are to be cached, and waits for those that others fill.
    ///
    /// # Errors
    ///
    /// [`FetchError::Killed`] only.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; what was taken is given back.
    pub(super) async fn take(
        fetcher: &Fetcher,
        order: &FetchOrder,
        wanted: &[Wanted],
        killed: &CancellationToken,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<Entries, FetchError> {
        let user = order.account.name().to_owned();
        let group = |uris: Vec<usize>| {
            let uri = wanted[uris[0]].uri.value().to_owned();
            Group { key: Key { user: user.clone(), uri }, uris }
        };
        let mut groups: Vec<_> = cached_groups(wanted).into_iter().map(group).collect();
        if groups.is_empty() || fetcher.settings().cache.size == 0 {
            return Ok(Entries::default());
        }
        let opened = fetcher.cache().await.and_then(|cache| {
            let directory = cache.account(&user, order.account.switched());
            Ok((cache, directory.map_err(|error| crate::chain::chain(&error))?))
        });
        let (cache, directory) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                groups.iter().for_each(|group| revert(wanted, group, &why, tell));
                return Ok(Entries::default());
            }
        };
        let mut entries =
            Entries { place: Some((cache.clone(), directory)), held: Vec::new(), versions: HashMap::new() };
        if fetcher.settings().cache.revalidation == Revalidation::Always {
            let known: Vec<_> =
                groups.iter().filter(|group| cache.is_complete(&group.key)).cloned().collect();
            revalidate(fetcher, order, wanted, &cache, &known, killed, tell).await?;
        }
        for round in 1..=ROUNDS {
            let keys: Vec<_> = groups
                .iter()
                .map(|group| (group.key.clone(), wanted[group.uris[0]].uri.name().to_owned()))
                .collect();
            let taken: Vec<_> = groups.drain(..).zip(cache.take(&keys)).collect();
            let (new, others): (Vec<_>, Vec<_>) = taken.into_iter().partition(|(_, ticket)| ticket.fills());
            let fills = !new.is_empty();
            entries.fill(fetcher, order, wanted, new, killed, tell).await?;
            for (group, mut ticket) in others {
                let filled = tokio::select! {
                    filled = ticket.filled() => filled,
                    () = killed.cancelled() => return Err(FetchError::Killed),
                };
                match filled {
                    Filled::Complete => entries.held.push((group.uris, ticket)),
                    // One that fills takes nothing more, see `cache::shelf`.
                    Filled::Failed if !fills && round < ROUNDS => groups.push(group),
                    Filled::Failed => revert(wanted, &group, "another task's download of it failed", tell),
                    Filled::Uncacheable | Filled::Pending => {
                        revert(wanted, &group, "another task found that it cannot be cached", tell);
                    }
                }
            }
            if groups.is_empty() {
                break;
            }
        }
        Ok(entries)
    }

    /// Asks how large new entries will be and reserves room for them.
    async fn fill(
        &mut self,
        fetcher: &Fetcher,
        order: &FetchOrder,
        wanted: &[Wanted],
        new: Vec<(Group, Ticket)>,
        killed: &CancellationToken,
        tell: &mut (dyn FnMut(Told<'_>) + Send),
    ) -> Result<(), FetchError> {
        if new.is_empty() {
            return Ok(());
        }
        let positions: Vec<_> = new.iter().map(|(group, _)| group.uris[0]).collect();
        let mut sizes = measure(fetcher, order, wanted, &positions, killed, tell).await?;
        for (group, ticket) in new {
            let measured =
                sizes.remove(&group.uris[0]).unwrap_or_else(|| Err("nothing was said of its size".into()));
            let room =
                measured.and_then(|(size, _)| ticket.reserve(size).map_err(|no_room| no_room.to_string()));
            match room {
                Ok(()) => self.held.push((group.uris, ticket)),
                Err(why) => {
                    revert(wanted, &group, &why, tell);
                    ticket.give_up();
                }
            }
        }
        Ok(())
    }

    /// What the cache has to do with a URI: nothing for most.
    pub(super) fn of(&self, uri: usize) -> Option<(Action, &CacheFile)> {
        let (_, ticket) = self.held.iter().find(|(uris, _)| uris.contains(&uri))?;
        let action = if ticket.fills() { Action::DownloadAndCache } else { Action::RetrieveFromCache };
        Some((action, ticket.file()))
    }

    /// Takes note of a download of which the child says that it is complete and has its name.
    pub(super) fn downloaded(&mut self, file_name: String, validators: Validators) {
        let at = self.held.iter().position(|(_, ticket)| ticket.fills() && ticket.file().name == file_name);
        if let Some(at) = at {
            self.versions.insert(file_name, validators);
            self.complete(at);
        }
    }

    /// Takes note that a URI is in the sandbox: if it went through the cache, its file is there.
    pub(super) fn fetched(&mut self, uri: usize) {
        if let Some(at) = self.held.iter().position(|(uris, _)| uris.contains(&uri)) {
            self.complete(at);
        }
    }

    /// Takes note that the child has succeeded: whatever was to be filled is there.
    pub(super) fn succeeded(&mut self) {
        for at in 0..self.held.len() {
            self.complete(at);
            let ticket = &self.held[at].1;
            if ticket.fills() {
                tracing::warn!(file = ticket.file().name, "a download is missing from the fetcher cache");
            }
        }
    }

    fn complete(&mut self, at: usize) {
        let ticket = &mut self.held[at].1;
        let version = self.versions.get(&ticket.file().name).cloned().unwrap_or_default();
        complete(ticket, version);
    }
}

fn complete(ticket: &mut Ticket, validators: Validators) {
    match ticket.complete(validators) {
        // One of which the child only says that it is there is looked for again.
        Ok(_) => {}
        Err(no_room) => {
            tracing::warn!(file = ticket.file().name, error = %no_room, "a download is larger than announced");
        }
    }
}

/// Forgets the entries of which the source has another version now. A source that does not answer leaves them.
async fn revalidate(
    fetcher: &Fetcher,
    order: &FetchOrder,
    wanted: &[Wanted],
    cache: &Cache,
    known: &[Group],
    killed: &CancellationToken,
    tell: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<(), FetchError> {
    if known.is_empty() {
        return Ok(());
    }
    let positions: Vec<_> = known.iter().map(|group| group.uris[0]).collect();
    let measured = measure(fetcher, order, wanted, &positions, killed, tell).await?;
    for group in known {
        let now = measured.get(&group.uris[0]).and_then(|measured| measured.as_ref().ok());
        if let Some(now) = now
            && cache.outdate(&group.key, |size, version| is_outdated(&(size, version.clone()), now))
        {
            tracing::info!(uri = %wanted[group.uris[0]].uri, "the source has another version than the fetcher cache");
        }
    }
    Ok(())
}

/// Whether a source has another version of a file now. What it does not tell, and did not, decides nothing.
fn is_outdated(then: &(u64, Validators), now: &(u64, Validators)) -> bool {
    let differ = |then: &Option<String>, now: &Option<String>| match (then, now) {
        (Some(then), Some(now)) => Some(then != now),
        _ => None,
    };
    let tagged = differ(&then.1.etag, &now.1.etag);
    then.0 != now.0 || tagged.or_else(|| differ(&then.1.last_modified, &now.1.last_modified)).unwrap_or(false)
}

/// Lets a child ask how large files are, as their user may see them.
async fn measure(
    fetcher: &Fetcher,
    order: &FetchOrder,
    wanted: &[Wanted],
    positions: &[usize],
    killed: &CancellationToken,
    tell: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<HashMap<usize, Measured>, FetchError> {
    let items = positions.iter().map(|at| wanted[*at].item(None)).collect();
    let mut measured = HashMap::new();
    let mut hear = |event: Event| {
        if let Event::Measured { item, bytes, validators, error, .. } = event
            && let Some(position) = positions.get(item)
        {
            let found = match bytes {
                Some(bytes) => Ok((bytes, validators)),
                None => Err(error.unwrap_or_else(|| "its size is not known".to_owned())),
            };
            measured.insert(*position, found);
        }
    };
    match fetcher.child(order, Mode::Measure, items, None, killed, tell, &mut hear).await {
        Ok(_) if killed.is_cancelled() => Err(FetchError::Killed),
        Ok(_) => Ok(measured),
        Err(FetchError::Killed) => Err(FetchError::Killed),
        Err(error) => {
            let why = crate::chain::chain(&error);
            Ok(positions.iter().map(|at| (*at, Err(why.clone()))).collect())
        }
    }
}

/// Says that URIs go past the cache, and why; the sentence begins as stock's.
fn revert(wanted: &[Wanted], group: &Group, why: &str, tell: &mut (dyn FnMut(Told<'_>) + Send)) {
    let uri = &wanted[group.uris[0]].uri;
    tracing::warn!(%uri, why, "reverting to fetching directly into the sandbox");
    tell(Told::Note(format!(
        "Reverting to fetching directly into the sandbox for '{uri}', due to failure to fetch through the cache: {why}"
    )));
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn version(size: u64, etag: Option<&str>, modified: Option<&str>) -> (u64, Validators) {
        let validators =
            Validators { etag: etag.map(str::to_owned), last_modified: modified.map(str::to_owned) };
        (size, validators)
    }

    #[rstest]
    #[case::nothing_told(version(1, None, None), version(1, None, None), false)]
    #[case::another_size(version(1, Some("a"), None), version(2, Some("a"), None), true)]
    #[case::another_tag(version(1, Some("a"), Some("x")), version(1, Some("b"), Some("x")), true)]
    #[case::a_tag_is_better_than_a_time(
        version(1, Some("a"), Some("x")),
        version(1, Some("a"), Some("y")),
        false
    )]
    #[case::another_time(version(1, None, Some("x")), version(1, Some("a"), Some("y")), true)]
    #[case::a_tag_that_went(version(1, Some("a"), None), version(1, None, None), false)]
    fn a_version_is_compared_by_what_both_tell(
        #[case] then: (u64, Validators),
        #[case] now: (u64, Validators),
        #[case] expected: bool,
    ) {
        assert_eq!(is_outdated(&then, &now), expected);
    }
}
