//! Owns the choice of the leader among the nodes below the masters' path in ZooKeeper. Pure.

/// What a node's data is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// `json.info_`: a MasterInfo in JSON; every master since 0.24.
    Json,
    /// `info_`: a MasterInfo as protobuf.
    Binary,
    /// No label: a UPID as text.
    Upid,
    /// One that we do not know.
    Unknown(String),
}

/// A master that stands for election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// What its data is.
    pub label: Label,
    /// Its place in the line; the lowest leads.
    pub sequence: i32,
}

impl Member {
    /// Reads a node's name; `None` for one that is no member, such as `log_replicas`.
    ///
    /// As stock (`src/zookeeper/group.cpp`, `cache`) the name is taken apart at every `_`: the first part is the label,
    /// the last the number.
    fn read(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('_').filter(|part| !part.is_empty()).collect();
        let sequence = parts.last()?;
        // `i32::from_str` takes a plus sign.
        if !sequence.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return None;
        }
        let sequence = sequence.parse().ok()?;
        let label = match parts.len() {
            1 => Label::Upid,
            _ => match parts[0] {
                "json.info" => Label::Json,
                "info" => Label::Binary,
                other => Label::Unknown(other.to_owned()),
            },
        };
        Some(Self { name: name.to_owned(), label, sequence })
    }
}

/// The leader among these nodes: the member with the lowest number.
pub fn leading(names: &[String]) -> Option<Member> {
    names.iter().filter_map(|name| Member::read(name)).min_by_key(|member| member.sequence)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nobody(&[], None)]
    #[case::only_others(&["log_replicas", "x", "json.info_", "_"], None)]
    #[case::the_lowest(
        &["json.info_0000000012", "json.info_0000000003", "log_replicas", "json.info_0000000100"],
        Some(("json.info_0000000003", Label::Json, 3))
    )]
    #[case::binary(&["info_0000000001"], Some(("info_0000000001", Label::Binary, 1)))]
    #[case::no_label(&["0000000007"], Some(("0000000007", Label::Upid, 7)))]
    #[case::unknown(&["new_0000000001"], Some(("new_0000000001", Label::Unknown("new".into()), 1)))]
    #[case::wrapped(&["json.info_-2147483648", "json.info_0000000001"], Some(("json.info_-2147483648", Label::Json, i32::MIN)))]
    #[case::too_large(&["json.info_2147483648", "json.info_2147483647"], Some(("json.info_2147483647", Label::Json, i32::MAX)))]
    fn the_lowest_number_leads(#[case] names: &[&str], #[case] expected: Option<(&str, Label, i32)>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let expected =
            expected.map(|(name, label, sequence)| Member { name: name.to_owned(), label, sequence });
        assert_eq!(leading(&names), expected);
    }
}
