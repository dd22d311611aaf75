//! Owns the request that a message is on the wire. The writers of `peers` call it.

use bytes::{BufMut, Bytes, BytesMut};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::upid::Upid;

/// What is escaped in a path. The receiver decodes the id; stock never escapes the parentheses of one, nor do we.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?').add(b'\\');

/// Encodes one message as stock does (`3rdparty/libprocess/src/encoder.hpp`): an empty `Host`, the body as one chunk,
/// and no framing header at all where there is no body.
pub fn encode(to: &Upid, from: &Upid, name: &str, body: &[u8]) -> Bytes {
    let id = utf8_percent_encode(to.id().as_str(), ESCAPED);
    let name = utf8_percent_encode(name, ESCAPED);
    let mut head = format!(
        "POST /{id}/{name} HTTP/1.1\r\n\
         User-Agent: libprocess/{from}\r\n\
         Libprocess-From: {from}\r\n\
         Connection: Keep-Alive\r\n\
         Host: \r\n"
    );
    if body.is_empty() {
        head.push_str("\r\n");
        return Bytes::from(head);
    }
    head.push_str("Transfer-Encoding: chunked\r\n\r\n");
    let size = format!("{:x}\r\n", body.len());
    let end = b"\r\n0\r\n\r\n";
    let mut request = BytesMut::with_capacity(head.len() + size.len() + body.len() + end.len());
    request.put_slice(head.as_bytes());
    request.put_slice(size.as_bytes());
    request.put_slice(body);
    request.put_slice(end);
    request.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upid(text: &str) -> Upid {
        text.parse().unwrap()
    }

    #[test]
    fn a_message_is_encoded_as_stock_does() {
        let request = encode(
            &upid("slave(1)@127.0.0.1:5051"),
            &upid("slave-observer(2)@127.0.0.1:5050"),
            "mesos.internal.PingSlaveMessage",
            b"\x08\x01",
        );
        let expected = "POST /slave(1)/mesos.internal.PingSlaveMessage HTTP/1.1\r\n\
            User-Agent: libprocess/slave-observer(2)@127.0.0.1:5050\r\n\
            Libprocess-From: slave-observer(2)@127.0.0.1:5050\r\n\
            Connection: Keep-Alive\r\n\
            Host: \r\n\
            Transfer-Encoding: chunked\r\n\r\n\
            2\r\n\x08\x01\r\n0\r\n\r\n";
        assert_eq!(request, expected);
    }

    #[test]
    fn an_empty_message_has_no_framing() {
        let request = encode(
            &upid("slave-observer(2)@127.0.0.1:5050"),
            &upid("slave(1)@127.0.0.1:5051"),
            "mesos.internal.PongSlaveMessage",
            b"",
        );
        let expected = "POST /slave-observer(2)/mesos.internal.PongSlaveMessage HTTP/1.1\r\n\
            User-Agent: libprocess/slave(1)@127.0.0.1:5051\r\n\
            Libprocess-From: slave(1)@127.0.0.1:5051\r\n\
            Connection: Keep-Alive\r\n\
            Host: \r\n\r\n";
        assert_eq!(request, expected);
    }

    #[test]
    fn what_would_break_the_request_line_is_escaped() {
        let request = encode(&upid("a/b?c%d@1.2.3.4:5"), &upid("x@1.2.3.4:6"), "n m", b"");
        assert!(request.starts_with(b"POST /a%2Fb%3Fc%25d/n%20m HTTP/1.1\r\n"), "{request:?}");
    }
}
