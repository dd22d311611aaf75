//! URIs as they may be printed: without passwords and without what a signed URI is signed with.

/// Parameters of a query whose value opens a door. Compared without regard to case.
const SECRET_PARAMETERS: [&str; 15] = [
    "access_token",
    "api_key",
    "apikey",
    "awsaccesskeyid",
    "key",
    "password",
    "private_token",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// What is printed instead.
const HIDDEN: &str = "***";

/// Prints a URI without the password of its user and without the secret values of its query.
///
/// A text that is no URI comes back as it is, unless it has a `@` after a `://`.
#[must_use]
pub fn redacted(uri: &str) -> String {
    let (before_query, query) = match uri.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (uri, None),
    };
    let mut shown = hide_password(before_query);
    if let Some(query) = query {
        let (query, fragment) = query.split_once('#').map_or((query, None), |(q, f)| (q, Some(f)));
        for (index, parameter) in query.split('&').enumerate() {
            shown.push(if index == 0 { '?' } else { '&' });
            match parameter.split_once('=') {
                Some((name, _)) if is_secret(name) => shown.extend([name, "=", HIDDEN]),
                _ => shown.push_str(parameter),
            }
        }
        if let Some(fragment) = fragment {
            shown.extend(["#", fragment]);
        }
    }
    shown
}

fn is_secret(name: &str) -> bool {
    SECRET_PARAMETERS.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// Hides everything between the first colon after `://` and the last `@` in front of the path.
fn hide_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    // A password with an unescaped slash in it makes the URI invalid, but it must not be shown all the same. Digits
    // after the colon are a port.
    let odd = || authority.split_once(':').is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit()));
    let Some(at) = authority.rfind('@').or_else(|| rest.rfind('@').filter(|_| odd())) else {
        return uri.to_owned();
    };
    match rest[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{HIDDEN}{}", &rest[at..]),
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://h/a?b=c", "http://h/a?b=c")]
    #[case("https://u:p@h/a", "https://u:***@h/a")]
    #[case("https://u@h/a", "https://u@h/a")]
    #[case("https://u:p@x@h/a", "https://u:***@h/a")]
    #[case("https://u:p/q@h/a", "https://u:***@h/a")]
    #[case("https://h:80/a@b", "https://h:80/a@b")]
    #[case("https://h/a?X-Amz-Signature=s&y=1", "https://h/a?X-Amz-Signature=***&y=1")]
    #[case("https://h/a?sig=s#x", "https://h/a?sig=***#x")]
    #[case("/plain/file", "/plain/file")]
    #[case("", "")]
    fn secrets_are_hidden(#[case] uri: &str, #[case] shown: &str) {
        assert_eq!(redacted(uri), shown);
    }
}
