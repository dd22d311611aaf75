//! The fetcher as an agent uses it: the books of the cache, the real child, and a web server that counts.

mod eviction;
mod kill;
mod scene;
mod shared;
mod through_cache;
mod users;
