//! What came of a start that an earlier agent began and did not see through: whether anything of the command ran.
//!
//! | record | parent | its command | what it left | then |
//! |---|---|---|---|---|
//! | none | | | | the word was never given: nothing ran |
//! | one | there | is the parent's own program still | | it waits at the gate, or leaves it: asked again |
//! | one | there | another program | | it runs |
//! | one | gone, maybe with the last boot | | that it never started | nothing ran |
//! | one | likewise | | anything else, or nothing | it ran |

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerizer::blocking;
use sandbox::SandboxError;
use tokio::time::{Instant, sleep};

use crate::parent::ended::{End, Ended};
use crate::processes::{ProcessId, boot_id, descendants, kill_tree, look, of_session};
use crate::record::Record;

/// How long a parent whose agent is gone may take to end, or its command to begin.
const LONGEST: Duration = Duration::from_secs(10);

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Whether anything of a container's command ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// Nothing did, and nothing will.
    No,
    /// It did, or that is not known.
    Yes,
}

/// What is seen of a parent and its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    /// The command waits, or is gone, and its parent has still something to say of that.
    Undecided,
    /// The command is executed.
    Executed,
    /// The parent is gone.
    Gone,
}

/// Finds out whether anything of the command ran whose launch an earlier agent began in this state directory. Of a launch
/// of which nothing ran, the record is taken away, so that another can be made.
///
/// # Errors
///
/// A record that cannot be read or taken away.
///
/// # Cancel safety
///
/// May be dropped and called again.
pub async fn ran(state: &Path) -> Result<Ran, SandboxError> {
    let Some(record) = blocking(|| Record::load(state))? else { return Ok(Ran::No) };
    let is_of_this_boot = blocking(boot_id).is_ok_and(|boot| boot == record.boot_id);
    let deadline = Instant::now() + LONGEST;
    loop {
        let now = if is_of_this_boot { blocking(|| now(&record)) } else { Now::Gone };
        // Read after the look at the parent, which has written what it will once it is gone.
        let end = blocking(|| End::load(state))?;
        match (now, end.map(|end| end.ended)) {
            (_, Some(Ended::NeverStarted { .. })) => {
                blocking(|| Record::remove(state))?;
                return Ok(Ran::No);
            }
            (Now::Undecided, None) if Instant::now() < deadline => sleep(LOOK_AGAIN).await,
            (Now::Undecided | Now::Executed | Now::Gone, _) => return Ok(Ran::Yes),
        }
    }
}

fn now(record: &Record) -> Now {
    if !is_there(record.parent) {
        return Now::Gone;
    }
    match (program(record.parent), program(record.command)) {
        (Some(parent), Some(command)) if parent != command => Now::Executed,
        _ => Now::Undecided,
    }
}

fn is_there(id: ProcessId) -> bool {
    look(id.pid).is_some_and(|stat| stat.id == id && !stat.is_zombie)
}

/// The program that a process executes.
fn program(id: ProcessId) -> Option<PathBuf> {
    let program = std::fs::read_link(format!("/proc/{}/exe", id.pid)).ok()?;
    is_there(id).then_some(program)
}

/// Kills what is left of a container that nobody can carry on, with its parent; answers how many processes there were.
/// Blocks for a moment.
///
/// # Errors
///
/// The record cannot be read, or the processes not be listed.
pub fn kill_left(state: &Path) -> io::Result<usize> {
    let Some(record) = Record::load(state).map_err(io::Error::other)? else { return Ok(0) };
    if boot_id()? != record.boot_id {
        return Ok(0);
    }
    kill_tree(|all| {
        let mut found = of_session(all, record.command);
        for root in [record.parent, record.command] {
            if all.iter().any(|stat| stat.id == root && !stat.is_zombie) {
                found.push(root);
                found.extend(descendants(all, root.pid));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::cgroups::GroupDirs;

    fn sleeper() -> (Child, ProcessId) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        // It is ours until it is executed.
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let own = program(look(std::process::id()).unwrap().id);
        let id = look(pid).unwrap().id;
        while program(id) == own {
            assert!(std::time::Instant::now() < deadline);
        }
        (child, id)
    }

    fn store(state: &Path, boot: &str, parent: ProcessId, command: ProcessId) {
        Record::new(boot.to_owned(), parent, command, GroupDirs::default()).store(state).unwrap();
    }

    fn end(state: &Path, ended: Ended) {
        // As a parent leaves it.
        let bytes = serde_json::to_vec(&End::now(ended)).unwrap();
        std::fs::write(state.join("plain-ended"), bytes).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_ran_is_known_by_the_program_and_by_what_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path();
        assert_eq!(ran(state).await.unwrap(), Ran::No, "no record");
        let boot = boot_id().unwrap();
        let own = look(std::process::id()).unwrap().id;
        let (mut child, id) = sleeper();
        store(state, &boot, own, id);
        assert_eq!(ran(state).await.unwrap(), Ran::Yes, "another program");
        store(state, &boot, own, own);
        assert_eq!(ran(state).await.unwrap(), Ran::Yes, "at the gate for ever");
        store(state, "another boot", own, id);
        assert_eq!(ran(state).await.unwrap(), Ran::Yes, "gone without a word");
        end(state, Ended::Exited { code: 0 });
        store(state, &boot, ProcessId { start: own.start + 1, ..own }, id);
        assert_eq!(ran(state).await.unwrap(), Ran::Yes, "it ended");
        end(state, Ended::NeverStarted { why: "the agent went away".into() });
        assert_eq!(ran(state).await.unwrap(), Ran::No, "given up");
        assert!(Record::load(state).unwrap().is_none(), "the record goes with it");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_is_left_is_killed_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path();
        let boot = boot_id().unwrap();
        let ((mut parent, parent_id), (mut other, other_id)) = (sleeper(), sleeper());
        let was = ProcessId { start: other_id.start + 1, ..other_id };
        assert_eq!(kill_left(state).unwrap(), 0);
        store(state, "another boot", parent_id, was);
        assert_eq!(kill_left(state).unwrap(), 0);
        store(state, &boot, parent_id, was);
        assert_eq!(kill_left(state).unwrap(), 1);
        parent.wait().unwrap();
        assert!(is_there(other_id), "another one has the command's number");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
