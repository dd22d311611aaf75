//! Owns the images that tests run: made on the spot from the machine's static busybox, loaded once per engine, safe
//! when many test processes ask at once. Nothing is pulled.
//!
//! An image is a `docker save` archive written by hand, so that its bytes, and with them its id, are the same every
//! time: a second load of the same content changes nothing, and any configuration can be said without a build.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::raw::RawClient;

/// The label that tells which content an image was made from.
const CONTENT_LABEL: &str = "mesos-test.content";
/// Raised when the layout of the images changes, so that older ones are replaced.
const LAYOUT: u32 = 1;
/// Where the machine's busybox may be; it must be statically linked.
const BUSYBOX: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"];

/// One of the test images. All have every applet of busybox in `/bin` and `PATH=/bin:/sbin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TestImage {
    /// `CMD ["sh"]`.
    Busybox,
    /// `ENTRYPOINT ["echo"]`, `CMD ["inky"]`: the image of the stock tests of default commands.
    Inky,
    /// `VOLUME /data`: each container gets an anonymous volume.
    Volume,
    /// `STOPSIGNAL SIGUSR1`.
    StopSignal,
    /// `USER nobody`, `WORKDIR /www`.
    User,
    /// No CMD and no ENTRYPOINT: a container without a command can't be created from it.
    NoCommand,
    /// `ENV COLOR=image PATH=…`, for the order of environments.
    Environment,
}

impl TestImage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Busybox,
        Self::Inky,
        Self::Volume,
        Self::StopSignal,
        Self::User,
        Self::NoCommand,
        Self::Environment,
    ];

    /// Returns the reference under which the image is loaded.
    pub fn reference(self) -> &'static str {
        match self {
            Self::Busybox => "mesos-test/busybox:latest",
            Self::Inky => "mesos-test/inky:latest",
            Self::Volume => "mesos-test/volume:latest",
            Self::StopSignal => "mesos-test/stopsignal:latest",
            Self::User => "mesos-test/user:latest",
            Self::NoCommand => "mesos-test/no-command:latest",
            Self::Environment => "mesos-test/environment:latest",
        }
    }

    /// Returns the container configuration that the image carries.
    pub(crate) fn config(self, content: &str) -> Value {
        let mut config = json!({
            "Env": ["PATH=/bin:/sbin"],
            "Cmd": ["sh"],
            "Labels": { CONTENT_LABEL: content },
        });
        match self {
            Self::Busybox => {}
            Self::Inky => {
                config["Entrypoint"] = json!(["echo"]);
                config["Cmd"] = json!(["inky"]);
            }
            Self::Volume => config["Volumes"] = json!({ "/data": {} }),
            Self::StopSignal => config["StopSignal"] = json!("SIGUSR1"),
            Self::User => {
                config["User"] = json!("nobody");
                config["WorkingDir"] = json!("/www");
            }
            Self::NoCommand => config["Cmd"] = Value::Null,
            Self::Environment => config["Env"] = json!(["PATH=/bin:/sbin", "COLOR=image"]),
        }
        config
    }
}

/// Makes sure that every test image is on the engine at `socket`.
///
/// # Errors
///
/// There is no static busybox on this machine, or the engine refuses the load.
pub async fn ensure(socket: &Path) -> Result<()> {
    let mut client = RawClient::new(socket);
    client.negotiate().await?;
    let content = content_id()?;
    if all_current(&mut client, &content).await? {
        return Ok(());
    }
    // One at a time on this machine; the others find the images when it is their turn.
    let lock = tokio::task::spawn_blocking(hold_lock).await.context("wait for the image lock")??;
    if !all_current(&mut client, &content).await? {
        load(&mut client, &archive(&content)?).await?;
        ensure!(
            all_current(&mut client, &content).await?,
            "the engine loaded the test images but doesn't show them"
        );
    }
    drop(lock);
    Ok(())
}

/// Makes sure that an image of busybox with one more layer is on the engine; `layer` is made only where it isn't there
/// with this content.
///
/// # Errors
///
/// The layer cannot be made, or the engine refuses the load.
pub(crate) async fn ensure_layered(
    socket: &Path,
    reference: &str,
    content: &str,
    layer: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<()> {
    let mut client = RawClient::new(socket);
    client.negotiate().await?;
    // The busybox below it may be another one, too.
    let content = format!("{content}-{}", content_id()?);
    if is_current(&mut client, reference, &content).await? {
        return Ok(());
    }
    let lock = tokio::task::spawn_blocking(hold_lock).await.context("wait for the image lock")??;
    if !is_current(&mut client, reference, &content).await? {
        let layers = [busybox_layer()?, layer()?];
        let config = TestImage::Busybox.config(&content);
        load(&mut client, &pack(&layers, &[(reference, config)])?).await?;
        ensure!(is_current(&mut client, reference, &content).await?, "the engine doesn't show {reference}");
    }
    drop(lock);
    Ok(())
}

async fn all_current(client: &mut RawClient, content: &str) -> Result<bool> {
    for image in TestImage::ALL {
        if !is_current(client, image.reference(), content).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn is_current(client: &mut RawClient, reference: &str, content: &str) -> Result<bool> {
    let answer = client.get(&format!("/images/{reference}/json")).await?;
    Ok(answer.status() != 404 && answer.json()?["Config"]["Labels"][CONTENT_LABEL] == content)
}

async fn load(client: &mut RawClient, archive: &[u8]) -> Result<()> {
    let answer =
        client.request("POST", "/images/load?quiet=1", Some(("application/x-tar", archive))).await?.ok()?;
    let failed = answer.text().contains("\"error\"");
    ensure!(!failed, "the engine could not load the test images: {}", answer.text());
    Ok(())
}

pub(crate) fn hold_lock() -> Result<File> {
    let path = std::env::temp_dir().join("mesos-test-images.lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

fn busybox() -> Result<PathBuf> {
    for path in BUSYBOX.map(Path::new) {
        if path.exists() {
            return Ok(path.to_owned());
        }
    }
    bail!("no busybox on this machine: install Debian's busybox-static")
}

/// Returns a name for the content of all images: busybox, the layout and the configurations.
fn content_id() -> Result<String> {
    static ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = ID.get() {
        return Ok(id.clone());
    }
    let path = busybox()?;
    let program = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let mut hash = Sha256::new();
    hash.update(LAYOUT.to_be_bytes());
    hash.update(&program);
    for image in TestImage::ALL {
        hash.update(image.config("").to_string());
    }
    let id = hex(&hash.finalize());
    Ok(ID.get_or_init(|| id).clone())
}

/// Builds the archive of all images, as `POST /images/load` takes it.
fn archive(content: &str) -> Result<Vec<u8>> {
    let images = TestImage::ALL.map(|image| (image.reference(), image.config(content)));
    pack(&[busybox_layer()?], &images)
}

/// Builds an archive of images with these configurations, all of these layers.
fn pack(layers: &[Vec<u8>], images: &[(&str, Value)]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let ids: Vec<String> = layers.iter().map(|layer| hex(&Sha256::digest(layer))).collect();
    let names: Vec<String> = ids.iter().map(|id| format!("{id}/layer.tar")).collect();
    for (name, layer) in names.iter().zip(layers) {
        add_file(&mut archive, name, 0o644, layer)?;
    }
    let diff_ids: Vec<String> = ids.iter().map(|id| format!("sha256:{id}")).collect();
    let history = json!({ "created": "1970-01-01T00:00:00Z", "created_by": "mesos-test" });
    let mut manifest = Vec::new();
    for (reference, config) in images {
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": vec![&history; layers.len()],
        })
        .to_string();
        let name = format!("{}.json", hex(&Sha256::digest(&config)));
        add_file(&mut archive, &name, 0o644, config.as_bytes())?;
        manifest.push(json!({ "Config": name, "RepoTags": [reference], "Layers": names }));
    }
    add_file(&mut archive, "manifest.json", 0o644, Value::Array(manifest).to_string().as_bytes())?;
    archive.into_inner().context("finish the image archive")
}

/// Builds the one layer that all images share.
pub(crate) fn busybox_layer() -> Result<Vec<u8>> {
    let path = busybox()?;
    let program = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let listed = Command::new(&path)
        .arg("--list")
        .output()
        .with_context(|| format!("run {} --list", path.display()))?;
    let applets = String::from_utf8(listed.stdout).context("the applets' names")?;
    let mut layer = tar::Builder::new(Vec::new());
    for (name, mode) in [
        ("bin", 0o755),
        ("dev", 0o755),
        ("etc", 0o755),
        ("proc", 0o755),
        ("root", 0o700),
        ("sys", 0o755),
        ("tmp", 0o1777),
        ("var", 0o755),
        ("www", 0o755),
    ] {
        add_entry(&mut layer, &format!("{name}/"), tar::EntryType::Directory, mode, None, &[])?;
    }
    add_file(&mut layer, "bin/busybox", 0o755, &program)?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        add_entry(
            &mut layer,
            &format!("bin/{applet}"),
            tar::EntryType::Symlink,
            0o777,
            Some("busybox"),
            &[],
        )?;
    }
    add_entry(&mut layer, "sbin", tar::EntryType::Symlink, 0o777, Some("bin"), &[])?;
    add_file(
        &mut layer,
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    )?;
    add_file(&mut layer, "etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    add_file(&mut layer, "www/index.html", 0o644, b"hello from a container\n")?;
    layer.into_inner().context("finish the image's layer")
}

/// Builds a layer of one file.
pub(crate) fn one_file(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    add_file(&mut layer, name, 0o644, content)?;
    layer.into_inner().context("finish a layer")
}

/// Builds a layer of programs of this machine, each under its name in the image.
pub(crate) fn files_layer(files: &[(String, PathBuf)]) -> Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    for (name, path) in files {
        let content = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        add_file(&mut layer, name, 0o755, &content)?;
    }
    layer.into_inner().context("finish a layer")
}

fn add_file(archive: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, content: &[u8]) -> Result<()> {
    add_entry(archive, name, tar::EntryType::Regular, mode, None, content)
}

fn add_entry(
    archive: &mut tar::Builder<Vec<u8>>,
    name: &str,
    kind: tar::EntryType,
    mode: u32,
    target: Option<&str>,
    content: &[u8],
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    match target {
        Some(target) => archive.append_link(&mut header, name, target),
        None => archive.append_data(&mut header, name, content),
    }
    .with_context(|| format!("add {name} to an archive"))
}

/// Returns this machine's architecture in the engine's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
