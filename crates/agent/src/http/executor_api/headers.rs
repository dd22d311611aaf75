//! The forms of calls and streams.

use http::{HeaderMap, StatusCode, header};

use crate::executors::v1::Form;
use crate::http::accept::accepts_media;
use crate::http::answer::Answer;

/// How a call is written.
///
/// # Errors
///
/// The answer 400 or 415.
pub(super) fn of_call(headers: &HeaderMap) -> Result<Form, Answer> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return Err(Answer::bad_request("Expecting 'Content-Type' to be present"));
    };
    // Stock takes no parameters; those that change nothing, such as `charset=utf-8`, are taken here.
    let name = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    [Form::Json, Form::Protobuf]
        .into_iter()
        .find(|form| form.media_type().eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            Answer::text(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Expecting 'Content-Type' of application/json or application/x-protobuf",
            )
        })
}

/// How a stream is to be written; JSON where the client takes either.
///
/// # Errors
///
/// The answer 406.
pub(super) fn of_stream(headers: &HeaderMap) -> Result<Form, Answer> {
    let takes = |form: &Form| accepts_media(headers, &header::ACCEPT, form.media_type());
    [Form::Json, Form::Protobuf].into_iter().find(takes).ok_or_else(|| {
        Answer::text(
            StatusCode::NOT_ACCEPTABLE,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        )
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use rstest::rstest;

    use super::*;

    fn headers(name: HeaderName, value: Option<&str>) -> HeaderMap {
        value.map(|value| (name, value.parse().unwrap())).into_iter().collect()
    }

    #[rstest]
    #[case(Some("application/json"), Ok(Form::Json))]
    #[case(Some("application/x-protobuf"), Ok(Form::Protobuf))]
    #[case(Some("Application/JSON; charset=utf-8"), Ok(Form::Json))]
    #[case(None, Err("400"))]
    #[case(Some("text/plain"), Err("415"))]
    #[case(Some("application/recordio"), Err("415"))]
    #[case(Some(""), Err("415"))]
    fn calls_have_two_forms(#[case] value: Option<&str>, #[case] expected: Result<Form, &str>) {
        let found = of_call(&headers(header::CONTENT_TYPE, value));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(answer), Err(status)) => assert!(format!("{answer:?}").contains(status), "{answer:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case(None, Some(Form::Json))]
    #[case(Some("*/*"), Some(Form::Json))]
    #[case(Some("application/x-protobuf"), Some(Form::Protobuf))]
    #[case(Some("application/x-protobuf, application/json"), Some(Form::Json))]
    #[case(Some("application/json;q=0, application/x-protobuf"), Some(Form::Protobuf))]
    #[case(Some("text/html"), None)]
    fn streams_have_the_form_that_the_client_takes(#[case] value: Option<&str>, #[case] form: Option<Form>) {
        assert_eq!(of_stream(&headers(header::ACCEPT, value)).ok(), form);
    }
}
