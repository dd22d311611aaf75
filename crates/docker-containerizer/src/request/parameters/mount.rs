//! `--mount`, `--volume` and `--tmpfs`.
//!
//! `volume` becomes a `Binds` entry as the client sends it, so the engine makes a missing host directory. `mount` of
//! the type bind makes none, as with the client, unless `bind-create-src` says so. A source that begins with a dot is in
//! the sandbox, stock's working directory: it goes into `Mounts`, and is made and found without following links.

use docker_engine::create_body::{
    BindOptions, Empty, ImageOptions, Mount, MountDriver, TmpfsOptions, VolumeOptions,
};

use sandbox::{RelPath, RelPathError};

use super::csv;
use super::draft::Draft;
use super::error::{Bad, quote, unknown_field};
use super::number;
use crate::request::MountPoint;

/// All keys of `mount`.
const KEYS: [&str; 21] = [
    "type",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "consistency",
    "bind-propagation",
    "bind-nonrecursive",
    "bind-recursive",
    "bind-create-src",
    "volume-nocopy",
    "volume-subpath",
    "volume-label",
    "volume-driver",
    "volume-opt",
    "image-subpath",
    "tmpfs-size",
    "tmpfs-mode",
];

/// What `bind-recursive` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recursion {
    Enabled,
    Disabled,
    Writable,
    ReadOnly,
}

/// Reads `volume`: `source:target[:options]`, or a target alone for an anonymous volume.
pub(super) fn volume(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let sections: Vec<_> = value.split(':').collect();
    if sections.len() > 3 || sections.iter().any(|section| section.is_empty()) {
        return Err(Bad::Form);
    }
    if let [target] = sections[..] {
        if !target.starts_with('/') {
            return Err(Bad::because("the path inside the container is not absolute"));
        }
        draft.body.volumes.insert(target.to_owned(), Empty {});
        return Ok(());
    }
    if !sections[1].starts_with('/') {
        return Err(Bad::because("the path inside the container is not absolute"));
    }
    if sections[0].starts_with('~') {
        return Err(Bad::because("a home directory is for a shell to find"));
    }
    if sections[0].starts_with('.') {
        return volume_of_the_sandbox(draft, sections[0], sections[1], sections.get(2).copied());
    }
    bind(draft, value.to_owned());
    Ok(())
}

/// Adds a bind, once.
fn bind(draft: &mut Draft<'_>, value: String) {
    let binds = &mut draft.body.host_config.binds;
    if !binds.contains(&value) {
        binds.push(value);
    }
}

/// Adds a `volume` whose source is in the sandbox: to `Mounts`, which takes a path with a colon, or to `Binds` where it
/// has an option that is known only there.
fn volume_of_the_sandbox(
    draft: &mut Draft<'_>,
    source: &str,
    target: &str,
    modes: Option<&str>,
) -> Result<(), Bad> {
    let mut mount = Mount { kind: "bind".into(), target: target.to_owned(), ..Mount::default() };
    let only_of_binds = match modes {
        Some(modes) => options(&mut mount, modes)?,
        None => None,
    };
    mount.source = in_sandbox(draft, source)?;
    let (Some(modes), Some(option)) = (modes, only_of_binds) else {
        draft.body.host_config.mounts.push(mount);
        return Ok(());
    };
    if mount.source.contains(':') {
        return Err(Bad::because(format!(
            "the engine takes the option {option} only with a path without a colon, and the sandbox's has one"
        )));
    }
    bind(draft, format!("{}:{target}:{modes}", mount.source));
    Ok(())
}

/// Reads the options of a `volume` whose source is in the sandbox into a mount; answers one that a mount cannot have and
/// a bind can. Each is one of a kind, of which the engine takes one.
fn options(mount: &mut Mount, given: &str) -> Result<Option<&'static str>, Bad> {
    let mut only_of_binds = None;
    let mut kinds = Vec::new();
    for option in given.split(',') {
        let kind = match option {
            "rw" | "ro" => {
                mount.read_only = option == "ro";
                "rw or ro"
            }
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                option.clone_into(&mut bind_options(mount).propagation);
                "mount propagation"
            }
            "consistent" | "cached" | "delegated" => {
                option.clone_into(&mut mount.consistency);
                "consistency"
            }
            "z" | "Z" => {
                only_of_binds = Some(if option == "z" { "z" } else { "Z" });
                "z or Z"
            }
            "nocopy" => return Err(Bad::because("nocopy is for volumes that the engine keeps")),
            option => {
                let reason = format!("a directory of the sandbox has no option {}", quote(option));
                return Err(Bad::because(reason));
            }
        };
        if kinds.contains(&kind) {
            return Err(Bad::because(format!("it says twice what {kind} is")));
        }
        kinds.push(kind);
    }
    Ok(only_of_binds)
}

/// The path on the host of a directory or file of the sandbox, which is stock's working directory. It is made if it is
/// missing, and no link is followed to it.
fn in_sandbox(draft: &mut Draft<'_>, source: &str) -> Result<String, Bad> {
    let sandbox =
        draft.context.sandbox.to_str().ok_or_else(|| Bad::because("the sandbox's path is not UTF-8"))?;
    match RelPath::new(source) {
        Ok(path) => {
            let on_host = format!("{sandbox}/{path}");
            draft.outcome.mount_points.push(MountPoint::Sandbox(path));
            Ok(on_host)
        }
        Err(RelPathError::Empty { .. }) => Ok(sandbox.to_owned()),
        Err(error) => Err(Bad::because(crate::chain(&error))),
    }
}

/// Reads `tmpfs`: a path, and options for the mount.
pub(super) fn tmpfs(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let (path, options) = value.split_once(':').unwrap_or((value, ""));
    if !path.starts_with('/') {
        return Err(Bad::Form);
    }
    draft.body.host_config.tmpfs.insert(path.to_owned(), options.to_owned());
    Ok(())
}

/// Reads `mount`.
pub(super) fn mount(draft: &mut Draft<'_>, value: &str) -> Result<(), Bad> {
    let mut mount = Mount { kind: "volume".into(), ..Mount::default() };
    let mut recursion = None;
    for (at, field) in csv::fields(value).ok_or(Bad::Form)?.iter().enumerate() {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        if !KEYS.contains(&key.as_str()) {
            return Err(unknown_field(at, &key, &KEYS));
        }
        match (key.as_str(), value) {
            ("bind-recursive", Some(value)) => recursion = Some(recursive(value)?),
            (key, Some(value)) => set(draft, &mut mount, key, value)?,
            // These are true by being there.
            (key @ ("readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive" | "bind-create-src"), None) => {
                set(draft, &mut mount, key, "true")?
            }
            (key, None) => return Err(Bad::because(format!("{key} has no value: it is not key=value"))),
        }
    }
    recurse(draft, &mut mount, recursion)?;
    if mount.kind == "bind" && mount.source.starts_with('.') {
        mount.source = in_sandbox(draft, &mount.source)?;
    }
    check(draft, &mount)?;
    draft.body.host_config.mounts.push(mount);
    Ok(())
}

/// Sets what one of [`KEYS`] says.
fn set(draft: &Draft<'_>, mount: &mut Mount, key: &str, value: &str) -> Result<(), Bad> {
    let wrong = |what: &str| Bad::because(format!("{key} is not {what}"));
    let truth = || number::boolean(value).ok_or_else(|| wrong("true or false"));
    match key {
        "type" => mount.kind = value.to_lowercase(),
        "source" | "src" => value.clone_into(&mut mount.source),
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "readonly" | "ro" => mount.read_only = truth()?,
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => bind_options(mount).propagation = value.to_lowercase(),
        "bind-nonrecursive" => bind_options(mount).non_recursive = truth()?,
        "bind-create-src" => {
            draft.needs("bind-create-src", 42)?;
            bind_options(mount).create_mountpoint = truth()?;
        }
        "volume-nocopy" => volume_options(mount).no_copy = truth()?,
        "volume-subpath" => {
            draft.needs("volume-subpath", 45)?;
            value.clone_into(&mut volume_options(mount).subpath);
        }
        "volume-label" => {
            let (key, value) = value.split_once('=').unwrap_or((value, ""));
            if !key.is_empty() {
                volume_options(mount).labels.insert(key.to_owned(), value.to_owned());
            }
        }
        "volume-driver" => value.clone_into(&mut driver(mount).name),
        "volume-opt" => {
            let (key, value) = value.split_once('=').unwrap_or((value, ""));
            if !key.is_empty() {
                driver(mount).options.insert(key.to_owned(), value.to_owned());
            }
        }
        "image-subpath" => {
            draft.needs("image-subpath", 49)?;
            let options = mount.image_options.get_or_insert_with(ImageOptions::default);
            value.clone_into(&mut options.subpath);
        }
        "tmpfs-size" => {
            let size = number::size(value).ok_or_else(|| wrong("a size such as 64m"))?;
            mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default).size_bytes = Some(size);
        }
        "tmpfs-mode" => {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let mode = digits.then(|| u32::from_str_radix(value, 8).ok()).flatten();
            let mode = mode.ok_or_else(|| wrong("an octal mode such as 1777"))?;
            mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default).mode = Some(mode);
        }
        // `mount` reads the one that is left.
        _ => {}
    }
    Ok(())
}

fn bind_options(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_with(BindOptions::default)
}

/// The client sends a driver without a name along with any option of a volume.
fn volume_options(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_with(|| VolumeOptions {
        driver_config: Some(MountDriver::default()),
        ..VolumeOptions::default()
    })
}

fn driver(mount: &mut Mount) -> &mut MountDriver {
    volume_options(mount).driver_config.get_or_insert_with(MountDriver::default)
}

fn recursive(value: &str) -> Result<Recursion, Bad> {
    match value {
        "enabled" => Ok(Recursion::Enabled),
        "disabled" => Ok(Recursion::Disabled),
        "writable" => Ok(Recursion::Writable),
        "readonly" => Ok(Recursion::ReadOnly),
        _ => Err(Bad::because("bind-recursive is not enabled, disabled, writable or readonly")),
    }
}

/// Applies `bind-recursive` once the whole mount is known.
fn recurse(draft: &Draft<'_>, mount: &mut Mount, recursion: Option<Recursion>) -> Result<(), Bad> {
    let read_only = mount.read_only;
    match recursion {
        None | Some(Recursion::Enabled) => {}
        Some(Recursion::Disabled) => bind_options(mount).non_recursive = true,
        Some(Recursion::Writable) if !read_only => {
            return Err(Bad::because("bind-recursive=writable needs readonly"));
        }
        Some(Recursion::Writable) => {
            // Before API 1.44 a mount was never read-only further down.
            bind_options(mount).read_only_non_recursive = draft.needs("", 44).is_ok();
        }
        Some(Recursion::ReadOnly) => {
            draft.needs("bind-recursive=readonly", 44)?;
            if !read_only || bind_options(mount).propagation != "rprivate" {
                return Err(Bad::because(
                    "bind-recursive=readonly needs readonly and bind-propagation=rprivate",
                ));
            }
            bind_options(mount).read_only_force_recursive = true;
        }
    }
    Ok(())
}

fn check(draft: &Draft<'_>, mount: &Mount) -> Result<(), Bad> {
    if !mount.target.starts_with('/') {
        return Err(Bad::because("it has no target that is an absolute path"));
    }
    match mount.kind.as_str() {
        "bind" if !mount.source.starts_with('/') => {
            return Err(Bad::because(
                "the source is neither an absolute path nor one that begins with a dot",
            ));
        }
        "bind" | "volume" | "tmpfs" => {}
        "image" => draft.needs("type=image", 48)?,
        "cluster" => return Err(Bad::because("cluster volumes are for swarm services")),
        "npipe" => return Err(Bad::because("named pipes are for Windows")),
        _ => return Err(Bad::because("its type is not bind, volume, tmpfs or image")),
    }
    let foreign = [
        ("bind-*", mount.bind_options.is_some(), "bind"),
        ("volume-*", mount.volume_options.is_some(), "volume"),
        ("tmpfs-*", mount.tmpfs_options.is_some(), "tmpfs"),
        ("image-*", mount.image_options.is_some(), "image"),
    ];
    match foreign.into_iter().find(|(_, given, kind)| *given && *kind != mount.kind) {
        Some((options, _, _)) => {
            Err(Bad::because(format!("it has {options} options and the type {}", mount.kind)))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::draft::{Context, apply};
    use super::super::tests::translated;
    use super::*;

    fn mounted(value: &str) -> Result<Value, String> {
        let body = translated(&[("mount", value)]).map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(&body.host_config.mounts[0]).unwrap())
    }

    /// What the client sends for the same value, as captured from it.
    #[rstest::rstest]
    #[case("type=bind,src=/a,dst=/b,bind-recursive=writable,ro,bind-propagation=RPRIVATE",
        json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true,
            "BindOptions": {"Propagation": "rprivate", "ReadOnlyNonRecursive": true}}))]
    #[case("type=bind,src=/a,dst=/b,bind-recursive=readonly,ro,bind-propagation=rprivate",
        json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true,
            "BindOptions": {"Propagation": "rprivate", "ReadOnlyForceRecursive": true}}))]
    #[case("type=bind,src=/a,dst=/b,bind-recursive=disabled",
        json!({"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"NonRecursive": true}}))]
    #[case("type=bind,src=/a,dst=/b,bind-nonrecursive",
        json!({"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"NonRecursive": true}}))]
    #[case("type=bind,src=/a,dst=/b,bind-create-src",
        json!({"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"CreateMountpoint": true}}))]
    #[case("type=bind,src=/a,dst=/b,readonly=true,bind-nonrecursive=false",
        json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true, "BindOptions": {}}))]
    #[case("type=volume,src=a,dst=/b,volume-subpath=foo,volume-nocopy,volume-label=a=b,volume-driver=local,\
            volume-opt=type=nfs,volume-opt=o=addr=1",
        json!({"Type": "volume", "Source": "a", "Target": "/b", "VolumeOptions": {"NoCopy": true,
            "Labels": {"a": "b"}, "Subpath": "foo",
            "DriverConfig": {"Name": "local", "Options": {"o": "addr=1", "type": "nfs"}}}}))]
    #[case("type=volume,src=a,dst=/b,\"volume-opt=o=addr=1,rw\"",
        json!({"Type": "volume", "Source": "a", "Target": "/b",
            "VolumeOptions": {"DriverConfig": {"Options": {"o": "addr=1,rw"}}}}))]
    #[case("dst=/b,readonly=1,consistency=Cached",
        json!({"Type": "volume", "Target": "/b", "ReadOnly": true, "Consistency": "cached"}))]
    #[case("TYPE=TMPFS,Dst=/b,READONLY", json!({"Type": "tmpfs", "Target": "/b", "ReadOnly": true}))]
    #[case("type=bind,src=./x,dst=/b", json!({"Type": "bind", "Source": "/w/sandbox/x", "Target": "/b"}))]
    #[case("type=bind,src=.,dst=/b", json!({"Type": "bind", "Source": "/w/sandbox", "Target": "/b"}))]
    #[case("type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1770",
        json!({"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 1016}}))]
    #[case("type=image,src=a:b,destination=/b,image-subpath=foo",
        json!({"Type": "image", "Source": "a:b", "Target": "/b", "ImageOptions": {"Subpath": "foo"}}))]
    fn a_mount_is_what_the_client_sends(#[case] value: &str, #[case] expected: Value) {
        assert_eq!(mounted(value).unwrap(), expected);
    }

    #[rstest::rstest]
    #[case("type=bind,src=/a,dst=/b,bind-recursive=readonly,ro", "bind-propagation=rprivate")]
    #[case("type=bind,src=/a,dst=/b,bind-recursive=readonly,bind-propagation=rprivate", "needs readonly")]
    #[case("type=bind,src=/a,dst=/b,bind-recursive=foo", "bind-recursive is not")]
    #[case("type=bind,src=/a,dst=/b,volume-nocopy", "volume-* options and the type bind")]
    #[case("type=tmpfs,dst=/b,bind-propagation=shared", "bind-* options and the type tmpfs")]
    #[case("src=x,dst=/b,readonly=maybe", "readonly is not true or false")]
    #[case("src=x", "no target")]
    #[case("type=bind,src=./../a,dst=/b", "'..'")]
    #[case("type=bind,src=../a,dst=/b", "'..'")]
    #[case("type=bind,dst=/b", "neither an absolute path")]
    #[case("type=bind, src=/a, dst=/b", "its field 2 is no key=value of this option; did you mean \"src\"?")]
    #[case(
        "type=bind,readnly,dst=/b",
        "its field 2 is no key=value of this option; did you mean \"readonly\"?"
    )]
    #[case("type", "type has no value")]
    #[case("type=cluster,src=a,dst=/b", "swarm")]
    #[case("type=npipe,src=a,dst=/b", "Windows")]
    #[case("type=foo,src=a,dst=/b", "its type is not")]
    #[case("type=tmpfs,dst=/b,tmpfs-size=big", "tmpfs-size is not a size")]
    #[case("type=tmpfs,dst=/b,tmpfs-mode=8", "tmpfs-mode is not an octal mode")]
    #[case("foo", "its field 1 is no key=value of this option; a comma")]
    #[case("", "is not a list")]
    fn what_is_no_mount_is_refused(#[case] value: &str, #[case] expected: &str) {
        let error = mounted(value).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest::rstest]
    #[case("/a:/b", "/a:/b")]
    #[case("/a:/b:ro,z,rslave", "/a:/b:ro,z,rslave")]
    #[case("name:/b:nocopy", "name:/b:nocopy")]
    #[case("/a/../b:/c", "/a/../b:/c")]
    fn a_volume_is_a_bind(#[case] value: &str, #[case] expected: &str) {
        let body = translated(&[("volume", value), ("volume", value)]).unwrap();
        assert_eq!(body.host_config.binds, [expected], "and twice is once");
        assert!(body.volumes.is_empty() && body.host_config.mounts.is_empty());
    }

    #[test]
    fn a_source_in_the_sandbox_is_a_mount_that_is_made() {
        let given = [("volume", "./x//y:/b:ro,rslave"), ("volume", ".:/c"), ("volume", ".z:/d:rw")];
        let given = given.map(|(key, value)| mesos_types::Parameter { key: key.into(), value: value.into() });
        let mut body = docker_engine::CreateBody::default();
        let context =
            Context { api: docker_engine::NEWEST_API, sandbox: std::path::Path::new("/w/sand:box") };
        let outcome = apply(&mut body, &given, context).unwrap();
        assert_eq!(
            serde_json::to_value(&body.host_config.mounts).unwrap(),
            json!([
                {"Type": "bind", "Source": "/w/sand:box/x/y", "Target": "/b", "ReadOnly": true,
                    "BindOptions": {"Propagation": "rslave"}},
                {"Type": "bind", "Source": "/w/sand:box", "Target": "/c"},
                {"Type": "bind", "Source": "/w/sand:box/.z", "Target": "/d"},
            ])
        );
        let made = ["x/y", ".z"].map(|path| MountPoint::Sandbox(RelPath::new(path).unwrap()));
        assert_eq!(outcome.mount_points, made);
    }

    fn bound(value: &str, sandbox: &str) -> Result<(docker_engine::CreateBody, usize), String> {
        let given = [mesos_types::Parameter { key: "volume".into(), value: value.into() }];
        let mut body = docker_engine::CreateBody::default();
        let context = Context { api: docker_engine::NEWEST_API, sandbox: std::path::Path::new(sandbox) };
        let outcome = apply(&mut body, &given, context).map_err(|error| error.to_string())?;
        Ok((body, outcome.mount_points.len()))
    }

    /// As the client sends it, and the directory is made in the sandbox all the same.
    #[rstest::rstest]
    #[case("./x:/b:z", "/w/sandbox/x:/b:z")]
    #[case("./x:/b:ro,Z,rslave", "/w/sandbox/x:/b:ro,Z,rslave")]
    fn a_source_in_the_sandbox_is_relabelled_as_a_bind(#[case] value: &str, #[case] expected: &str) {
        let (body, made) = bound(value, "/w/sandbox").unwrap();
        assert_eq!((&body.host_config.binds[..], made), (&[expected.to_owned()][..], 1));
        assert!(body.host_config.mounts.is_empty());
        let error = bound(value, "/w/sand:box").unwrap_err();
        assert!(error.contains("path without a colon"), "{error}");
    }

    /// A key that is listed and not read would be taken without effect.
    #[test]
    fn every_key_is_read() {
        let plain = mounted("type=volume,src=a,dst=/b").unwrap();
        for key in KEYS {
            let value = match key {
                "bind-recursive" => "disabled",
                "tmpfs-size" | "tmpfs-mode" => "7",
                key if key.starts_with("bind-") || key.starts_with("ro") || key == "readonly" => "true",
                "volume-nocopy" => "true",
                _ => "/x",
            };
            let with = mounted(&format!("type=volume,src=a,dst=/b,{key}={value}"));
            assert!(with.as_ref() != Ok(&plain), "{key}");
        }
    }

    #[test]
    fn a_path_alone_is_an_anonymous_volume() {
        let body = translated(&[("volume", "/a")]).unwrap();
        assert!(body.volumes.contains_key("/a") && body.host_config.binds.is_empty());
    }

    #[rstest::rstest]
    #[case("../a:/b")]
    #[case("~/a:/b")]
    #[case("./a:/b:nocopy")]
    #[case("./a:/b:foo")]
    #[case("./a:/b:ro,")]
    #[case("./a:/b:ro,rw")]
    #[case("./a:/b:z,Z")]
    #[case("./a:/b:slave,rslave")]
    #[case("/a:b")]
    #[case("a")]
    #[case("/a:/b:ro:c")]
    #[case(":/a")]
    #[case("/a:")]
    #[case("")]
    fn what_is_no_volume_is_refused(#[case] value: &str) {
        assert!(translated(&[("volume", value)]).is_err());
    }

    #[test]
    fn a_tmpfs_has_its_options() {
        let body = translated(&[("tmpfs", "/a"), ("tmpfs", "/b:size=1m,rw"), ("tmpfs", "/a:ro")]).unwrap();
        let found: Vec<_> = body.host_config.tmpfs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, [("/a", "ro"), ("/b", "size=1m,rw")]);
        assert!(translated(&[("tmpfs", "a")]).is_err());
    }
}
