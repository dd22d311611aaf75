//! Which pass over the log is made next: a pure decision after each one. The follower performs it.

use docker_engine::Follow;

use super::matcher::{FrameId, Trust};

/// How far apart the stamps of two neighbouring frames may be in the wrong order, in seconds: the engine's goroutines
/// stamp the two streams before they queue for the log.
const SKEW: i64 = 2;

/// Where a pass begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// With the last frames.
    Tail,
    /// A while before the last delivered frame.
    Since,
    /// At the beginning.
    Whole,
}

/// How a pass is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) follow: Follow,
    pub(super) span: Span,
    pub(super) trust: Trust,
    /// The frame that ended the last pass in doubt, if it was behind the last delivered one.
    pub(super) suspect: Option<FrameId>,
}

/// Why a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The stream ended properly, behind the last delivered frame.
    Ended,
    /// The engine said in the stream that it cannot read on.
    Complained,
    /// The stream broke, or a file could not be written, after something was delivered.
    Broken,
    /// The last delivered frame was not where it should be.
    NotFound,
    /// This frame is older than the last delivered one, or may be the same.
    Again(FrameId),
    /// There may be more between the last delivered frame and the next.
    MayMiss,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PassEnd {
    pub(super) why: Why,
    /// Whether it delivered anything.
    pub(super) brought: bool,
}

/// What comes after a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another pass.
    Pass(Plan),
    /// A whole read, to find the last delivered frame.
    Locate,
}

impl Plan {
    /// The pass that expects to go on where the last one ended.
    pub(super) fn resume(follow: Follow) -> Self {
        Self { follow, span: Span::Tail, trust: Trust::Expected, suspect: None }
    }

    /// What comes after a pass that was made like this and ended like that.
    pub(super) fn after(self, end: PassEnd) -> Next {
        let resume = Self::resume(Follow::Yes);
        match (end.why, self.span) {
            (Why::Ended | Why::Complained | Why::Broken | Why::MayMiss, _) => Next::Pass(resume),
            // What is read without following comes once, so that it decides. A clock that was set back shows when the
            // same frame comes again behind the last delivered one.
            (Why::Again(frame), _) => Next::Pass(Self { follow: Follow::No, suspect: Some(frame), ..resume }),
            (Why::NotFound, Span::Tail) => Next::Pass(Self { span: Span::Since, ..self }),
            (Why::NotFound, Span::Since | Span::Whole) => Next::Locate,
        }
    }
}

/// The second from which a pass must read so that the last delivered frame and everything behind it is in it.
pub(super) fn since(target: FrameId, suspect: Option<FrameId>) -> i64 {
    let stamp = suspect.map_or(target.stamp, |suspect| suspect.stamp.min(target.stamp));
    let seconds = i64::try_from(stamp.div_euclid(1_000_000_000)).unwrap_or(0);
    seconds.saturating_sub(SKEW).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::StreamName;

    const SECOND: i128 = 1_000_000_000;

    fn out(stamp: i128) -> FrameId {
        FrameId { stream: StreamName::Stdout, stamp }
    }

    #[rstest::rstest]
    #[case(out(10 * SECOND + 5), None, 8)]
    #[case(out(10 * SECOND), Some(out(4 * SECOND)), 2)]
    #[case(out(1), None, 0)]
    fn a_pass_begins_before_the_last_delivered_frame(
        #[case] target: FrameId,
        #[case] suspect: Option<FrameId>,
        #[case] expected: i64,
    ) {
        assert_eq!(since(target, suspect), expected);
    }

    #[test]
    fn a_pass_widens_until_the_last_delivered_frame_is_found() {
        let again = Why::Again(out(7));
        let end = |why| PassEnd { why, brought: false };
        let tail = Plan::resume(Follow::Yes);
        let decide = Plan { follow: Follow::No, suspect: Some(out(7)), ..tail };
        let since = Plan { span: Span::Since, ..tail };
        let whole = Plan { span: Span::Whole, trust: Trust::Found { before: 3 }, ..tail };
        for (plan, why, next) in [
            (tail, Why::Ended, Next::Pass(tail)),
            (tail, Why::Broken, Next::Pass(tail)),
            (tail, Why::Complained, Next::Pass(tail)),
            (Plan { trust: Trust::Lost, ..whole }, Why::Broken, Next::Pass(tail)),
            (tail, Why::MayMiss, Next::Pass(tail)),
            (tail, again, Next::Pass(decide)),
            (tail, Why::NotFound, Next::Pass(since)),
            (since, Why::Ended, Next::Pass(tail)),
            (since, again, Next::Pass(decide)),
            (since, Why::NotFound, Next::Locate),
            (whole, Why::Ended, Next::Pass(tail)),
            (whole, Why::NotFound, Next::Locate),
            (decide, Why::NotFound, Next::Pass(Plan { span: Span::Since, ..decide })),
            (decide, Why::Ended, Next::Pass(tail)),
        ] {
            assert_eq!(plan.after(end(why)), next, "{plan:?} {why:?}");
        }
    }
}
