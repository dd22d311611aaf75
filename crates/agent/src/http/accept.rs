//! What a client accepts, by its headers.

use http::{HeaderMap, HeaderName, header};

/// Whether the client takes gzip (`Request::acceptsEncoding` of libprocess' `http.cpp`).
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for (name, quality) in options(headers, &header::ACCEPT_ENCODING) {
        match name.as_str() {
            "gzip" | "x-gzip" => return quality > 0.0,
            "*" => any = quality > 0.0,
            _ => {}
        }
    }
    any
}

/// Whether the client takes a media type; without the header it takes all (`Request::acceptsMediaType`).
pub(super) fn accepts_media(headers: &HeaderMap, name: &HeaderName, media: &str) -> bool {
    if !headers.contains_key(name) {
        return true;
    }
    let family = media.split_once('/').map(|(family, _)| format!("{family}/*")).unwrap_or_default();
    let known = [media, &family, "*/*"];
    options(headers, name).any(|(option, quality)| quality > 0.0 && known.contains(&option.as_str()))
}

/// The options of a header with their qualities, in lower case.
fn options(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = (String, f64)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|option| {
        let mut parts = option.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((name, quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0))))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[rstest]
    #[case(&[], false)]
    #[case(&["gzip"], true)]
    #[case(&["gzip;q=0"], false)]
    #[case(&["gzip; q=0.0"], false)]
    #[case(&["deflate, gzip;q=0.5"], true)]
    #[case(&["deflate"], false)]
    #[case(&["*"], true)]
    #[case(&["*;q=0"], false)]
    #[case(&["gzip;q=0, *"], false)]
    #[case(&["*, gzip;q=0"], false)]
    #[case(&["identity", "GZIP"], true)]
    #[case(&["gzip;q=x"], false)]
    fn gzip_is_taken_or_not(#[case] values: &[&str], #[case] expected: bool) {
        assert_eq!(accepts_gzip(&headers(header::ACCEPT_ENCODING, values)), expected);
    }

    #[rstest]
    #[case(&[], true)]
    #[case(&["application/json"], true)]
    #[case(&["Application/JSON"], true)]
    #[case(&["application/*"], true)]
    #[case(&["*/*"], true)]
    #[case(&["text/html, */*;q=0.1"], true)]
    #[case(&["text/html"], false)]
    #[case(&["application/json;q=0"], false)]
    #[case(&[""], false)]
    #[case(&["text/html", "application/json"], true)]
    fn media_are_taken_or_not(#[case] values: &[&str], #[case] expected: bool) {
        let headers = headers(header::ACCEPT, values);
        assert_eq!(accepts_media(&headers, &header::ACCEPT, "application/json"), expected);
    }
}
