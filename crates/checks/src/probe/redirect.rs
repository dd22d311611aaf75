//! Where a redirect leads, as `curl -L` follows it: pure.

use http::StatusCode;
use url::{Host, Url};

/// How many redirects are followed, curl's default.
pub(super) const MOST: usize = 50;

/// The longest URL that is followed.
const LONGEST: usize = 64 * 1024;

/// What an answer's status and `Location` mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// This is the answer.
    Final,
    /// It is elsewhere.
    To(Url),
    /// It is where no check goes. A sentence for people.
    Nowhere(String),
}

/// Reads an answer of `from`. Any 3xx with a `Location` is a redirect, as for curl.
pub(super) fn next(from: &Url, status: StatusCode, location: Option<&[u8]>) -> Next {
    let (true, Some(location)) = (status.is_redirection(), location) else { return Next::Final };
    let shown = || String::from_utf8_lossy(&location[..location.len().min(200)]).escape_debug().to_string();
    let joined = std::str::from_utf8(location)
        .ok()
        .filter(|text| text.len() <= LONGEST)
        .and_then(|text| from.join(text).ok());
    match joined {
        Some(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Next::To(url),
        Some(url) => Next::Nowhere(format!(
            "it redirects to a URL of scheme {:?}, and checks follow http and https",
            url.scheme()
        )),
        None => Next::Nowhere(format!("it redirects to {:?}, which is no URL", shown())),
    }
}

/// The authority of a URL as the `Host` header has it: without a port that is the scheme's own.
pub(super) fn host_header(url: &Url) -> String {
    let host = match url.host() {
        Some(Host::Ipv6(address)) => format!("[{address}]"),
        Some(host) => host.to_string(),
        None => String::new(),
    };
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// The path and query of a URL, as the request line has them.
pub(super) fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(200, Some("/x"), "final")]
    #[case(302, None, "final")]
    #[case(304, None, "final")]
    #[case(302, Some("/x?a=1"), "http://127.0.0.1:8080/x?a=1")]
    #[case(301, Some("y"), "http://127.0.0.1:8080/a/y")]
    #[case(307, Some("//other/z"), "http://other/z")]
    #[case(308, Some("https://[::1]:8443/"), "https://[::1]:8443/")]
    #[case(303, Some("HTTP://LocalHost"), "http://localhost/")]
    #[case(302, Some("ftp://x/y"), "nowhere")]
    #[case(302, Some("file:///etc/passwd"), "nowhere")]
    #[case(302, Some("http://"), "nowhere")]
    #[case(302, Some("http://a b/"), "nowhere")]
    fn a_redirect_leads_where_curl_goes(
        #[case] status: u16,
        #[case] location: Option<&str>,
        #[case] expected: &str,
    ) {
        let from = Url::parse("http://127.0.0.1:8080/a/b").unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let text = match next(&from, status, location.map(str::as_bytes)) {
            Next::Final => "final".to_owned(),
            Next::To(url) => url.to_string(),
            Next::Nowhere(why) => {
                assert!(!why.contains(char::is_control));
                "nowhere".to_owned()
            }
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn a_location_of_noise_is_told_in_one_line() {
        let from = Url::parse("http://127.0.0.1/").unwrap();
        let Next::Nowhere(why) = next(&from, StatusCode::FOUND, Some(b"\xff\xfe\n\x1b")) else {
            panic!("no")
        };
        assert!(why.is_ascii() || !why.contains(char::is_control), "{why}");
    }

    #[test]
    fn host_and_path_are_as_a_request_has_them() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert_eq!(host_header(&url("http://127.0.0.1:8080/")), "127.0.0.1:8080");
        assert_eq!(host_header(&url("https://[::1]:443/")), "[::1]");
        assert_eq!(host_header(&url("http://x.test:443/")), "x.test:443");
        assert_eq!(path_and_query(&url("http://x/a b?c=[d]#e")), "/a%20b?c=[d]");
    }
}
