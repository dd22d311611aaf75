//! Types of files by their extension, for downloads (`mime.hpp` of libprocess names such a table).

/// What a file is taken for when its name tells nothing.
pub(super) const UNKNOWN: &str = "application/octet-stream";

/// By extension, in lower case and without the dot.
const TYPES: [(&str, &str); 24] = [
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jar", "application/java-archive"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("txt", "text/plain"),
    ("xml", "text/xml"),
    ("yaml", "application/yaml"),
    ("zip", "application/zip"),
];

/// The type of a file of this name.
pub(super) fn of_name(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let known =
        |extension: String| TYPES.iter().find(|(known, _)| *known == extension).map(|(_, mime)| *mime);
    extension.and_then(known).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_extension_counts() {
        for (name, expected) in [
            ("stdout", UNKNOWN),
            ("a.txt", "text/plain"),
            ("a.TXT", "text/plain"),
            ("a.tar.gz", "application/gzip"),
            ("a.", UNKNOWN),
            (".txt", "text/plain"),
            ("a.unknown", UNKNOWN),
        ] {
            assert_eq!(of_name(name), expected, "{name}");
        }
    }
}
