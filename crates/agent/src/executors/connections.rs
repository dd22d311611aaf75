//! The open streams of executors that speak HTTP.
//!
//! ```text
//! open ─► Open ──close──► Ending ─► what waits is sent, then the end
//!           │ └─overflow─► Broken ─► nothing more is sent; the connection is closed, and gone is told
//!           └─ its reader goes away ─► gone is told, once, whatever came before
//! ```
//!
//! A stream has no task of its own: who sends leaves records in its queue, and hyper takes them from there while the
//! executor reads. An executor may have several for a moment: the core judges who subscribes, and has the stream that an
//! executor had closed once it takes another. Somebody whom it does not take closes none.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use mesos_types::{ExecutorId, FrameworkId};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::v1::{Form, event};
use crate::core::ToExecutor;

/// Closes the connection of a stream at once, whatever its reader does.
pub type HangUp = Box<dyn FnOnce() + Send + Sync>;

/// Bounds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// How often a stream has a heartbeat (`--executor_heartbeat_interval`), longer than 0.
    pub heartbeat: Duration,
    /// How many records may wait (`--executor_max_queued_events`).
    pub max_records: NonZeroUsize,
    /// How many bytes of them (`--executor_max_queued_size`). One record may always wait, whatever its size.
    pub max_bytes: usize,
}

impl Default for StreamSettings {
    fn default() -> Self {
        const RECORDS: NonZeroUsize = match NonZeroUsize::new(4096) {
            Some(records) => records,
            None => NonZeroUsize::MIN,
        };
        Self { heartbeat: Duration::from_mins(30), max_records: RECORDS, max_bytes: 64 << 20 }
    }
}

/// All open streams. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    settings: StreamSettings,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// The last number that was given out.
    last: u64,
    streams: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    owner: (FrameworkId, ExecutorId),
    form: Form,
    queue: Arc<Mutex<Queue>>,
    end: Arc<End>,
}

/// Who hears the number of a stream that is gone.
type Gone = Box<dyn FnOnce(u64) + Send + Sync>;

/// What is done at the end of a stream, each once.
struct End {
    gone: Mutex<Option<Gone>>,
    hang_up: Mutex<Option<HangUp>>,
}

#[derive(Debug)]
struct Queue {
    records: VecDeque<Bytes>,
    bytes: usize,
    phase: Phase,
    reader: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Ending,
    Broken,
}

/// The reading end of a stream: what is sent to the executor. When it is dropped the stream is gone.
pub struct EventStream {
    id: u64,
    form: Form,
    queue: Arc<Mutex<Queue>>,
    heartbeat: Interval,
    table: Arc<Mutex<Table>>,
    end: Arc<End>,
}

impl Connections {
    /// No stream is open.
    pub fn new(settings: StreamSettings) -> Self {
        Self { settings, table: Arc::default() }
    }

    /// Opens a stream for an executor. `gone` hears the stream's number once nobody reads it any more; `hang_up` is called
    /// where the reader does not read. Must be called inside a runtime.
    pub fn open(
        &self,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        form: Form,
        hang_up: HangUp,
        gone: impl FnOnce(u64) + Send + Sync + 'static,
    ) -> EventStream {
        let queue = Arc::new(Mutex::new(Queue {
            records: VecDeque::new(),
            bytes: 0,
            phase: Phase::Open,
            reader: None,
        }));
        let end =
            Arc::new(End { gone: Mutex::new(Some(Box::new(gone))), hang_up: Mutex::new(Some(hang_up)) });
        let owner = (framework_id.clone(), executor_id.clone());
        let id = {
            let mut table = lock(&self.table);
            table.last += 1;
            let id = table.last;
            table.streams.insert(id, Entry { owner, form, queue: queue.clone(), end: end.clone() });
            id
        };
        let mut heartbeat = interval_at(Instant::now() + self.settings.heartbeat, self.settings.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        EventStream { id, form, queue, heartbeat, table: self.table.clone(), end }
    }

    /// Sends an executor what the core says. What it is only told in messages between processes, and what is said to a
    /// stream that has ended, is dropped. A reader for whom too much waits is given up: its connection is closed, and the
    /// end of its stream told at once, as it may never read again.
    pub fn send(&self, id: u64, message: &ToExecutor) {
        let Some(event) = event::event(message) else { return };
        let mut table = lock(&self.table);
        let Some(entry) = table.streams.get(&id) else {
            tracing::debug!(stream = id, "an executor is not told something: its stream has ended");
            return;
        };
        let record = event::record(&event, entry.form);
        if lock(&entry.queue).push(record, &self.settings) {
            return;
        }
        let given_up = table.streams.remove(&id);
        drop(table);
        if let Some(Entry { owner: (framework_id, executor_id), queue, end, .. }) = given_up {
            tracing::warn!(%framework_id, %executor_id,
                "the executor does not read its events, of which too many wait; its stream is closed \
                 (--executor_max_queued_events, --executor_max_queued_size)");
            lock(&queue).enter(Phase::Broken);
            end.hang_up();
            end.tell(id);
        }
    }

    /// Ends a stream once what was sent before is taken.
    pub fn close(&self, id: u64) {
        if let Some(entry) = lock(&self.table).streams.remove(&id) {
            lock(&entry.queue).enter(Phase::Ending);
        }
    }

    /// How many streams are open.
    pub fn len(&self) -> usize {
        lock(&self.table).streams.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Queue {
    /// Takes a record; answers whether it had room.
    fn push(&mut self, record: Bytes, settings: &StreamSettings) -> bool {
        let is_full = self.records.len() >= settings.max_records.get()
            || self.bytes.saturating_add(record.len()) > settings.max_bytes && !self.records.is_empty();
        if is_full {
            return false;
        }
        self.bytes += record.len();
        self.records.push_back(record);
        self.wake();
        true
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        if phase == Phase::Broken {
            self.records = VecDeque::new();
            self.bytes = 0;
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// The next piece for the reader; `None` inside `Ready` is the end.
    fn poll(&mut self, context: &Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(record) = self.records.pop_front() {
            self.bytes = self.bytes.saturating_sub(record.len());
            return Poll::Ready(Some(Ok(record)));
        }
        match self.phase {
            Phase::Open => {
                self.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Phase::Ending => Poll::Ready(None),
            Phase::Broken => {
                self.phase = Phase::Ending;
                let why = "the executor did not read its events";
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, why))))
            }
        }
    }
}

impl EventStream {
    /// The stream's number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How its records are written.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The next record, with a heartbeat when there was none for a while. `None` is the end; an error, that the
    /// connection is to be closed.
    pub fn poll_record(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Poll::Ready(next) = lock(&self.queue).poll(context) {
            return Poll::Ready(next);
        }
        match self.heartbeat.poll_tick(context) {
            Poll::Ready(_) => Poll::Ready(Some(Ok(event::record(&event::heartbeat(), self.form)))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        lock(&self.table).streams.remove(&self.id);
        self.end.tell(self.id);
    }
}

impl End {
    fn tell(&self, id: u64) {
        let gone = lock(&self.gone).take();
        if let Some(gone) = gone {
            gone(id);
        }
    }

    fn hang_up(&self) {
        let hang_up = lock(&self.hang_up).take();
        if let Some(hang_up) = hang_up {
            hang_up();
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End").finish_non_exhaustive()
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("id", &self.id).field("form", &self.form).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn connections(max_records: usize, max_bytes: usize) -> Connections {
        let heartbeat = Duration::from_secs(60);
        let max_records = NonZeroUsize::new(max_records).unwrap();
        Connections::new(StreamSettings { heartbeat, max_records, max_bytes })
    }

    fn open(connections: &Connections, executor: &str) -> (EventStream, Arc<AtomicU64>) {
        let gone = Arc::new(AtomicU64::new(0));
        let told = gone.clone();
        let (framework, executor) = ("F".parse().unwrap(), executor.parse().unwrap());
        let told = move |id| {
            assert_eq!(told.swap(id, Ordering::SeqCst), 0, "the end is told twice");
        };
        let stream = connections.open(&framework, &executor, Form::Json, Box::new(|| ()), told);
        (stream, gone)
    }

    async fn next(stream: &mut EventStream) -> Option<io::Result<String>> {
        let next = std::future::poll_fn(|context| stream.poll_record(context)).await;
        next.map(|record| record.map(|record| String::from_utf8(record.to_vec()).unwrap()))
    }

    const SHUTDOWN: &str = "19\n{\"type\":\"SHUTDOWN\"}";

    #[tokio::test]
    async fn what_is_said_is_read_in_order_and_then_the_end() {
        let connections = connections(8, 1 << 20);
        let (mut stream, gone) = open(&connections, "e");
        connections.send(stream.id(), &ToExecutor::Error("a".into()));
        connections.send(stream.id(), &ToExecutor::Shutdown);
        // Those who speak HTTP do not know it.
        connections.send(stream.id(), &ToExecutor::Reconnect(Default::default()));
        connections.close(stream.id());
        connections.send(stream.id(), &ToExecutor::Shutdown);
        let first = next(&mut stream).await.unwrap().unwrap();
        assert!(first.contains("\"message\":\"a\""), "{first}");
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), SHUTDOWN);
        assert!(next(&mut stream).await.is_none());
        assert_eq!(gone.load(Ordering::SeqCst), 0);
        let id = stream.id();
        drop(stream);
        assert_eq!(gone.load(Ordering::SeqCst), id);
    }

    #[tokio::test]
    async fn a_reader_is_woken() {
        let connections = connections(8, 1 << 20);
        let (mut stream, _) = open(&connections, "e");
        let id = stream.id();
        let reading = tokio::spawn(async move { next(&mut stream).await });
        tokio::task::yield_now().await;
        connections.send(id, &ToExecutor::Shutdown);
        assert_eq!(reading.await.unwrap().unwrap().unwrap(), SHUTDOWN);
    }

    #[tokio::test]
    async fn a_new_stream_leaves_the_earlier_one_to_who_judges() {
        let connections = connections(8, 1 << 20);
        let (mut earlier, _) = open(&connections, "e");
        let (mut later, _) = open(&connections, "e");
        assert_eq!(connections.len(), 2);
        for stream in [&mut earlier, &mut later] {
            connections.send(stream.id(), &ToExecutor::Shutdown);
            assert_eq!(next(stream).await.unwrap().unwrap(), SHUTDOWN);
        }
        connections.close(earlier.id());
        assert!(next(&mut earlier).await.is_none());
        connections.send(later.id(), &ToExecutor::Shutdown);
        assert_eq!(next(&mut later).await.unwrap().unwrap(), SHUTDOWN);
        drop((earlier, later));
        assert!(connections.is_empty());
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_is_given_up_by_number_and_by_size() {
        for (connections, sent) in [(connections(2, 1 << 20), 3), (connections(100, 50), 3)] {
            let (mut stream, gone) = open(&connections, "e");
            let id = stream.id();
            for _ in 0..sent {
                assert_eq!(gone.load(Ordering::SeqCst), 0);
                connections.send(id, &ToExecutor::Shutdown);
            }
            assert!(connections.is_empty());
            // Nobody waits for the reader to notice: it may never read again.
            assert_eq!(gone.load(Ordering::SeqCst), id);
            let error = next(&mut stream).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(next(&mut stream).await.is_none());
        }
    }

    #[tokio::test]
    async fn the_connection_of_who_does_not_read_is_closed() {
        let connections = connections(1, 1 << 20);
        let (framework, executor) = ("F".parse().unwrap(), "e".parse().unwrap());
        let (closed, is_closed) = tokio::sync::oneshot::channel();
        let hang_up: HangUp = Box::new(move || closed.send(()).unwrap());
        let stream = connections.open(&framework, &executor, Form::Json, hang_up, |_| ());
        connections.send(stream.id(), &ToExecutor::Shutdown);
        connections.send(stream.id(), &ToExecutor::Shutdown);
        is_closed.await.unwrap();
    }

    #[tokio::test]
    async fn one_large_record_always_fits() {
        let connections = connections(8, 1);
        let (mut stream, _) = open(&connections, "e");
        connections.send(stream.id(), &ToExecutor::Shutdown);
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), SHUTDOWN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_has_heartbeats() {
        let connections = connections(8, 1 << 20);
        let (mut stream, _) = open(&connections, "e");
        let since = Instant::now();
        for beats in 1..3_u32 {
            assert_eq!(next(&mut stream).await.unwrap().unwrap(), "20\n{\"type\":\"HEARTBEAT\"}");
            assert_eq!(since.elapsed(), Duration::from_secs(60) * beats);
        }
    }
}
