//! Which frames of an engine's log are new: a pure decision over the log's one order of both streams.
//!
//! A frame has a stream, a time stamp and its place in the log. Stamps repeat (the pieces of a long line have one
//! stamp), differ in order between the streams by a scheduling delay, and go backwards when the clock was set back.
//! Docker 20.10 also sends the beginning of a new file again when it rotates its log under a follower, and can make one
//! frame of two records. So the place is found by order: a pass first seeks the last delivered frame, and everything
//! behind it is new. What a pass cannot decide by itself, because that frame is not where it should be, or a frame seems
//! to come again or to be torn, it calls [`Verdict::Doubtful`], and the follower looks again.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use containerizer::StreamName;
use serde::{Deserialize, Serialize};

use super::torn::may_be_torn;

/// How many pieces of a long line are remembered: more than the engine reads of a new file before it sends it again.
const PIECES: usize = 4096;

/// A frame's identity in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameId {
    pub(crate) stream: StreamName,
    /// Nanoseconds since 1970.
    pub(crate) stamp: i128,
}

/// A frame as the matcher sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) id: FrameId,
    pub(crate) payload: &'a [u8],
}

/// The last frame of a stream that was delivered: its stamp, and how many frames of the stream had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The stamp in nanoseconds since 1970.
    #[serde(with = "stamp_text")]
    pub stamp: i128,
    /// How many frames of the stream had it, at least 1.
    pub count: u64,
    /// Whether the frame was a piece of a line and not its end.
    #[serde(default)]
    pub open: bool,
}

/// What was delivered: the last frame of each stream, and which of the two was the last of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks {
    /// The stream of the last frame of all; `None` before the first.
    pub last: Option<StreamName>,
    /// The last frame of standard output.
    pub stdout: Option<Mark>,
    /// The last frame of standard error.
    pub stderr: Option<Mark>,
}

/// What a pass over the log does with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new.
    Deliver(LineEnd),
    /// It was delivered before.
    Skip,
    /// It cannot be told whether this frame is new; the pass must end.
    Doubtful,
}

/// Whether the engine kept the end of a line. The driver `local` of Docker 20.10 loses the line break behind the last
/// piece of a line that is longer than 16 KiB; the next line, or a piece without a byte, shows that there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// It did, as far as this frame shows.
    Kept,
    /// A line break is missing before the frame.
    LostBefore,
    /// The frame, which is empty, is a line break.
    LostHere,
}

/// What is known of the last delivered frame before a pass begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing: it is expected in the log, at its stamp.
    Expected,
    /// A whole read of the log has found it behind so many frames, which are old whatever their stamps say.
    Found {
        /// The frames before it. The engine may have rotated some of them away since, and never has more.
        before: u64,
    },
    /// A whole read of the log has not found it: the engine rotated it away, and everything is new.
    Lost,
}

/// Whether what a pass reads can hold a frame twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// A stream that goes on over rotations can.
    Possible,
    /// A read of what is there cannot.
    Impossible,
}

/// The judge of one pass.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    marks: Marks,
    state: State,
    /// The frame that ended the last pass in doubt; seen again right behind the last delivered one, it shows that the
    /// clock was set back.
    suspect: Option<FrameId>,
    repeats: Repeats,
    stdout: Line,
    stderr: Line,
}

/// The line of a stream that is being delivered.
#[derive(Debug, Clone, Default)]
struct Line {
    /// The stamp that its pieces share.
    stamp: i128,
    /// Hashes of its pieces, as far as this pass saw them; empty between lines.
    pieces: VecDeque<u64>,
    /// Whether the last frame ended its line.
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The last delivered frame is not reached; `seen` frames of its stream with its stamp were, and `passed` frames
    /// in all.
    Seeking { target: FrameId, count: u64, trust: Trust, seen: u64, passed: u64 },
    /// The last delivered frame is lost. What is left of its line is part of the gap, as nobody can tell which of the
    /// line's pieces were delivered.
    Gap { target: FrameId },
    /// The frame before was the last delivered one.
    JustFound,
    /// Frames are new.
    Live,
}

impl Marks {
    fn of(&self, stream: StreamName) -> Option<Mark> {
        match stream {
            StreamName::Stdout => self.stdout,
            StreamName::Stderr => self.stderr,
        }
    }

    /// The last delivered frame and its count.
    pub(crate) fn target(&self) -> Option<(FrameId, u64)> {
        let stream = self.last?;
        let mark = self.of(stream)?;
        Some((FrameId { stream, stamp: mark.stamp }, mark.count))
    }

    fn advance(&mut self, Seen { id: frame, payload }: Seen<'_>) -> LineEnd {
        let before = self.of(frame.stream);
        let (count, was_open) = match before {
            Some(mark) if mark.stamp == frame.stamp => (mark.count + 1, false),
            Some(mark) => (1, mark.open),
            None => (1, false),
        };
        let mark =
            Some(Mark { stamp: frame.stamp, count, open: !payload.is_empty() && !payload.ends_with(b"\n") });
        match frame.stream {
            StreamName::Stdout => self.stdout = mark,
            StreamName::Stderr => self.stderr = mark,
        }
        self.last = Some(frame.stream);
        if was_open {
            LineEnd::LostBefore
        } else if payload.is_empty() {
            LineEnd::LostHere
        } else {
            LineEnd::Kept
        }
    }
}

impl Matcher {
    /// A pass that begins at or before the last delivered frame.
    pub(crate) fn new(marks: Marks, trust: Trust, suspect: Option<FrameId>, repeats: Repeats) -> Self {
        let state = match (marks.target(), trust) {
            (Some((target, count)), Trust::Expected | Trust::Found { .. }) => {
                State::Seeking { target, count, trust, seen: 0, passed: 0 }
            }
            (Some((target, _)), Trust::Lost) => State::Gap { target },
            (None, _) => State::Live,
        };
        let marks = if trust == Trust::Lost { Marks::default() } else { marks };
        Self { marks, state, suspect, repeats, stdout: Line::default(), stderr: Line::default() }
    }

    /// What was delivered, in this pass or before it.
    pub(crate) fn marks(&self) -> Marks {
        self.marks
    }

    /// Whether the last delivered frame has not been reached.
    pub(crate) fn is_seeking(&self) -> bool {
        matches!(self.state, State::Seeking { .. })
    }

    /// Judges the next frame of the pass.
    pub(crate) fn judge(&mut self, frame: Seen<'_>) -> Verdict {
        let id = frame.id;
        match self.state {
            State::Seeking { target, count, trust, seen, passed } => {
                let seen = seen + u64::from(id == target);
                if id == target && seen >= count {
                    self.state = State::JustFound;
                    self.line(id.stream).push(frame);
                    return Verdict::Skip;
                }
                let is_too_far = match trust {
                    // Stamps of one stream are in order, so a later one is new; those of two streams need not be.
                    Trust::Expected => self.marks.of(id.stream).is_none_or(|mark| id.stamp > mark.stamp),
                    Trust::Found { before } => passed >= before,
                    Trust::Lost => false,
                };
                if is_too_far {
                    return Verdict::Doubtful;
                }
                self.state = State::Seeking { target, count, trust, seen, passed: passed + 1 };
                self.line(id.stream).push(frame);
                Verdict::Skip
            }
            State::Gap { target } if id == target => Verdict::Skip,
            State::JustFound if self.suspect == Some(id) => self.deliver(frame),
            State::JustFound | State::Live | State::Gap { .. } => {
                if self.is_backward(id) || self.is_again(frame) || self.is_torn(frame) {
                    Verdict::Doubtful
                } else {
                    self.deliver(frame)
                }
            }
        }
    }

    fn deliver(&mut self, frame: Seen<'_>) -> Verdict {
        let line = self.marks.advance(frame);
        self.state = State::Live;
        self.line(frame.id.stream).push(frame);
        Verdict::Deliver(line)
    }

    fn line(&mut self, stream: StreamName) -> &mut Line {
        match stream {
            StreamName::Stdout => &mut self.stdout,
            StreamName::Stderr => &mut self.stderr,
        }
    }

    fn is_backward(&self, id: FrameId) -> bool {
        self.marks.of(id.stream).is_some_and(|mark| id.stamp < mark.stamp)
    }

    /// Whether the frame may be one that the stream sends again: it has the stamp of the last one, and is neither the
    /// next piece of a line nor another one than all before it.
    fn is_again(&mut self, Seen { id, payload }: Seen<'_>) -> bool {
        if self.repeats == Repeats::Impossible
            || self.marks.of(id.stream).is_none_or(|mark| mark.stamp != id.stamp)
        {
            return false;
        }
        let line = self.line(id.stream);
        line.ended || line.pieces.contains(&hash(payload))
    }

    fn is_torn(&self, frame: Seen<'_>) -> bool {
        self.repeats == Repeats::Possible && may_be_torn(frame.payload)
    }
}

impl Line {
    fn push(&mut self, Seen { id, payload }: Seen<'_>) {
        self.ended = payload.is_empty() || payload.ends_with(b"\n");
        if self.ended || self.stamp != id.stamp {
            self.pieces.clear();
        }
        self.stamp = id.stamp;
        if self.ended {
            return;
        }
        if self.pieces.len() == PIECES {
            self.pieces.pop_front();
        }
        self.pieces.push_back(hash(payload));
    }
}

fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

/// Whether the frames of a whole read hold the last delivered one.
#[derive(Debug)]
pub(crate) struct Locator {
    target: FrameId,
    count: u64,
    seen: u64,
    passed: u64,
    before: Option<u64>,
}

impl Locator {
    pub(crate) fn new((target, count): (FrameId, u64)) -> Self {
        Self { target, count, seen: 0, passed: 0, before: None }
    }

    /// Takes the next frame of the read.
    pub(crate) fn see(&mut self, frame: FrameId) {
        self.seen += u64::from(frame == self.target);
        if self.seen >= self.count && self.before.is_none() {
            self.before = Some(self.passed);
        }
        self.passed += 1;
    }

    /// What the read found.
    pub(crate) fn found(&self) -> Trust {
        self.before.map_or(Trust::Lost, |before| Trust::Found { before })
    }
}

/// Stamps as text in JSON, which has no integers of this size.
mod stamp_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(stamp: &i128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(stamp)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn out(stamp: i128) -> FrameId {
        FrameId { stream: StreamName::Stdout, stamp }
    }

    fn err(stamp: i128) -> FrameId {
        FrameId { stream: StreamName::Stderr, stamp }
    }

    fn pass(matcher: &mut Matcher, frames: &[FrameId]) -> String {
        frames
            .iter()
            .enumerate()
            .map(|(at, &id)| match matcher.judge(Seen { id, payload: &at.to_ne_bytes() }) {
                Verdict::Deliver(_) => 'd',
                Verdict::Skip => 's',
                Verdict::Doubtful => '?',
            })
            .collect()
    }

    fn matcher(marks: Marks, trust: Trust, suspect: Option<FrameId>) -> Matcher {
        Matcher::new(marks, trust, suspect, Repeats::Possible)
    }

    fn marks(delivered: &[FrameId]) -> Marks {
        let mut marks = Marks::default();
        for &id in delivered {
            marks.advance(Seen { id, payload: b"piece" });
        }
        marks
    }

    #[rstest::rstest]
    #[case::from_the_beginning(&[], &[out(5), out(5), out(6)], "ddd")]
    #[case::behind_the_cursor(&[out(5)], &[out(4), out(5), out(6)], "ssd")]
    #[case::pieces_of_one_line(&[out(5), out(5)], &[out(5), out(5), out(5), out(6)], "ssdd")]
    #[case::pieces_between_lines_of_the_other(
        &[out(5), err(6), out(5)], &[out(5), err(6), out(5), out(5), err(7)], "sssdd")]
    #[case::the_other_stream_is_skipped_up_to_the_cursor(&[err(3), out(5)], &[err(3), out(5), err(4)], "ssd")]
    #[case::an_idle_streams_old_frame_is_not_needed(&[err(1), out(5)], &[out(5), err(9)], "sd")]
    #[case::the_cursor_was_rotated_away(&[out(5)], &[out(7)], "?")]
    #[case::the_cursor_was_rotated_away_and_its_stream_is_idle(&[out(5)], &[err(7)], "?")]
    #[case::only_a_part_of_the_pieces_is_left(&[out(5), out(5)], &[out(5), out(7)], "s?")]
    #[case::a_file_is_sent_again(&[out(5)], &[out(5), out(6), out(7), out(4)], "sdd?")]
    #[case::the_clock_was_set_back_behind_the_cursor(&[out(5)], &[out(5), out(3)], "s?")]
    #[case::streams_may_be_apart(&[out(5)], &[out(5), err(3), err(4), out(6)], "sddd")]
    fn a_pass_is_judged_by_order(
        #[case] before: &[FrameId],
        #[case] frames: &[FrameId],
        #[case] expected: &str,
    ) {
        assert_eq!(pass(&mut matcher(marks(before), Trust::Expected, None), frames), expected);
    }

    #[test]
    fn a_clock_set_back_is_believed_when_it_is_seen_again_behind_the_cursor() {
        let mut matcher = matcher(marks(&[out(5)]), Trust::Expected, Some(out(3)));
        assert_eq!(pass(&mut matcher, &[out(5), out(3), out(3), out(4)]), "sddd");
        assert_eq!(matcher.marks().target(), Some((out(4), 1)));
    }

    #[test]
    fn a_cursor_that_was_found_is_sought_past_later_stamps() {
        let mut found = matcher(marks(&[out(5)]), Trust::Found { before: 2 }, None);
        assert_eq!(pass(&mut found, &[err(9), out(9), out(5), out(6)]), "sssd");
    }

    #[test]
    fn a_cursor_that_was_rotated_away_after_it_was_found_is_doubted() {
        let mut found = matcher(marks(&[out(5)]), Trust::Found { before: 2 }, None);
        assert_eq!(pass(&mut found, &[out(9), out(10), out(11)]), "ss?");
    }

    #[test]
    fn streams_that_are_apart_need_no_whole_read() {
        let mut apart = matcher(marks(&[err(6), out(5)]), Trust::Expected, None);
        assert_eq!(pass(&mut apart, &[out(4), err(6), out(5), err(7)]), "sssd");
    }

    #[rstest::rstest]
    #[case::lines(&[(1, "a\n"), (2, "\n"), (3, "b\n")], "kkk")]
    #[case::the_engine_kept_the_end_of_a_long_line(&[(1, "a"), (1, "a\n"), (2, "b\n")], "kkk")]
    #[case::it_did_not(&[(1, "a"), (1, "a"), (2, "b\n"), (3, "c\n")], "kkbk")]
    #[case::two_long_lines(&[(1, "a"), (1, "a"), (2, "b"), (2, "b"), (3, "c\n")], "kkbkb")]
    #[case::the_end_came_alone(&[(1, "a"), (1, ""), (2, "b\n")], "khk")]
    #[case::no_end(&[(1, "a\n"), (2, "b")], "kk")]
    fn a_line_break_that_the_engine_lost_is_put_back(
        #[case] frames: &[(i128, &str)],
        #[case] expected: &str,
    ) {
        let mut marks = Marks::default();
        let found: String = frames
            .iter()
            .map(|&(stamp, payload)| {
                match marks.advance(Seen { id: out(stamp), payload: payload.as_bytes() }) {
                    LineEnd::Kept => 'k',
                    LineEnd::LostBefore => 'b',
                    LineEnd::LostHere => 'h',
                }
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[rstest::rstest]
    #[case::a_line(&["a\n", "a\n"], Repeats::Possible, "d?")]
    #[case::another_line_of_the_same_moment(&["a\n", "b\n"], Repeats::Possible, "d?")]
    #[case::the_pieces_of_a_line(&["a", "b", "c\n"], Repeats::Possible, "ddd")]
    #[case::pieces_that_come_again(&["a", "b", "a"], Repeats::Possible, "dd?")]
    #[case::a_read_of_what_is_there(&["a", "a", "a\n"], Repeats::Impossible, "ddd")]
    #[case::two_records_in_one(&["a", "b\0\0@^\n\x06stdout\x10\n"], Repeats::Possible, "d?")]
    #[case::a_line_that_looks_like_it(&["a", "b\0\0@^\n\x06stdout\x10\n"], Repeats::Impossible, "dd")]
    fn what_comes_again_or_is_torn_is_doubted(
        #[case] payloads: &[&str],
        #[case] repeats: Repeats,
        #[case] expected: &str,
    ) {
        let mut matcher = Matcher::new(Marks::default(), Trust::Expected, None, repeats);
        let verdicts: String = payloads
            .iter()
            .map(|payload| match matcher.judge(Seen { id: out(5), payload: payload.as_bytes() }) {
                Verdict::Deliver(_) => 'd',
                Verdict::Skip => 's',
                Verdict::Doubtful => '?',
            })
            .collect();
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn a_cursor_that_was_lost_makes_everything_new() {
        let mut lost = matcher(marks(&[out(5)]), Trust::Lost, None);
        assert_eq!(pass(&mut lost, &[out(3), err(9)]), "dd");
        let mut lost = matcher(marks(&[out(5), out(5)]), Trust::Lost, None);
        assert_eq!(pass(&mut lost, &[out(5), out(7), err(9)]), "sdd");
    }

    /// Logs as an engine writes them: each stream in the order of its stamps, the streams apart by a little.
    fn logs() -> impl Strategy<Value = Vec<FrameId>> {
        prop::collection::vec((any::<bool>(), 0i128..3), 1..60).prop_map(|steps| {
            let (mut stdout, mut stderr) = (0, 1);
            let frame = |(is_stdout, step): (bool, i128)| {
                let (stream, at) = if is_stdout {
                    (StreamName::Stdout, &mut stdout)
                } else {
                    (StreamName::Stderr, &mut stderr)
                };
                *at += step;
                FrameId { stream, stamp: *at }
            };
            steps.into_iter().map(frame).collect()
        })
    }

    proptest! {
        /// A log read in two passes, the second over the whole log, is delivered once and in order.
        #[test]
        fn each_frame_is_delivered_once(log in logs(), cut in 0usize..60) {
            let cut = cut.min(log.len());
            let read = |matcher: &mut Matcher, log: &[FrameId]| -> Vec<FrameId> {
                let is_new = |&id: &FrameId| matches!(matcher.judge(Seen { id, payload: b"x" }), Verdict::Deliver(_));
                log.iter().copied().filter(is_new).collect()
            };
            let mut first = Matcher::new(Marks::default(), Trust::Expected, None, Repeats::Impossible);
            let mut delivered = read(&mut first, &log[..cut]);
            prop_assert_eq!(delivered.len(), cut);
            // The streams may be too far apart to be sure at once; a whole read is.
            let trust = first.marks().target().map_or(Trust::Expected, |target| {
                let mut locator = Locator::new(target);
                log.iter().for_each(|&frame| locator.see(frame));
                locator.found()
            });
            prop_assert_ne!(trust, Trust::Lost);
            let mut second = Matcher::new(first.marks(), trust, None, Repeats::Impossible);
            delivered.extend(read(&mut second, &log));
            prop_assert_eq!(delivered, log);
        }

        /// A stream that sends what it sent again, from any frame on, is delivered once, with one more read.
        #[test]
        fn what_is_sent_again_is_not_delivered_again(
            steps in prop::collection::vec((any::<bool>(), 1i128..3), 1..60), cut in 1usize..60, again in 0usize..60,
        ) {
            let mut at = 0;
            let log: Vec<_> = steps
                .into_iter()
                .map(|(is_stdout, step)| { at += step; if is_stdout { out(at) } else { err(at) } })
                .collect();
            let cut = cut.min(log.len());
            let again = again.min(cut - 1);
            let mut delivered = Vec::new();
            let (mut marks, mut suspect) = (Marks::default(), None);
            for stream in [[&log[..cut], &log[again..]].concat(), log.clone()] {
                let mut matcher = matcher(marks, Trust::Expected, suspect);
                for id in stream {
                    match matcher.judge(Seen { id, payload: b"line\n" }) {
                        Verdict::Deliver(_) => delivered.push(id),
                        Verdict::Skip => {}
                        Verdict::Doubtful => { suspect = Some(id); break; }
                    }
                }
                marks = matcher.marks();
            }
            prop_assert_eq!(delivered, log);
        }

        /// What the engine has rotated away is found to be lost, and the rest is delivered once.
        #[test]
        fn a_lost_cursor_delivers_what_is_left(log in logs(), cut in 1usize..60, gone in 1usize..60) {
            let cut = cut.min(log.len());
            let left = &log[(cut + gone).min(log.len())..];
            let judge = |matcher: &mut Matcher, id| matcher.judge(Seen { id, payload: b"x" });
            let mut cursor = Matcher::new(Marks::default(), Trust::Expected, None, Repeats::Impossible);
            log[..cut].iter().for_each(|&frame| { judge(&mut cursor, frame); });
            let target = cursor.marks().target().unwrap();
            prop_assume!(!left.contains(&target.0));
            let mut locator = Locator::new(target);
            left.iter().for_each(|&frame| locator.see(frame));
            prop_assert_eq!(locator.found(), Trust::Lost);
            let mut rest = Matcher::new(cursor.marks(), Trust::Lost, None, Repeats::Impossible);
            prop_assert!(left.iter().all(|&frame| matches!(judge(&mut rest, frame), Verdict::Deliver(_))));
        }
    }
}
