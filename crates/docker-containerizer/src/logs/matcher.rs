//! Which frames of an engine's log are new: a pure decision over the log's one order of both streams.
//!
//! A frame has a stream, a time stamp and its place in the log. Stamps repeat (the pieces of a long line have one
//! stamp), differ in order between the streams by a scheduling delay, and go backwards when the clock was set back.
//! Docker 20.10 also sends a whole file again and then ends when it rotates its log under a follower. So the place is
//! found by order: a pass first seeks the last delivered frame, and everything behind it is new. What a pass cannot
//! decide by itself, because that frame is not where it should be, it calls [`Verdict::Doubtful`], and the follower
//! looks again.

use serde::{Deserialize, Serialize};

/// One of the two streams of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A frame's identity in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameId {
    pub(crate) stream: StreamName,
    /// Nanoseconds since 1970.
    pub(crate) stamp: i128,
}

/// The last frame of a stream that was delivered: its stamp, and how many frames of the stream had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The stamp in nanoseconds since 1970.
    #[serde(with = "stamp_text")]
    pub stamp: i128,
    /// How many frames of the stream had it, at least 1.
    pub count: u64,
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
    Deliver,
    /// It was delivered before.
    Skip,
    /// It cannot be told whether this frame is new; the pass must end.
    Doubtful,
}

/// What is known of the last delivered frame before a pass begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing: it is expected in the log, at its stamp.
    Expected,
    /// A whole read of the log has found it: everything before it is old, whatever the stamps say.
    Found,
    /// A whole read of the log has not found it: the engine rotated it away, and everything is new.
    Lost,
}

/// The judge of one pass.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    marks: Marks,
    state: State,
    /// The frame that ended the last pass in doubt; seen again right behind the last delivered one, it shows that the
    /// clock was set back.
    suspect: Option<FrameId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The last delivered frame is not reached; `seen` frames of its stream with its stamp were.
    Seeking { target: FrameId, count: u64, trust: Trust, seen: u64 },
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

    fn advance(&mut self, frame: FrameId) {
        let count = match self.of(frame.stream) {
            Some(mark) if mark.stamp == frame.stamp => mark.count + 1,
            _ => 1,
        };
        let mark = Some(Mark { stamp: frame.stamp, count });
        match frame.stream {
            StreamName::Stdout => self.stdout = mark,
            StreamName::Stderr => self.stderr = mark,
        }
        self.last = Some(frame.stream);
    }
}

impl Matcher {
    /// A pass that begins at or before the last delivered frame.
    pub(crate) fn new(marks: Marks, trust: Trust, suspect: Option<FrameId>) -> Self {
        match (marks.target(), trust) {
            (Some((target, count)), Trust::Expected | Trust::Found) => {
                Self { marks, state: State::Seeking { target, count, trust, seen: 0 }, suspect }
            }
            (None, _) => Self { marks, state: State::Live, suspect },
            (Some(_), Trust::Lost) => Self { marks: Marks::default(), state: State::Live, suspect },
        }
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
    pub(crate) fn judge(&mut self, frame: FrameId) -> Verdict {
        match self.state {
            State::Seeking { target, count, trust, seen } => {
                if frame == target {
                    let seen = seen + 1;
                    self.state =
                        if seen >= count { State::JustFound } else { State::Seeking { target, count, trust, seen } };
                    Verdict::Skip
                } else if frame.stamp > target.stamp && trust == Trust::Expected {
                    Verdict::Doubtful
                } else {
                    Verdict::Skip
                }
            }
            State::JustFound if self.is_backward(frame) && self.suspect != Some(frame) => Verdict::Doubtful,
            State::Live if self.is_backward(frame) => Verdict::Doubtful,
            State::JustFound | State::Live => {
                self.marks.advance(frame);
                self.state = State::Live;
                Verdict::Deliver
            }
        }
    }

    fn is_backward(&self, frame: FrameId) -> bool {
        self.marks.of(frame.stream).is_some_and(|mark| frame.stamp < mark.stamp)
    }
}

/// Whether the frames of a whole read hold the last delivered one.
#[derive(Debug)]
pub(crate) struct Locator {
    target: FrameId,
    count: u64,
    seen: u64,
}

impl Locator {
    pub(crate) fn new((target, count): (FrameId, u64)) -> Self {
        Self { target, count, seen: 0 }
    }

    /// Takes the next frame of the read.
    pub(crate) fn see(&mut self, frame: FrameId) {
        self.seen += u64::from(frame == self.target);
    }

    /// What the read found.
    pub(crate) fn found(&self) -> Trust {
        if self.seen >= self.count { Trust::Found } else { Trust::Lost }
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
            .map(|&frame| match matcher.judge(frame) {
                Verdict::Deliver => 'd',
                Verdict::Skip => 's',
                Verdict::Doubtful => '?',
            })
            .collect()
    }

    fn marks(delivered: &[FrameId]) -> Marks {
        let mut marks = Marks::default();
        delivered.iter().for_each(|&frame| marks.advance(frame));
        marks
    }

    #[rstest::rstest]
    #[case::from_the_beginning(&[], &[out(5), out(5), out(6)], "ddd")]
    #[case::behind_the_cursor(&[out(5)], &[out(4), out(5), out(6)], "ssd")]
    #[case::pieces_of_one_line(&[out(5), out(5)], &[out(5), out(5), out(5), out(6)], "ssdd")]
    #[case::pieces_between_lines_of_the_other(
        &[out(5), err(6), out(5)], &[out(5), err(6), out(5), out(5), err(7)], "s?sdd")]
    #[case::the_other_stream_is_skipped_up_to_the_cursor(&[out(5)], &[err(3), out(5), err(4)], "ssd")]
    #[case::an_idle_streams_old_frame_is_not_needed(&[err(1), out(5)], &[out(5), err(9)], "sd")]
    #[case::the_cursor_was_rotated_away(&[out(5)], &[out(7)], "?")]
    #[case::the_cursor_was_rotated_away_and_its_stream_is_idle(&[out(5)], &[err(7)], "?")]
    #[case::only_a_part_of_the_pieces_is_left(&[out(5), out(5)], &[out(5), out(7)], "s?")]
    #[case::a_file_is_sent_again(&[out(5)], &[out(5), out(6), out(7), out(4)], "sdd?")]
    #[case::the_clock_was_set_back_behind_the_cursor(&[out(5)], &[out(5), out(3)], "s?")]
    #[case::streams_may_be_apart(&[out(5)], &[out(5), err(3), err(4), out(6)], "sddd")]
    fn a_pass_is_judged_by_order(#[case] before: &[FrameId], #[case] frames: &[FrameId], #[case] expected: &str) {
        assert_eq!(pass(&mut Matcher::new(marks(before), Trust::Expected, None), frames), expected);
    }

    #[test]
    fn a_clock_set_back_is_believed_when_it_is_seen_again_behind_the_cursor() {
        let mut matcher = Matcher::new(marks(&[out(5)]), Trust::Expected, Some(out(3)));
        assert_eq!(pass(&mut matcher, &[out(5), out(3), out(3), out(4)]), "sddd");
        assert_eq!(matcher.marks().target(), Some((out(4), 1)));
    }

    #[test]
    fn a_cursor_that_was_found_is_sought_past_later_stamps() {
        let mut matcher = Matcher::new(marks(&[out(5)]), Trust::Found, None);
        assert_eq!(pass(&mut matcher, &[err(9), out(9), out(5), out(6)]), "sssd");
    }

    #[test]
    fn a_cursor_that_was_lost_makes_everything_new() {
        let mut matcher = Matcher::new(marks(&[out(5)]), Trust::Lost, None);
        assert_eq!(pass(&mut matcher, &[out(3), err(9)]), "dd");
    }

    /// Logs as an engine writes them: each stream in the order of its stamps, the streams apart by a little.
    fn logs() -> impl Strategy<Value = Vec<FrameId>> {
        prop::collection::vec((any::<bool>(), 0i128..3), 1..60).prop_map(|steps| {
            let (mut stdout, mut stderr) = (0, 1);
            let frame = |(is_stdout, step): (bool, i128)| {
                let (stream, at) =
                    if is_stdout { (StreamName::Stdout, &mut stdout) } else { (StreamName::Stderr, &mut stderr) };
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
            let mut first = Matcher::new(Marks::default(), Trust::Expected, None);
            let mut delivered: Vec<FrameId> =
                log[..cut].iter().copied().filter(|&f| first.judge(f) == Verdict::Deliver).collect();
            prop_assert_eq!(delivered.len(), cut);
            // The streams may be too far apart to be sure at once; a whole read is.
            let trust = first.marks().target().map_or(Trust::Expected, |target| {
                let mut locator = Locator::new(target);
                log.iter().for_each(|&frame| locator.see(frame));
                locator.found()
            });
            prop_assert_ne!(trust, Trust::Lost);
            let mut second = Matcher::new(first.marks(), trust, None);
            delivered.extend(log.iter().copied().filter(|&f| second.judge(f) == Verdict::Deliver));
            prop_assert_eq!(delivered, log);
        }

        /// What the engine has rotated away is found to be lost, and the rest is delivered once.
        #[test]
        fn a_lost_cursor_delivers_what_is_left(log in logs(), cut in 1usize..60, gone in 1usize..60) {
            let cut = cut.min(log.len());
            let left = &log[(cut + gone).min(log.len())..];
            let mut cursor = Matcher::new(Marks::default(), Trust::Expected, None);
            log[..cut].iter().for_each(|&frame| { cursor.judge(frame); });
            let target = cursor.marks().target().unwrap();
            prop_assume!(!left.contains(&target.0));
            let mut locator = Locator::new(target);
            left.iter().for_each(|&frame| locator.see(frame));
            prop_assert_eq!(locator.found(), Trust::Lost);
            let mut rest = Matcher::new(cursor.marks(), Trust::Lost, None);
            prop_assert!(left.iter().all(|&frame| rest.judge(frame) == Verdict::Deliver));
        }
    }
}
