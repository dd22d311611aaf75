//! The forms of calls and answers.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::http::accept::accepts_media;
use crate::http::answer::Answer;

pub(super) const JSON: &str = "application/json";
pub(super) const PROTOBUF: &str = "application/x-protobuf";
const RECORDIO: &str = "application/recordio";

const MESSAGE_CONTENT_TYPE: HeaderName = HeaderName::from_static("message-content-type");
const MESSAGE_ACCEPT: HeaderName = HeaderName::from_static("message-accept");

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Protobuf,
}

/// How a request says that it is written, and wants the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Media {
    /// `None` for a stream of messages.
    pub(super) call: Option<Form>,
    /// `None` for a stream of messages.
    pub(super) answer: Option<Form>,
}

/// Reads the headers, in stock's order.
///
/// # Errors
///
/// The answer 400, 406 or 415.
pub(super) fn media(headers: &HeaderMap) -> Result<Media, Answer> {
    let call = call_form(headers)?;
    let accepts = |media| accepts_media(headers, &header::ACCEPT, media);
    let answer = if accepts(JSON) {
        Some(Form::Json)
    } else if accepts(PROTOBUF) {
        Some(Form::Protobuf)
    } else if accepts(RECORDIO) {
        None
    } else {
        return Err(Answer::text(
            StatusCode::NOT_ACCEPTABLE,
            format!("Expecting 'Accept' to allow {JSON} or {PROTOBUF} or {RECORDIO}"),
        ));
    };
    if answer.is_some() && headers.contains_key(MESSAGE_ACCEPT) {
        return Err(Answer::text(
            StatusCode::NOT_ACCEPTABLE,
            "Expecting 'Message-Accept' to be not set for non-streaming responses",
        ));
    }
    Ok(Media { call, answer })
}

fn call_form(headers: &HeaderMap) -> Result<Option<Form>, Answer> {
    let unsupported = |why: String| Answer::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return Err(Answer::bad_request("Expecting 'Content-Type' to be present"));
    };
    let form = match named(content_type) {
        Some(JSON) => Some(Form::Json),
        Some(PROTOBUF) => Some(Form::Protobuf),
        Some(RECORDIO) => None,
        _ => {
            return Err(unsupported(format!(
                "Expecting 'Content-Type' of {JSON} or {PROTOBUF} or {RECORDIO}"
            )));
        }
    };
    match (form, headers.get(MESSAGE_CONTENT_TYPE)) {
        (Some(_), None) => Ok(form),
        (Some(_), Some(_)) => Err(unsupported(
            "Expecting 'Message-Content-Type' to be not set for non-streaming requests".to_owned(),
        )),
        (None, None) => {
            Err(Answer::bad_request("Expecting 'Message-Content-Type' to be set for streaming requests"))
        }
        (None, Some(message)) => match named(message) {
            Some(JSON | PROTOBUF) => Ok(None),
            _ => Err(unsupported(format!("Expecting 'Message-Content-Type' of {JSON} or {PROTOBUF}"))),
        },
    }
}

/// The media type of a header. Stock takes no parameters; those that change nothing, such as `charset=utf-8`, are taken
/// here.
fn named(value: &HeaderValue) -> Option<&'static str> {
    let text = value.to_str().ok()?;
    let name = text.split(';').next()?.trim();
    [JSON, PROTOBUF, RECORDIO].into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    /// Tried on a stock 1.11.0 agent, but for the parameters of a content type, which it refuses.
    #[rstest]
    #[case(&[("content-type", JSON)], Some(Form::Json), Some(Form::Json))]
    #[case(&[("content-type", "application/json; charset=utf-8")], Some(Form::Json), Some(Form::Json))]
    #[case(&[("content-type", JSON), ("accept", PROTOBUF)], Some(Form::Json), Some(Form::Protobuf))]
    #[case(&[("content-type", PROTOBUF)], Some(Form::Protobuf), Some(Form::Json))]
    #[case(&[("content-type", PROTOBUF), ("accept", "application/x-protobuf, application/json")], Some(Form::Protobuf), Some(Form::Json))]
    #[case(&[("content-type", JSON), ("accept", "text/html, */*;q=0.1")], Some(Form::Json), Some(Form::Json))]
    #[case(&[("content-type", JSON), ("accept", RECORDIO)], Some(Form::Json), None)]
    #[case(&[("content-type", RECORDIO), ("message-content-type", JSON)], None, Some(Form::Json))]
    fn forms_are_chosen(
        #[case] given: &[(&'static str, &str)],
        #[case] call: Option<Form>,
        #[case] answer: Option<Form>,
    ) {
        assert_eq!(media(&headers(given)).unwrap(), Media { call, answer });
    }

    #[rstest]
    #[case(&[], "400", "Expecting 'Content-Type' to be present")]
    #[case(&[("content-type", "text/plain")], "415", "Expecting 'Content-Type' of application/json or application/x-protobuf or application/recordio")]
    #[case(&[("content-type", JSON), ("accept", "text/html")], "406", "Expecting 'Accept' to allow application/json or")]
    #[case(&[("content-type", JSON), ("message-accept", JSON)], "406", "'Message-Accept' to be not set")]
    #[case(&[("content-type", JSON), ("message-content-type", JSON)], "415", "'Message-Content-Type' to be not set")]
    #[case(&[("content-type", RECORDIO)], "400", "'Message-Content-Type' to be set")]
    #[case(&[("content-type", RECORDIO), ("message-content-type", "x")], "415", "'Message-Content-Type' of")]
    fn others_are_refused(#[case] given: &[(&'static str, &str)], #[case] status: &str, #[case] why: &str) {
        let refused = format!("{:?}", media(&headers(given)).unwrap_err());
        assert!(refused.contains(status) && refused.contains(why), "{refused}");
    }
}
