//! The log files of a task: `stdout` and `stderr` in its sandbox.
//!
//! Names in the sandbox, for a stream called `stdout`:
//!
//! ```text
//! stdout           the live file
//! stdout.1 ..      rotated files, the newest first
//! stdout.new       the next live file, for the moment of a rotation
//! stdout.aside.1   what a task put in the place of one of these
//! ```
//!
//! The protocol that makes a log exact is shared with the caller, who stores cursors:
//!
//! 1. [`LogFile::append`] until it is worth storing a cursor, then store [`LogFile::position`].
//! 2. When [`LogFile::wants_rotation`], store the position, and only then [`LogFile::rotate`].
//! 3. After a crash, [`LogFile::resume`] at the stored position cuts off what came after it, also when that is a
//!    rotation. The caller then reads the container's output again from the point that the cursor stands for.

mod file;
mod look;
mod policy;
mod reader;
mod resume;
mod rotate;
mod tail;

pub use file::{LogFile, LogPosition};
pub use policy::RotationPolicy;
pub use reader::{LogReader, ReadOutcome, StartAt};
pub use resume::{ResumeOutcome, Resumed};
pub use rotate::RotateOutcome;
pub use tail::last_lines;
