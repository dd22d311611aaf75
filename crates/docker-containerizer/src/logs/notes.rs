//! Lines of ours about a container that runs, for the sandbox's stderr: whoever has one hands it to the follower, which
//! alone writes the files.

use tokio::sync::mpsc;

/// How many lines may wait: what comes when they are too many is left out, since nobody may be kept waiting for a disk.
const WAITING: usize = 16;

/// The longest line, in bytes.
const LONGEST: usize = 1024;

/// Where lines go in. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct NoteSender(mpsc::Sender<String>);

/// Where they come out.
#[derive(Debug)]
pub(crate) struct Notes {
    lines: mpsc::Receiver<String>,
    /// The last one, which is not told twice in a row.
    last: Option<String>,
}

/// A way for lines of ours.
pub(crate) fn notes() -> (NoteSender, Notes) {
    let (sender, lines) = mpsc::channel(WAITING);
    (NoteSender(sender), Notes { lines, last: None })
}

impl NoteSender {
    /// Hands over a line, as one line that is not long; never waits.
    pub(crate) fn send(&self, line: &str) {
        let mut text: String =
            line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push('…');
        }
        if self.0.try_send(text).is_err() {
            tracing::debug!(line, "a note was not taken");
        }
    }
}

impl Notes {
    /// A way that nobody uses.
    pub(crate) fn none() -> Self {
        notes().1
    }

    /// Waits for the next line; for ever, when nobody can send one.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again; nothing is lost.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            match self.lines.recv().await {
                Some(line) if self.last.as_ref() == Some(&line) => {}
                Some(line) => {
                    self.last = Some(line.clone());
                    return line;
                }
                None => std::future::pending().await,
            }
        }
    }

    /// The next line, if there is one.
    pub(crate) fn waiting(&mut self) -> Option<String> {
        futures_util::FutureExt::now_or_never(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_in_order_and_none_twice_in_a_row() {
        let (sender, mut notes) = notes();
        for line in ["a", "a", "b", "a"] {
            sender.send(line);
        }
        assert_eq!(notes.next().await, "a");
        assert_eq!(notes.waiting().as_deref(), Some("b"));
        assert_eq!(notes.waiting().as_deref(), Some("a"));
        assert_eq!(notes.waiting(), None);
        drop(sender);
        assert_eq!(notes.waiting(), None);
    }

    #[test]
    fn a_note_is_one_line_and_not_long_and_nobody_waits_for_room() {
        let (sender, mut notes) = notes();
        sender.send("one\nline\r\u{1b}[0m");
        for number in 0..1000 {
            sender.send(&format!("{number}{}", "é".repeat(LONGEST)));
        }
        assert_eq!(notes.waiting().as_deref(), Some("one line  [0m"));
        let mut count = 0;
        while let Some(line) = notes.waiting() {
            assert!(line.len() <= LONGEST + '…'.len_utf8());
            count += 1;
        }
        assert_eq!(count, WAITING - 1);
    }
}
