//! Seccomp profiles: sent as they are, but only if they are profiles in every part.
//!
//! The engine ignores what it does not know in a profile and shows all of it in an inspection, which the framework
//! gets. So a file that merely is JSON, such as a registry configuration, must not pass for a profile.

use serde::Deserialize;

/// A profile, with every key that engines know and no other.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    #[serde(rename = "defaultErrnoRet")]
    _default_errno_ret: Option<u32>,
    #[serde(rename = "architectures")]
    _architectures: Option<Vec<String>>,
    #[serde(rename = "archMap")]
    _arch_map: Option<Vec<Architecture>>,
    #[serde(rename = "flags")]
    _flags: Option<Vec<String>>,
    #[serde(rename = "listenerPath")]
    _listener_path: Option<String>,
    #[serde(rename = "listenerMetadata")]
    _listener_metadata: Option<String>,
    #[serde(rename = "syscalls")]
    _syscalls: Option<Vec<Syscalls>>,
}

/// An architecture and those that come with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Architecture {
    #[serde(rename = "architecture")]
    _architecture: String,
    #[serde(rename = "subArchitectures")]
    _sub: Option<Vec<String>>,
}

/// What is done for some system calls.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Syscalls {
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "names")]
    _names: Option<Vec<String>>,
    #[serde(rename = "action")]
    _action: String,
    #[serde(rename = "errnoRet")]
    _errno_ret: Option<u32>,
    #[serde(rename = "errno")]
    _errno: Option<String>,
    #[serde(rename = "args")]
    _args: Option<Vec<Argument>>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
    #[serde(rename = "includes")]
    _includes: Option<Filter>,
    #[serde(rename = "excludes")]
    _excludes: Option<Filter>,
}

/// What an argument of a system call must be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Argument {
    #[serde(rename = "index")]
    _index: u32,
    #[serde(rename = "value")]
    _value: u64,
    #[serde(rename = "valueTwo")]
    _value_two: Option<u64>,
    #[serde(rename = "op")]
    _op: String,
}

/// When a rule holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(rename = "caps")]
    _caps: Option<Vec<String>>,
    #[serde(rename = "arches")]
    _arches: Option<Vec<String>>,
    #[serde(rename = "minKernel")]
    _min_kernel: Option<String>,
}

/// The profile in a file, without the white space between its parts, as the client sends it.
///
/// # Errors
///
/// Why it is no profile; quotes nothing of it.
pub(super) fn profile(content: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
    let profile: Profile = serde_json::from_str(text).map_err(|error| {
        let kind = if error.is_data() { "no seccomp profile" } else { "not JSON" };
        format!("it is {kind} (line {}, column {})", error.line(), error.column())
    })?;
    if !profile.default_action.starts_with("SCMP_ACT_") {
        return Err("it is no seccomp profile: its defaultAction is none".to_owned());
    }
    Ok(compact(text))
}

/// JSON without white space outside strings.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|&c| {
            let keep = in_string || !c.is_ascii_whitespace();
            match c {
                '"' if !escaped => in_string = !in_string,
                _ => {}
            }
            escaped = in_string && c == '\\' && !escaped;
            keep
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_sent_as_it_is_without_white_space() {
        let given = r#"{
            "defaultAction": "SCMP_ACT_ERRNO",  "defaultErrnoRet": 1,
            "archMap": [ { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": [ "SCMP_ARCH_X86" ] } ],
            "syscalls": [ { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null,
                "comment": "a \" b \\", "includes": { "caps": ["CAP_SYS_ADMIN"], "minKernel": "4.8" }, "excludes": {} } ]
        }"#;
        let sent = profile(given.as_bytes()).unwrap();
        assert!(sent.starts_with(r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"#), "{sent}");
        assert!(sent.contains(r#""comment":"a \" b \\","includes""#), "{sent}");
        let values = [given, &sent].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(values[0], values[1]);
    }

    #[rstest::rstest]
    #[case::a_registry_configuration(r#"{"auths":{"reg.test":{"auth":"aHVudGVyMg=="}}}"#)]
    #[case::a_profile_with_more(r#"{"defaultAction":"SCMP_ACT_ALLOW","auths":{"aHVudGVyMg==":1}}"#)]
    #[case::more_further_down(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"x","aHVudGVyMg==":1}]}"#
    )]
    #[case::another_action(r#"{"defaultAction":"aHVudGVyMg=="}"#)]
    #[case::not_json("root:aHVudGVyMg==:19000:0:99999:7:::")]
    #[case::a_string(r#""aHVudGVyMg==""#)]
    #[case::nothing("")]
    fn what_is_no_profile_is_not_quoted(#[case] content: &str) {
        let error = profile(content.as_bytes()).unwrap_err();
        assert!(!error.contains("aHVudGVyMg"), "{error}");
    }
}
