//! One record of comma-separated fields, as Go's `encoding/csv` reads it: what `--mount`, `--gpus` and the long form of
//! `--network` are written in.

/// Splits a record into its fields; `None` for an empty one, a stray quote or a line break.
///
/// A field that begins with a quote goes on to the next single quote and may hold commas; two quotes in it are one.
/// Go reads one line and drops those after it, which would drop what the task said: a line break is refused.
pub(super) fn fields(record: &str) -> Option<Vec<String>> {
    if record.is_empty() || record.contains(['\n', '\r']) {
        return None;
    }
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if !rest.starts_with('"') && field.contains('"') {
            return None;
        }
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// The field whose opening quote was taken off, and what follows its closing one.
fn quoted_field(mut rest: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("a,b", "a|b")]
    #[case("a", "a")]
    #[case("a,", "a|")]
    #[case("\"a,b\",c", "a,b|c")]
    #[case("\"a\"\"b\"", "a\"b")]
    #[case("\"\"", "")]
    fn a_record_is_read_as_go_reads_it(#[case] record: &str, #[case] expected: &str) {
        assert_eq!(fields(record).unwrap().join("|"), expected);
    }

    #[rstest::rstest]
    #[case("a\"b")]
    #[case("\"a")]
    #[case("\"a\"b")]
    #[case("a\nb")]
    #[case("")]
    fn what_is_no_record_is_refused(#[case] record: &str) {
        assert_eq!(fields(record), None);
    }
}
