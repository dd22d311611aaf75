//! Printing a task's output: standard output to ours, standard error to ours, rotated files first.
//!
//! The order between the two streams is not in the files; each is printed in its own.

use std::io::Write;

use sandbox::{LogReader, ReadOutcome, Sandbox, StartAt};
use task_supervisor::{Phase, RecordStore, RunLayout};

use super::watch::Watch;
use crate::args::LogsArgs;
use crate::failure::{Failure, chain};
use crate::find::{self, KnownRun};
use crate::out;
use crate::pick::pick;
use crate::runs::{self, Ownership};
use crate::setup::Setup;

/// How much is read at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// How much of one stream is printed before the other has its turn, in bytes.
const TURN: usize = 1 << 20;

/// One of the two streams.
#[derive(Debug)]
struct Stream {
    reader: LogReader,
    to: To,
    /// Whether a file that cannot be read was told.
    told: bool,
}

/// Where a stream is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Stdout,
    Stderr,
}

/// Whether a stream has more to read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// Prints the output of a task.
pub(crate) async fn logs(args: LogsArgs) -> Result<u8, Failure> {
    let setup = Setup::new(&args.flags.0)?;
    let runs = find::runs(&setup.work_dir);
    let run = pick(&runs.known, &args.id).inspect_err(|_| runs.tell_broken())?;
    let failed = |error: sandbox::SandboxError| {
        Failure::of(format!("the output of {} cannot be read", run.identity.task_id), &error)
    };
    let sandbox = Sandbox::open(run.layout.sandbox()).map_err(failed)?;
    let mut streams = Vec::with_capacity(2);
    for (name, to) in [("stdout", To::Stdout), ("stderr", To::Stderr)] {
        let reader = LogReader::open(&sandbox, name, StartAt::Oldest).map_err(failed)?;
        streams.push(Stream { reader, to, told: false });
    }
    if !args.follow {
        drain(&mut streams)?;
        return Ok(0);
    }
    follow(&setup, run, &mut streams).await?;
    Ok(0)
}

/// Prints what comes until the task has ended.
async fn follow(setup: &Setup, run: &KnownRun, streams: &mut [Stream]) -> Result<(), Failure> {
    let mut watch = Watch::new(&[run.layout.sandbox(), run.layout.state()]);
    let mut told = false;
    loop {
        // The end is looked at before the output: all of that is in the files when the record says so.
        let ended = has_ended(&run.layout);
        drain(streams)?;
        if ended {
            return Ok(());
        }
        if !told && runs::ownership(&setup.work_dir, &run.identity.framework_id) == Ownership::Orphaned {
            told = true;
            out::note(&format!(
                "note nobody supervises {}, so nothing more comes; mesos-docker adopt takes it over",
                run.identity.task_id
            ));
        }
        watch.changed().await;
    }
}

/// Whether the task's terminal status was made, or a cleanup took the record away.
pub(super) fn has_ended(layout: &RunLayout) -> bool {
    match RecordStore::new(layout.state()).read() {
        Ok(record) => record.phase == Phase::Terminal,
        Err(error) => {
            tracing::debug!(error = chain(&error), "the record cannot be read any more");
            !layout.state().exists()
        }
    }
}

/// Prints both streams to their ends.
fn drain(streams: &mut [Stream]) -> Result<(), Failure> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut more = More::No;
        for stream in streams.iter_mut() {
            if stream.turn(&mut buffer)? == More::Yes {
                more = More::Yes;
            }
        }
        if more == More::No {
            return Ok(());
        }
    }
}

impl Stream {
    /// Prints what is new, up to a bound.
    fn turn(&mut self, buffer: &mut [u8]) -> Result<More, Failure> {
        let mut printed = 0;
        while printed < TURN {
            match self.reader.read_new(buffer) {
                Ok(ReadOutcome::Data(count)) => {
                    self.print(&buffer[..count])?;
                    printed += count;
                }
                Ok(ReadOutcome::Idle) => return Ok(More::No),
                Ok(ReadOutcome::NextFile) => {}
                Ok(ReadOutcome::Truncated) => {
                    out::note("note the task cut its log; it is printed from its beginning")
                }
                Ok(ReadOutcome::Lost) => {
                    out::note("note output may be missing here: its file was rotated away")
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.told, true) {
                        out::note(&format!("note {}", chain(&error)));
                    }
                    return Ok(More::No);
                }
            }
        }
        Ok(More::Yes)
    }

    fn print(&self, bytes: &[u8]) -> Result<(), Failure> {
        match self.to {
            To::Stdout => out::write(bytes),
            // Whoever closed standard error does not want it.
            To::Stderr => {
                let _ = std::io::stderr().lock().write_all(bytes);
                Ok(())
            }
        }
    }
}
