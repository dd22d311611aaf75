//! The engine's sentences about registries: the one place of this crate where text is read.
//!
//! The engine answers 500 to nearly everything that goes wrong at a registry, and tells what goes wrong after the
//! first line of progress inside a stream whose status was 200, so its sentence is all there is. A row is a piece of
//! such a sentence and what it means; the first row that fits counts, so what is particular stands before what is
//! general. What stands in double quotes is left out: it is an address or a name, which a task chooses. A sentence
//! that no row fits is of the class [`PullClass::Engine`], which is not tried again.
//!
//! Rows of `SEEN` are met with a real engine and a real registry behind a proxy that fails
//! (`integration/tests/images_pull`, `each_failure_of_a_registry_has_its_class` and the tests beside it). Rows of `READ`
//! are not: they need a network that loses packets, a full disk or another engine. Each says where it is from.

use Piece::{Ends, Has, Whole};

use super::failure::PullClass;

/// How a row fits a sentence; lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// The sentence has nothing else.
    Whole(&'static str),
    /// It is anywhere.
    Has(&'static str),
    /// It is at the end.
    Ends(&'static str),
}

/// What the tests produce.
const SEEN: &[(Piece, PullClass)] = &[
    // The registry's answers. One with the standard message of its code and no details becomes the bare code, which
    // the engine does not turn into a status of its own.
    (Has("toomanyrequests"), PullClass::RateLimited),
    (Has("error parsing http 429 response"), PullClass::RateLimited),
    (Has("manifest unknown"), PullClass::NotFound),
    (Whole("name unknown"), PullClass::NotFound),
    (Ends("unknown blob"), PullClass::NotFound),
    (Has("no basic auth credentials"), PullClass::Denied),
    (Whole("unauthorized"), PullClass::Denied),
    (Ends(": unauthorized"), PullClass::Denied),
    (Has("unauthorized: "), PullClass::Denied),
    (Whole("denied"), PullClass::Denied),
    (Ends(": denied"), PullClass::Denied),
    (Has("received unexpected http status: 5"), PullClass::Network),
    // A name in an index that has not this host's platform.
    (Has("no matching manifest for"), PullClass::NotFound),
    // The way to the registry.
    (Has("connection refused"), PullClass::Network),
    (Has("no such host"), PullClass::Network),
    (Ends("eof"), PullClass::Network),
    (Has("connection reset by peer"), PullClass::Network),
    // A layer with another content than its digest says: what is on the way may be at fault.
    (Has("filesystem layer verification failed"), PullClass::Network),
];

/// What the tests do not produce.
const READ: &[(Piece, PullClass)] = &[
    // The file system of the engine's images is full, or its quota is: Go's words for ENOSPC and EDQUOT.
    (Has("no space left on device"), PullClass::DiskFull),
    (Has("disk quota exceeded"), PullClass::DiskFull),
    // The engine may not write its own files: Go's words for EACCES and EPERM. Nothing of a registry, though it has
    // the word of one.
    (Has("permission denied"), PullClass::Engine),
    (Has("operation not permitted"), PullClass::Engine),
    // The registry's answers with details (`registry/api/errcode` of the distribution project), where an engine does
    // not turn them into a status.
    (Has("denied: requested access"), PullClass::Denied),
    (Has("pull access denied"), PullClass::Denied),
    (Has("name unknown: "), PullClass::NotFound),
    (Has("blob unknown"), PullClass::NotFound),
    // Go's `net` and `net/http` for a registry that is slow, breaks off, or cannot be reached from here.
    (Has("i/o timeout"), PullClass::Network),
    (Has("tls handshake timeout"), PullClass::Network),
    (Has("client.timeout exceeded"), PullClass::Network),
    (Has("timeout awaiting response headers"), PullClass::Network),
    (Has("use of closed network connection"), PullClass::Network),
    (Has("server closed idle connection"), PullClass::Network),
    (Has("transport connection broken"), PullClass::Network),
    (Has("context deadline exceeded"), PullClass::Network),
    (Has("request canceled while waiting for connection"), PullClass::Network),
    (Has("no route to host"), PullClass::Network),
    (Has("network is unreachable"), PullClass::Network),
    (Has("temporary failure in name resolution"), PullClass::Network),
    (Has("server misbehaving"), PullClass::Network),
    (Has("broken pipe"), PullClass::Network),
    (Has("connection timed out"), PullClass::Network),
    // The same over HTTP/2 (`golang.org/x/net/http2`), of engines that speak it: a registry, or what stands before it, that restarts or sheds load
    // ends streams and connections. The engine does not ask for manifests and tokens again.
    (Has("stream error: stream id"), PullClass::Network),
    (Has("http2: server sent goaway"), PullClass::Network),
    (Has("http2: client connection "), PullClass::Network),
    (Has("http2: transport received "), PullClass::Network),
    (Has("http2: timeout awaiting "), PullClass::Network),
    // containerd's resolver and fetcher (`core/remotes/docker`), in engines with the containerd image store.
    (Has("429 too many requests"), PullClass::RateLimited),
    (Has("insufficient_scope"), PullClass::Denied),
    (Has("401 unauthorized"), PullClass::Denied),
    (Has("403 forbidden"), PullClass::Denied),
    (Ends("500 internal server error"), PullClass::Network),
    (Ends("502 bad gateway"), PullClass::Network),
    (Ends("503 service unavailable"), PullClass::Network),
    (Ends("504 gateway timeout"), PullClass::Network),
    (Has("no match for platform in manifest"), PullClass::NotFound),
    (Ends(": not found"), PullClass::NotFound),
];

/// Reads a sentence of the engine; `None` for one that no row fits.
pub(super) fn class_of(sentence: &str) -> Option<PullClass> {
    // Every second part is in quotes.
    let plain: String = sentence.split('"').step_by(2).collect::<String>().to_ascii_lowercase();
    let plain = plain.trim();
    SEEN.iter().chain(READ).find(|(piece, _)| piece.fits(plain)).map(|(_, class)| *class)
}

impl Piece {
    fn fits(self, sentence: &str) -> bool {
        match self {
            Whole(text) => sentence == text,
            Has(text) => sentence.contains(text),
            Ends(text) => sentence.ends_with(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sentences as engines wrote them.
    #[rstest::rstest]
    #[case("manifest unknown", PullClass::NotFound)]
    #[case("name unknown", PullClass::NotFound)]
    #[case("unknown blob", PullClass::NotFound)]
    #[case("denied", PullClass::Denied)]
    #[case(
        "error pulling image configuration: download failed after attempts=1: unknown blob",
        PullClass::NotFound
    )]
    #[case("unauthorized", PullClass::Denied)]
    #[case("Head \"http://reg.test/v2/a/manifests/1\": no basic auth credentials", PullClass::Denied)]
    #[case("toomanyrequests: slow down", PullClass::RateLimited)]
    #[case(
        "error parsing HTTP 429 response body: invalid character 's' looking for beginning of value: \"slow\"",
        PullClass::RateLimited
    )]
    #[case("received unexpected HTTP status: 502 Bad Gateway", PullClass::Network)]
    #[case(
        "error pulling image configuration: download failed after attempts=6: received unexpected HTTP status: 500 Internal Server Error",
        PullClass::Network
    )]
    #[case("Head \"http://reg.test/v2/a/manifests/1\": EOF", PullClass::Network)]
    #[case(
        "Get \"http://reg.test/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
        PullClass::Network
    )]
    #[case(
        "Get \"https://nosuch.invalid/v2/\": dial tcp: lookup nosuch.invalid on 127.0.0.1:53: no such host",
        PullClass::Network
    )]
    #[case(
        "Get \"https://reg.test/v2/a/manifests/1\": stream error: stream ID 1; INTERNAL_ERROR; received from peer",
        PullClass::Network
    )]
    #[case(
        "Get \"https://reg.test/v2/\": http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug=\"\"",
        PullClass::Network
    )]
    #[case("Get \"https://reg.test/v2/\": http2: client connection lost", PullClass::Network)]
    #[case(
        "Get \"https://reg.test/v2/\": http2: Transport received Server's graceful shutdown GOAWAY",
        PullClass::Network
    )]
    #[case("Get \"https://reg.test/v2/\": net/http: timeout awaiting response headers", PullClass::Network)]
    #[case("read tcp 127.0.0.1:1->127.0.0.1:2: use of closed network connection", PullClass::Network)]
    #[case("Get \"https://reg.test/v2/\": http: server closed idle connection", PullClass::Network)]
    #[case("filesystem layer verification failed for digest sha256:00", PullClass::Network)]
    #[case(
        "failed to register layer: Error processing tar file(exit status 1): write /x: no space left on device",
        PullClass::DiskFull
    )]
    #[case("failed to register layer: open /var/lib/x: permission denied", PullClass::Engine)]
    fn a_sentence_has_its_class(#[case] sentence: &str, #[case] class: PullClass) {
        assert_eq!(class_of(sentence), Some(class));
    }

    #[rstest::rstest]
    #[case::unknown("failed to register layer: archive/tar: invalid tar header")]
    #[case::empty("")]
    #[case::a_certificate("Get \"https://reg.test/v2/\": x509: certificate signed by unknown authority")]
    #[case::a_name_is_not_read("Get \"http://reg.test/v2/denied/connection refused\": something")]
    #[case::words_within_words("geofence is down")]
    fn another_sentence_has_none(#[case] sentence: &str) {
        assert_eq!(class_of(sentence), None);
    }

    #[test]
    fn rows_are_lower_case_and_stand_once() {
        let pieces: Vec<_> = SEEN.iter().chain(READ).map(|(piece, _)| *piece).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let (Whole(text) | Has(text) | Ends(text)) = *piece;
            assert_eq!(text, text.to_ascii_lowercase());
            assert!(!pieces[..at].contains(piece), "{piece:?} stands twice");
        }
    }
}
