//! What a task without an image writes into its sandbox, as it comes, for a process that has taken it over: nobody hands
//! it a copy of the output.

use containerizer::{LogChunk, StreamName};
use sandbox::{LogReader, ReadOutcome, Sandbox, SandboxError, StartAt};
use task_supervisor::RunLayout;
use tokio::sync::mpsc;

use super::print::has_ended;
use super::watch::Watch;
use crate::failure::chain;
use crate::out;

/// How much is read at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// The output of one task, from where it was when this was made.
pub(crate) struct Feed {
    layout: RunLayout,
    streams: [(StreamName, LogReader); 2],
    watch: Watch,
}

impl Feed {
    /// Begins at the ends of both files.
    ///
    /// # Errors
    ///
    /// The sandbox cannot be read.
    pub(crate) fn from_now(layout: &RunLayout) -> Result<Self, SandboxError> {
        let watch = Watch::new(&[layout.sandbox(), layout.state()]);
        let sandbox = Sandbox::open(layout.sandbox())?;
        let open = |name| LogReader::open(&sandbox, name, StartAt::End);
        let streams = [(StreamName::Stdout, open("stdout")?), (StreamName::Stderr, open("stderr")?)];
        Ok(Self { layout: layout.clone(), streams, watch })
    }

    /// Hands on what comes until the task has ended, or nobody takes it.
    pub(crate) async fn run(mut self, to: mpsc::Sender<LogChunk>) {
        let mut buffer = vec![0; BUFFER];
        loop {
            // The end is looked at before the output: all of that is in the files when the record says so.
            let ended = has_ended(&self.layout);
            for (stream, reader) in &mut self.streams {
                if drain(*stream, reader, &mut buffer, &to).await.is_err() {
                    return;
                }
            }
            if ended {
                return;
            }
            self.watch.changed().await;
        }
    }
}

/// Hands on what is new of a stream. An error says that nobody takes it.
async fn drain(
    stream: StreamName,
    reader: &mut LogReader,
    buffer: &mut [u8],
    to: &mpsc::Sender<LogChunk>,
) -> Result<(), mpsc::error::SendError<LogChunk>> {
    loop {
        match reader.read_new(buffer) {
            Ok(ReadOutcome::Data(count)) => {
                let bytes = buffer[..count].to_vec().into();
                to.send(LogChunk { stream, bytes }).await?;
            }
            Ok(ReadOutcome::Idle) => return Ok(()),
            Ok(ReadOutcome::NextFile) => {}
            Ok(ReadOutcome::Truncated) => {
                out::note("note the task cut its log; it is printed from its beginning")
            }
            Ok(ReadOutcome::Lost) => out::note("note output may be missing here: its file was rotated away"),
            Err(error) => {
                tracing::debug!(error = chain(&error), "the output cannot be read now");
                return Ok(());
            }
        }
    }
}
