//! Devices of the host: what a container may open, and how fast it may use a disk.

use docker_engine::create_body::{BlkioRate, BlkioWeight, DeviceMapping, DeviceRequest};

use super::csv;
use super::draft::Draft;
use super::error::{Bad, quote};
use super::number;

/// Reads `device`: `host[:container][:permissions]`, or the name of a device of CDI, `vendor/class=name`.
pub(super) fn device(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    if is_cdi_name(value) {
        draft.needs("a CDI device", 44)?;
        let requests = &mut draft.body.host_config.resources.device_requests;
        match requests.iter_mut().find(|request| request.driver == "cdi") {
            Some(request) => request.device_ids.push(value.to_owned()),
            None => requests.push(DeviceRequest {
                driver: "cdi".into(),
                // As the client, which counts none.
                count: Some(0),
                device_ids: vec![value.to_owned()],
                ..DeviceRequest::default()
            }),
        }
        return Ok(());
    }
    let sections: Vec<_> = value.split(':').collect();
    let (host, container, permissions) = match sections[..] {
        [host] => (clean(host), clean(host), "rwm"),
        [host, permissions] if is_permissions(permissions) => (clean(host), clean(host), permissions),
        [host, container] => (host.to_owned(), clean(container), "rwm"),
        [host, container, permissions] if is_permissions(permissions) => {
            (host.to_owned(), container.to_owned(), permissions)
        }
        [_, _, _] => return Err(Bad::because("the permissions are not made of r, w and m")),
        _ => return Err(Bad::Form),
    };
    if host.is_empty() || !container.starts_with('/') {
        return Err(Bad::because("the path inside the container is not absolute"));
    }
    draft.body.host_config.resources.devices.push(DeviceMapping {
        path_on_host: host,
        path_in_container: container,
        cgroup_permissions: permissions.to_owned(),
    });
    Ok(())
}

/// Whether each of r, w and m is in it at most once, and nothing else is.
fn is_permissions(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| "rwm".contains(c))
        && "rwm".chars().all(|c| text.matches(c).count() <= 1)
}

/// `vendor/class=name`, as the Container Device Interface writes it.
fn is_cdi_name(value: &str) -> bool {
    let Some((kind, name)) = value.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    let edge = |text: &str, first: fn(&char) -> bool| {
        text.chars().next().is_some_and(|c| first(&c))
            && text.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric())
    };
    let inner = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    edge(vendor, char::is_ascii_alphabetic)
        && inner(vendor, "_-.")
        && edge(class, char::is_ascii_alphabetic)
        && inner(class, "_-.")
        && edge(name, char::is_ascii_alphanumeric)
        && inner(name, "_-.:")
}

/// The path without doubled slashes, `.` and `..`, as Go's `path.Clean` gives it.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    format!("{}{}", if rooted { "/" } else { "" }, parts.join("/"))
}

/// Reads `device-cgroup-rule`: `type major:minor permissions`.
pub(super) fn cgroup_rule(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let number = |text: &str| text == "*" || !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let sections: Vec<_> = value.split(' ').collect();
    let sound = match sections[..] {
        [kind, numbers, permissions] => {
            matches!(kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&permissions.len())
                && permissions.chars().all(|c| "rwm".contains(c))
        }
        _ => false,
    };
    if !sound {
        return Err(Bad::Form);
    }
    draft.body.host_config.resources.device_cgroup_rules.push(value.to_owned());
    Ok(())
}

/// Reads `blkio-weight`: 16 bits.
pub(super) fn weight(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let weight = number::natural(value).and_then(|weight| u16::try_from(weight).ok());
    let weight = weight.filter(|weight| *weight == 0 || (10..=1000).contains(weight)).ok_or(Bad::Form)?;
    draft.body.host_config.resources.blkio_weight = Some(weight);
    Ok(())
}

/// Reads `blkio-weight-device`.
pub(super) fn weight_device(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (path, weight) = disk(value)?;
    let plain = weight.bytes().all(|byte| byte.is_ascii_digit());
    let weight = plain.then(|| weight.parse().ok()).flatten();
    let weight = weight.filter(|weight| *weight == 0 || (10..=1000).contains(weight)).ok_or(Bad::Form)?;
    let entry = BlkioWeight { path, weight: Some(weight) };
    draft.body.host_config.resources.blkio_weight_device.push(entry);
    Ok(())
}

/// Reads `device-read-bps`.
pub(super) fn read_bps(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    draft.body.host_config.resources.blkio_device_read_bps.push(bytes_per_second(value)?);
    Ok(())
}

/// Reads `device-write-bps`.
pub(super) fn write_bps(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    draft.body.host_config.resources.blkio_device_write_bps.push(bytes_per_second(value)?);
    Ok(())
}

/// Reads `device-read-iops`.
pub(super) fn read_iops(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    draft.body.host_config.resources.blkio_device_read_iops.push(operations_per_second(value)?);
    Ok(())
}

/// Reads `device-write-iops`.
pub(super) fn write_iops(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    draft.body.host_config.resources.blkio_device_write_iops.push(operations_per_second(value)?);
    Ok(())
}

fn bytes_per_second(value: &str) -> Result<BlkioRate, Bad> {
    let (path, rate) = disk(value)?;
    let rate = number::size(rate).and_then(|rate| u64::try_from(rate).ok()).ok_or(Bad::Form)?;
    Ok(BlkioRate { path, rate })
}

fn operations_per_second(value: &str) -> Result<BlkioRate, Bad> {
    let (path, rate) = disk(value)?;
    let plain = rate.bytes().all(|byte| byte.is_ascii_digit());
    let rate = plain.then(|| rate.parse().ok()).flatten().ok_or(Bad::Form)?;
    Ok(BlkioRate { path, rate })
}

/// `/dev/name:amount`.
fn disk(value: &str) -> Result<(String, &str), Bad> {
    let (path, amount) = value.split_once(':').ok_or(Bad::Form)?;
    if !path.starts_with("/dev/") || amount.contains(':') {
        return Err(Bad::Form);
    }
    Ok((path.to_owned(), amount))
}

/// Reads `gpus`: `all`, a number, or `count`, `device`, `driver`, `capabilities` and `options` in a record.
pub(super) fn gpus(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let mut request = DeviceRequest::default();
    let mut seen: Vec<String> = Vec::new();
    for field in csv::fields(value).ok_or(Bad::Form)? {
        let (key, value) = field.split_once('=').unwrap_or(("count", &field));
        if seen.iter().any(|seen| seen == key) {
            return Err(Bad::because(format!("the key {} is given twice", quote(key))));
        }
        let list = || value.split(',').map(str::to_owned);
        match key {
            "driver" => value.clone_into(&mut request.driver),
            "count" => request.count = Some(count(value)?),
            "device" => request.device_ids = list().collect(),
            "capabilities" => request.capabilities = vec![list().chain(["gpu".to_owned()]).collect()],
            "options" => {
                let options = csv::fields(value).ok_or_else(|| Bad::because("options is not a list"))?;
                request.options = options
                    .iter()
                    .map(|option| option.split_once('=').unwrap_or((option, "")))
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect();
            }
            key => return Err(Bad::because(format!("it has the unknown key {}", quote(key)))),
        }
        seen.push(key.to_owned());
    }
    // With names the client counts none, and says so.
    request.count.get_or_insert(i64::from(request.device_ids.is_empty()));
    if request.capabilities.is_empty() {
        request.capabilities = vec![vec!["gpu".to_owned()]];
    }
    draft.body.host_config.resources.device_requests.push(request);
    Ok(())
}

fn count(value: &str) -> Result<i64, Bad> {
    if value == "all" {
        return Ok(-1);
    }
    value.parse().map_err(|_| Bad::because("the count is neither all nor a whole number"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::translated;

    fn resources(key: &str, value: &str) -> Result<Value, String> {
        let body = translated(&[(key, value)]).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(&body.host_config.resources).unwrap())
    }

    /// What the client sends for the same value, as captured from it.
    #[rstest::rstest]
    #[case("/dev/null", ("/dev/null", "/dev/null", "rwm"))]
    #[case("/dev/null:/dev/x:rw", ("/dev/null", "/dev/x", "rw"))]
    #[case("/dev/null:rw", ("/dev/null", "/dev/null", "rw"))]
    #[case("/dev/null:/dev//x", ("/dev/null", "/dev/x", "rwm"))]
    #[case("/dev//null", ("/dev/null", "/dev/null", "rwm"))]
    #[case("/dev/../dev/./null/", ("/dev/null", "/dev/null", "rwm"))]
    fn a_device_is_what_the_client_sends(#[case] value: &str, #[case] expected: (&str, &str, &str)) {
        let (host, container, permissions) = expected;
        let device =
            json!({"PathOnHost": host, "PathInContainer": container, "CgroupPermissions": permissions});
        assert_eq!(resources("device", value).unwrap(), json!({ "Devices": [device] }));
    }

    #[test]
    fn devices_of_cdi_are_one_request() {
        let body = translated(&[("device", "vendor.com/gpu=all"), ("device", "vendor.com/gpu=1:0")]).unwrap();
        let request = &body.host_config.resources.device_requests[0];
        assert_eq!((request.driver.as_str(), request.device_ids.len()), ("cdi", 2));
        assert!(body.host_config.resources.devices.is_empty());
    }

    #[rstest::rstest]
    #[case("all", json!({"Count": -1, "Capabilities": [["gpu"]]}))]
    #[case("2", json!({"Count": 2, "Capabilities": [["gpu"]]}))]
    #[case("\"device=0,1\"", json!({"Count": 0, "DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]]}))]
    #[case("device=0", json!({"Count": 0, "DeviceIDs": ["0"], "Capabilities": [["gpu"]]}))]
    #[case("\"capabilities=compute,utility\"", json!({"Count": 1, "Capabilities": [["compute", "utility", "gpu"]]}))]
    #[case("count=2,capabilities=utility,driver=nvidia,\"options=a=b,c=d\"",
        json!({"Driver": "nvidia", "Count": 2, "Capabilities": [["utility", "gpu"]], "Options": {"a": "b", "c": "d"}}))]
    fn gpus_are_a_device_request(#[case] value: &str, #[case] expected: Value) {
        assert_eq!(resources("gpus", value).unwrap(), json!({ "DeviceRequests": [expected] }));
    }

    #[rstest::rstest]
    #[case("device", "/dev/null:x", "not absolute")]
    #[case("device", "null", "not absolute")]
    #[case("device", "/dev/a:/b:z", "permissions")]
    #[case("device", "/dev/a:/b:rr", "permissions")]
    #[case("device", "/dev/a:/b:r:w", "is not")]
    #[case("device", "vendor.com/gpu=", "not absolute")]
    #[case("device", ":/dev/x", "not absolute")]
    #[case("device", "", "not absolute")]
    #[case("gpus", "", "is not `all`")]
    #[case("gpus", "foo=1", "unknown key \"foo\"")]
    #[case("gpus", "all,count=1", "twice")]
    #[case("gpus", "many", "neither all nor")]
    #[case("device-cgroup-rule", "d 1:3 rwm", "is not a rule")]
    #[case("device-cgroup-rule", "c 1:3 rwmr", "is not a rule")]
    #[case("device-cgroup-rule", "c 1 r", "is not a rule")]
    #[case("device-cgroup-rule", "c  1:3 r", "is not a rule")]
    #[case("blkio-weight", "70000", "is not a weight")]
    #[case("blkio-weight", "5", "is not a weight")]
    #[case("blkio-weight-device", "/dev/sda:5", "is not")]
    #[case("blkio-weight-device", "sda:100", "is not")]
    #[case("blkio-weight-device", "/dev/sda", "is not")]
    #[case("device-read-iops", "/dev/sda:1k", "is not")]
    #[case("device-read-bps", "/dev/sda:-1", "is not")]
    #[case("device-write-bps", "/a:b:1", "is not")]
    #[case("device-write-iops", "/dev/sda:", "is not")]
    fn what_is_no_device_is_refused(#[case] key: &str, #[case] value: &str, #[case] expected: &str) {
        let error = resources(key, value).unwrap_err();
        assert!(error.contains(&expected.replace('`', "")), "{error}");
    }

    #[rstest::rstest]
    #[case("device-read-bps", "/dev/sda:1mb", json!({"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1_048_576}]}))]
    #[case("device-write-bps", "/dev/sda:0", json!({"BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 0}]}))]
    #[case("device-read-iops", "/dev/sda:10", json!({"BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 10}]}))]
    #[case("device-write-iops", "/dev/sda:10", json!({"BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 10}]}))]
    #[case("blkio-weight-device", "/dev/sda:100", json!({"BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 100}]}))]
    #[case("blkio-weight", "0x64", json!({"BlkioWeight": 100}))]
    #[case("device-cgroup-rule", "c *:* m", json!({"DeviceCgroupRules": ["c *:* m"]}))]
    fn a_disk_has_its_share(#[case] key: &str, #[case] value: &str, #[case] expected: Value) {
        assert_eq!(resources(key, value).unwrap(), expected);
    }
}
