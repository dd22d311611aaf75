//! The frames that the engine multiplexes stdout and stderr in: one byte of kind, three zeros, four of length, then
//! the payload.

use bytes::{Buf as _, Bytes, BytesMut};

/// The length of a frame's head.
const HEAD: usize = 8;

/// The longest payload: the engine splits lines at 16 KiB; this leaves room for a stamp, details and other drivers.
const MAX_PAYLOAD: usize = 1024 * 1024 + 64;

/// Which of a process's streams a piece of output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputStream {
    /// Standard output, and everything with a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Output(OutputStream),
    /// An error text of the engine's own.
    EngineError,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) payload: Bytes,
}

/// The bytes are not frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame's head is none: the container has a terminal, or the stream is not the engine's")]
    Head,
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
}

/// Splits pieces of a stream into frames.
///
/// A frame that lies inside one piece is a slice of it; one that lies across pieces is put together by copying.
#[derive(Debug, Default)]
pub(crate) struct FrameSplitter {
    /// What is left of the last piece.
    piece: Bytes,
    /// The beginning of a frame whose end has not come.
    partial: BytesMut,
}

impl FrameSplitter {
    /// Adds the next piece. Every frame of the last one must have been taken.
    pub(crate) fn push(&mut self, piece: Bytes) {
        debug_assert!(self.piece.is_empty(), "frames are left in the last piece");
        self.piece = piece;
    }

    /// Takes the next whole frame; `None` asks for another piece.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.partial.is_empty() {
            if let Some(head) = self.piece.first_chunk::<HEAD>() {
                let (kind, len) = parse_head(*head)?;
                if self.piece.len() >= HEAD + len {
                    self.piece.advance(HEAD);
                    return Ok(Some(Frame { kind, payload: self.piece.split_to(len) }));
                }
            }
            if self.piece.is_empty() {
                return Ok(None);
            }
        }
        self.take_over(HEAD);
        let Some(head) = self.partial.first_chunk::<HEAD>() else { return Ok(None) };
        let (kind, len) = parse_head(*head)?;
        self.partial.reserve((HEAD + len).saturating_sub(self.partial.len()));
        self.take_over(HEAD + len);
        if self.partial.len() < HEAD + len {
            return Ok(None);
        }
        let mut frame = std::mem::take(&mut self.partial).freeze();
        frame.advance(HEAD);
        Ok(Some(Frame { kind, payload: frame }))
    }

    /// Says whether the stream may end here: not inside a frame.
    pub(crate) fn at_boundary(&self) -> bool {
        self.piece.is_empty() && self.partial.is_empty()
    }

    /// Moves bytes of the piece into the partial frame until that has `want`.
    fn take_over(&mut self, want: usize) {
        let missing = want.saturating_sub(self.partial.len()).min(self.piece.len());
        self.partial.extend_from_slice(&self.piece.split_to(missing));
    }
}

fn parse_head(head: [u8; HEAD]) -> Result<(FrameKind, usize), FrameError> {
    let [kind, 0, 0, 0, a, b, c, d] = head else { return Err(FrameError::Head) };
    let kind = match kind {
        // The engine's own reader takes 0 for stdout too.
        0 | 1 => FrameKind::Output(OutputStream::Stdout),
        2 => FrameKind::Output(OutputStream::Stderr),
        3 => FrameKind::EngineError,
        _ => return Err(FrameError::Head),
    };
    match usize::try_from(u32::from_be_bytes([a, b, c, d])) {
        Ok(len) if len <= MAX_PAYLOAD => Ok((kind, len)),
        Ok(len) => Err(FrameError::TooLong(len)),
        Err(_) => Err(FrameError::TooLong(usize::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn split(pieces: &[&[u8]]) -> (Vec<Frame>, bool) {
        let mut splitter = FrameSplitter::default();
        let mut frames = Vec::new();
        for piece in pieces {
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some(frame) = splitter.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        (frames, splitter.at_boundary())
    }

    #[test]
    fn a_frame_inside_one_piece_is_not_copied() {
        let piece = Bytes::from(frame(2, b"hello"));
        let mut splitter = FrameSplitter::default();
        splitter.push(piece.clone());
        let payload = splitter.next_frame().unwrap().unwrap().payload;
        assert_eq!(payload.as_ptr(), piece[8..].as_ptr());
    }

    #[rstest]
    #[case(b"hello world, no frame".to_vec())]
    #[case(vec![4, 0, 0, 0, 0, 0, 0, 1, b'x'])]
    #[case(vec![1, 0, 1, 0, 0, 0, 0, 1, b'x'])]
    #[case(vec![1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])]
    #[case(vec![1, 0, 0, 0, 0x00, 0x10, 0x00, 0x41])]
    fn what_is_no_frame_is_refused(#[case] bytes: Vec<u8>) {
        let mut splitter = FrameSplitter::default();
        splitter.push(bytes.into());
        assert!(splitter.next_frame().is_err());
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_not_at_a_boundary() {
        let bytes = frame(1, b"hello");
        for end in 1..bytes.len() {
            assert!(!split(&[&bytes[..end]]).1, "{end}");
        }
        assert!(split(&[&bytes]).1);
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            frames in proptest::collection::vec((0u8..4, proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in proptest::collection::vec(1usize..30, 1..40),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
            let mut pieces = Vec::new();
            let (mut rest, mut cut) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let (got, whole) = split(&pieces);
            prop_assert!(whole);
            prop_assert_eq!(got.len(), frames.len());
            for (got, (kind, payload)) in got.iter().zip(&frames) {
                prop_assert_eq!(got.payload.as_ref(), payload.as_slice());
                prop_assert_eq!(got.kind, parse_head([*kind, 0, 0, 0, 0, 0, 0, 0]).unwrap().0);
            }
        }
    }
}
