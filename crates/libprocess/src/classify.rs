//! Owns the question whether a request is a message, for whom, and from whom. Pure; the server calls it for each request.

use http::header::USER_AGENT;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::upid::{ProcessId, Upid, UpidError};

/// The header that names the sender.
const FROM: &str = "libprocess-from";
/// What the user agent of a process begins with; its UPID follows.
const AGENT: &str = "libprocess/";

/// What a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classified {
    /// A message.
    Message(MessageHead),
    /// Any other request: the owner's.
    Http,
}

/// Whom a message is for, what it is, and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// The process it is for.
    pub to: ProcessId,
    /// Its name, a protobuf type such as `mesos.internal.PingSlaveMessage`.
    pub name: String,
    /// Who sent it.
    pub from: Sender,
}

/// The sender of a message as its request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// By IPv4 address, as every stock process does.
    Known(Upid),
    /// By host name, which must be looked up first.
    Named(String),
}

/// Why a request that says it is a message is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The sender's address cannot be read.
    #[error("the sender of the message is unknown")]
    Sender(#[source] UpidError),
    /// The sender's header is no text.
    #[error("the sender of the message is no ASCII text")]
    SenderBytes,
    /// The id in the path cannot be a process.
    #[error("the receiver of the message is no process id")]
    Receiver(#[source] UpidError),
    /// The id in the path is no text once decoded.
    #[error("the receiver of the message is no text")]
    ReceiverBytes,
}

/// Tells what a request is by its method, path and headers.
///
/// As stock (`3rdparty/libprocess/src/process.cpp`, `libprocess` and `parse`): a POST with a `Libprocess-From`, or with
/// a user agent that begins with `libprocess/`. The first segment of the path, percent-decoded, is the receiver, the
/// rest is the name.
///
/// # Errors
///
/// It claims to be a message, but its sender or its receiver cannot be read.
pub fn classify(method: &Method, path: &str, headers: &HeaderMap) -> Result<Classified, Malformed> {
    if method != Method::POST {
        return Ok(Classified::Http);
    }
    let agent = headers.get(USER_AGENT).and_then(|value| value.as_bytes().strip_prefix(AGENT.as_bytes()));
    let from = match (headers.get(FROM), agent) {
        (Some(from), _) => from.as_bytes(),
        (None, Some(agent)) => agent,
        (None, None) => return Ok(Classified::Http),
    };
    let from = str::from_utf8(from).map_err(|_| Malformed::SenderBytes)?.trim();
    let from = match from.parse() {
        Ok(upid) => Sender::Known(upid),
        // `Upid::resolve` judges the name.
        Err(UpidError::Host(_)) => Sender::Named(from.to_owned()),
        Err(error) => return Err(Malformed::Sender(error)),
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    let (to, name) = path.split_once('/').unwrap_or((path, ""));
    let to = percent_decode_str(to).decode_utf8().map_err(|_| Malformed::ReceiverBytes)?;
    let to = ProcessId::new(&to).map_err(Malformed::Receiver)?;
    Ok(Classified::Message(MessageHead { to, name: name.to_owned(), from }))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    const MASTER: &str = "master@10.0.0.1:5050";

    #[rstest]
    #[case::as_stock(&[("user-agent", "libprocess/master@10.0.0.1:5050"), ("libprocess-from", MASTER)])]
    #[case::from_alone(&[("libprocess-from", MASTER)])]
    #[case::agent_alone(&[("user-agent", "libprocess/master@10.0.0.1:5050")])]
    #[case::from_wins(&[("user-agent", "libprocess/other@10.0.0.2:1"), ("libprocess-from", MASTER)])]
    #[case::trimmed(&[("libprocess-from", " master@10.0.0.1:5050 ")])]
    fn the_sender_comes_from_either_header(#[case] pairs: &[(&'static str, &str)]) {
        let path = "/slave(1)/mesos.internal.RunTaskMessage";
        let found = classify(&Method::POST, path, &headers(pairs)).unwrap();
        let expected = MessageHead {
            to: ProcessId::new("slave(1)").unwrap(),
            name: "mesos.internal.RunTaskMessage".to_owned(),
            from: Sender::Known(MASTER.parse().unwrap()),
        };
        assert_eq!(found, Classified::Message(expected));
    }

    #[rstest]
    #[case::decoded("/slave%281%29/x.Y", "slave(1)", "x.Y")]
    #[case::name_kept("/slave(1)/a/b%20c", "slave(1)", "a/b%20c")]
    #[case::no_name("/slave(1)", "slave(1)", "")]
    #[case::empty_name("/slave(1)/", "slave(1)", "")]
    #[case::nothing("/", "", "")]
    fn the_path_names_the_receiver_and_the_message(#[case] path: &str, #[case] to: &str, #[case] name: &str) {
        let found = classify(&Method::POST, path, &headers(&[("libprocess-from", MASTER)])).unwrap();
        let Classified::Message(head) = found else { panic!("{found:?}") };
        assert_eq!((head.to.as_str(), head.name.as_str()), (to, name));
    }

    #[rstest]
    #[case::a_get(Method::GET, &[("libprocess-from", MASTER)])]
    #[case::a_browser(Method::POST, &[("user-agent", "Mozilla/5.0")])]
    #[case::no_header(Method::POST, &[])]
    #[case::another_agent(Method::POST, &[("user-agent", "x libprocess/master@10.0.0.1:5050")])]
    fn other_requests_are_the_owners(#[case] method: Method, #[case] pairs: &[(&'static str, &str)]) {
        assert_eq!(classify(&method, "/slave(1)/state", &headers(pairs)), Ok(Classified::Http));
    }

    #[test]
    fn a_host_name_is_left_to_be_looked_up() {
        let pairs = headers(&[("libprocess-from", "scheduler(1)@host.example:99")]);
        let Ok(Classified::Message(head)) = classify(&Method::POST, "/slave(1)/x", &pairs) else { panic!() };
        assert_eq!(head.from, Sender::Named("scheduler(1)@host.example:99".to_owned()));
    }

    #[rstest]
    #[case::no_sender("/slave(1)/x", "nobody")]
    #[case::no_port("/slave(1)/x", "a@1.2.3.4:x")]
    #[case::control_in_receiver("/slave%0d%0a/x", MASTER)]
    #[case::bytes_in_receiver("/%ff/x", MASTER)]
    fn a_message_of_nobody_or_for_nobody_is_malformed(#[case] path: &str, #[case] from: &str) {
        classify(&Method::POST, path, &headers(&[("libprocess-from", from)])).unwrap_err();
    }

    proptest! {
        #[test]
        fn no_request_makes_it_panic(path in "/[ -~]{0,60}", from in "[ -~]{0,60}") {
            let _ = classify(&Method::POST, &path, &headers(&[("libprocess-from", &from)]));
        }

        #[test]
        fn what_we_encode_is_what_we_read(
            id in "[!-?A-~]{1,40}",
            from in "[!-?A-~]{0,40}",
            name in "[A-Za-z.]{1,40}",
        ) {
            let to = ProcessId::new(&id).unwrap();
            let from = Upid::new(ProcessId::new(&from).unwrap(), "1.2.3.4:5".parse().unwrap());
            let upid = Upid::new(to.clone(), "1.2.3.4:6".parse().unwrap());
            let request = crate::encode(&upid, &from, &name, b"");
            let text = str::from_utf8(&request).unwrap();
            let path = text.split(' ').nth(1).unwrap();
            let sender = text.lines().find_map(|line| line.strip_prefix("Libprocess-From: ")).unwrap();
            let found = classify(&Method::POST, path, &headers(&[("libprocess-from", sender)])).unwrap();
            prop_assert_eq!(found, Classified::Message(MessageHead { to, name, from: Sender::Known(from) }));
        }
    }
}
