//! URIs as they may be printed: without passwords and without what a signed URI is signed with, and nothing in them that
//! a terminal obeys.

use std::fmt::Write;
use std::path::Path;

use percent_encoding::percent_decode_str;

/// What the name of a parameter has in it whose value opens a door. Rather one too many is hidden: `design` is as well.
const SECRET_PARTS: [&str; 11] =
    ["auth", "cred", "jwt", "key", "pass", "pwd", "sas", "secret", "session", "sig", "token"];

/// Schemes whose URIs have a user in front of the host. Elsewhere it may be the name of a container (`abfss`).
const WITH_USER: [&str; 4] = ["http", "https", "ftp", "ftps"];

/// What is printed instead.
const HIDDEN: &str = "***";

/// Prints a URI without its user and without the secret values of its query and fragment. Of schemes that are not on
/// the web the user stays, without a password.
///
/// A text that is no URI comes back as it is, unless it has a `@` after a `://`. Control characters are escaped.
#[must_use]
pub fn redacted(uri: &str) -> String {
    // A password may have any sign in it, though it should not.
    let host = uri.find("://").map_or(0, |at| at + 3);
    let slash = uri[host..].find('/').map_or(uri.len(), |at| host + at);
    let from = uri[host..slash].rfind('@').map_or(host, |at| host + at);
    let end = uri[from..].find(['?', '#']).map_or(uri.len(), |at| from + at);
    let (before_query, query) = uri.split_at(end);
    plain(&format!("{}{}", hide_user(before_query), hide_parameters(query)))
}

/// Prints a path whose last part may be what follows the last slash of a URI, a query included.
#[must_use]
pub fn shown_path(path: &Path) -> String {
    let text = path.display().to_string();
    let name = text.rfind('/').map_or(0, |slash| slash + 1);
    let (directories, name) = text.split_at(name);
    plain(&format!("{}{}", hide_parameters(directories), hide_parameters(name)))
}

/// Makes a text for people that was put together from others: hides what looks like a secret parameter of a URI or of a
/// file that is named after one, and escapes control characters.
#[must_use]
pub fn shown_text(text: &str) -> String {
    // In our texts quotation marks are around a URI and a path, and no URI has one in it.
    let hidden: String = text.split_inclusive(['\'', '"']).map(hide_parameters).collect();
    plain(&hidden)
}

/// Hides the values of secret parameters, wherever one begins: after a `?`, `&`, `#`, `;`, `/` or at the beginning. A
/// value ends at the next `&` or `#`, or at a quotation mark at the end of the text.
fn hide_parameters(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for part in text.split_inclusive(['&', '#']) {
        let end = part.trim_end_matches(['&', '#', '\'', '"']).len();
        let (part, mark) = part.split_at(end);
        let secret = part.match_indices('=').find(|(at, _)| {
            let name = part[..*at].rfind(['?', ';', '/', '=']).map_or(0, |start| start + 1);
            is_secret(&part[name..*at])
        });
        match secret {
            Some((at, _)) => shown.extend([&part[..=at], HIDDEN, mark]),
            None => shown.extend([part, mark]),
        }
    }
    shown
}

fn is_secret(name: &str) -> bool {
    // Words are in front of a name where there was no other sign, and mean nothing.
    let name = name.rsplit(char::is_whitespace).next().unwrap_or(name);
    let name = percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// Hides what is between `://` and the last `@` in front of the path, or what is behind the first colon there.
fn hide_user(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    // A password with an unescaped slash in it makes the URI invalid, but it must not be shown all the same. Digits
    // after the colon are a port.
    let odd = || authority.split_once(':').is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit()));
    let Some(at) = authority.rfind('@').or_else(|| rest.rfind('@').filter(|_| odd())) else {
        return uri.to_owned();
    };
    let behind = &rest[at..];
    match rest[..at].split_once(':') {
        _ if WITH_USER.iter().any(|known| known.eq_ignore_ascii_case(scheme.trim())) => {
            format!("{scheme}://{HIDDEN}{behind}")
        }
        Some((user, _)) => format!("{scheme}://{user}:{HIDDEN}{behind}"),
        None => uri.to_owned(),
    }
}

/// Escapes what a terminal would obey: control characters, and signs that turn the direction of writing.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // One line stays one.
            '\n' | '\r' => shown.push(' '),
            _ if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                // Writing to a text does not fail.
                let _ = write!(shown, "{}", c.escape_default());
            }
            _ => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://h/a?b=c", "http://h/a?b=c")]
    #[case("https://u:p@h/a", "https://***@h/a")]
    #[case("https://ghp_TOKEN@h/a", "https://***@h/a")]
    #[case("HTTPS://TOKEN:x-oauth-basic@h/a", "HTTPS://***@h/a")]
    #[case("ftp://u@h/a", "ftp://***@h/a")]
    #[case("hdfs://u@h/a", "hdfs://u@h/a")]
    #[case("hdfs://u:p@h/a", "hdfs://u:***@h/a")]
    #[case("abfss://container@account/a", "abfss://container@account/a")]
    #[case("https://u:p@x@h/a", "https://***@h/a")]
    #[case("https://u:p/q@h/a", "https://***@h/a")]
    #[case("https://u:p?q#r@h/a", "https://***@h/a")]
    #[case("https://h:80/a@b", "https://h:80/a@b")]
    #[case("https://h?sig=/s&x=@", "https://h?sig=***&x=@")]
    #[case("https://h/a?X-Amz-Signature=s&y=1", "https://h/a?X-Amz-Signature=***&y=1")]
    #[case("https://h/a?sig=s#x", "https://h/a?sig=***#x")]
    #[case("https://h/a?sig=s=t?u/v&x=1", "https://h/a?sig=***&x=1")]
    #[case("https://h/a?x=1;sig=s;t", "https://h/a?x=1;sig=***")]
    #[case("https://h/a?%73ig=s", "https://h/a?%73ig=***")]
    #[case("https://h/a#access_token=s", "https://h/a#access_token=***")]
    #[case("https://h/a?x=1#sha256=00", "https://h/a?x=1#sha256=00")]
    #[case("/plain/file", "/plain/file")]
    #[case("/a\u{1b}[31m\u{202e}b\nc", "/a\\u{1b}[31m\\u{202e}b c")]
    #[case("", "")]
    fn secrets_are_hidden(#[case] uri: &str, #[case] shown: &str) {
        assert_eq!(redacted(uri), shown);
    }

    #[rstest]
    fn parameters_with_secrets_have_many_names(
        #[values(
            "client_secret",
            "secret",
            "q-signature",
            "X-Oss-Signature",
            "job_token",
            "auth",
            "jwt",
            "passwd",
            "access_key",
            "sas",
            "X-Amz-Credential",
            "AWSAccessKeyId",
            "private_token",
            "apikey",
            "pwd"
        )]
        name: &str,
    ) {
        assert_eq!(
            redacted(&format!("http://h/a?x=1&{name}=S1&y=2")),
            format!("http://h/a?x=1&{name}=***&y=2")
        );
        let path = format!("/s/a?x=1&{name}=S1");
        assert_eq!(shown_path(Path::new(&path)), format!("/s/a?x=1&{name}=***"));
        assert_eq!(shown_text(&format!("no '{path}': why")), format!("no '/s/a?x=1&{name}=***': why"));
    }

    #[rstest]
    #[case("/s/m.bin?sig=S", "/s/m.bin?sig=***")]
    // What follows the last slash of a query with one in a value.
    #[case("/s/y&sig=S T", "/s/y&sig=***")]
    #[case("/s/sig=S", "/s/sig=***")]
    #[case("/s/m.bin", "/s/m.bin")]
    #[case("m.bin", "m.bin")]
    fn names_of_files_are_names_of_uris(#[case] path: &str, #[case] shown: &str) {
        assert_eq!(shown_path(Path::new(path)), shown);
    }

    #[rstest]
    #[case("no space for '/s/m?sig=S T': 1 of 2", "no space for '/s/m?sig=***': 1 of 2")]
    #[case("a '/s/m?sig=S' b 'http://h/m?sig=S' c", "a '/s/m?sig=***' b 'http://h/m?sig=***' c")]
    #[case(r#"{"value":"http://h/m?sig=S","x":1}"#, r#"{"value":"http://h/m?sig=***","x":1}"#)]
    #[case("the limit is 3, with n=4", "the limit is 3, with n=4")]
    #[case("exit\u{7}", "exit\\u{7}")]
    fn texts_have_uris_and_paths_in_them(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(shown_text(text), shown);
        assert_eq!(shown_text(shown), shown, "it is the same the second time");
    }
}
