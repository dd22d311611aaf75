//! Images that are put into a registry past the engine, by the registry's own API, so that a pull has work to do.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, Registry};
use crate::http1::{Body, Headers, Reader, RequestHead, ResponseHead};
use crate::images::{self, TestImage};

/// The types of what is stored.
const INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// The engine looks at the bytes, not at the name: a layer need not be compressed.
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A layer above busybox's, as an archive.
#[derive(Debug, Clone)]
pub struct Layer(Bytes);

impl Layer {
    /// A layer with one file of so many bytes that no compression makes smaller. Equal seeds give equal layers.
    ///
    /// # Errors
    ///
    /// The archive can't be made.
    pub fn random(seed: &str, bytes: usize) -> Result<Self> {
        let start = Sha256::digest(seed);
        let mut state = u64::from_le_bytes(start[..8].try_into().context("eight bytes")?) | 1;
        let mut content = Vec::with_capacity(bytes + 8);
        while content.len() < bytes {
            // xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_le_bytes());
        }
        content.truncate(bytes);
        let name: String = start[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(images::one_file(&format!("random/{name}"), &content)?.into()))
    }
}

impl Registry {
    /// Puts an image there: busybox with these layers above it. Takes the place of what had the name and the tag, and
    /// returns the reference.
    ///
    /// # Errors
    ///
    /// The registry refuses, or speaks TLS.
    pub async fn publish(&self, name: &str, tag: &str, layers: &[Layer]) -> Result<String> {
        let manifest = self.manifest(name, layers).await?;
        self.put_manifest(name, tag, MANIFEST, manifest).await
    }

    /// Puts an index there that has one image, of this architecture, and returns the reference.
    ///
    /// # Errors
    ///
    /// The registry refuses.
    pub async fn publish_index(&self, name: &str, tag: &str, architecture: &str) -> Result<String> {
        let manifest = self.manifest(name, &[]).await?;
        let (size, digest) = (manifest.len(), digest(manifest.as_bytes()));
        self.put_manifest(name, &digest, MANIFEST, manifest).await?;
        let platform = json!({ "architecture": architecture, "os": "linux" });
        let listed = json!({ "mediaType": MANIFEST, "size": size, "digest": digest, "platform": platform });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed] });
        self.put_manifest(name, tag, INDEX, index.to_string()).await
    }

    /// Stores a manifest under a tag or its digest; returns the reference of the tag.
    async fn put_manifest(&self, name: &str, tag: &str, kind: &str, manifest: String) -> Result<String> {
        let path = format!("/v2/{name}/manifests/{tag}");
        let answer = self.ask("PUT", &path, Some((kind, manifest.into()))).await?;
        ensure!(answer.status == 201, "the registry refused the manifest: {}", answer.status);
        let reference = format!("{}/{name}:{tag}", self.host());
        if !tag.contains(':') {
            self.note(&reference);
        }
        Ok(reference)
    }

    /// Stores what an image consists of, and returns its manifest.
    async fn manifest(&self, name: &str, layers: &[Layer]) -> Result<String> {
        let busybox = Layer(images::busybox_layer()?.into());
        let layers: Vec<&Layer> = std::iter::once(&busybox).chain(layers).collect();
        let mut listed = Vec::new();
        for layer in &layers {
            listed.push(self.blob(name, LAYER, layer.0.clone()).await?);
        }
        let diff_ids: Vec<_> = listed.iter().map(|layer| layer["digest"].clone()).collect();
        let history: Vec<_> = diff_ids.iter().map(|_| json!({ "created_by": "mesos-test" })).collect();
        let config = json!({
            "architecture": images::architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": TestImage::Busybox.config(""),
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        let config = self.blob(name, CONFIG, config.to_string().into()).await?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": listed,
        });
        Ok(manifest.to_string())
    }

    /// Stores a blob, and returns its entry in a manifest.
    async fn blob(&self, name: &str, kind: &str, content: Bytes) -> Result<Value> {
        let digest = digest(&content);
        let entry = json!({ "mediaType": kind, "size": content.len(), "digest": digest });
        let begun = self.ask("POST", &format!("/v2/{name}/blobs/uploads/"), None).await?;
        let Some(location) = begun.headers.get("location") else {
            bail!("the registry gave no place for a blob: {}", begun.status);
        };
        // An absolute address, or a path.
        let path = location.splitn(4, '/').nth(3).filter(|_| location.contains("://"));
        let path = path.map_or(location.to_owned(), |path| format!("/{path}"));
        let join = if path.contains('?') { '&' } else { '?' };
        let put = format!("{path}{join}digest={digest}");
        let stored = self.ask("PUT", &put, Some(("application/octet-stream", content))).await?;
        ensure!(stored.status == 201, "the registry refused a blob: {}", stored.status);
        Ok(entry)
    }

    /// Sends one request and reads the answer past its body.
    async fn ask(&self, method: &str, target: &str, body: Option<(&str, Bytes)>) -> Result<ResponseHead> {
        let mut headers = Headers::default();
        headers.push("Host", self.host());
        headers.push("Connection", "close");
        if let Some((user, password)) = self.options.users.first() {
            headers.push("Authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        }
        let (kind, content) = body.unwrap_or_default();
        if !kind.is_empty() {
            headers.push("Content-Type", kind);
        }
        headers.push("Content-Length", content.len().to_string());
        let head = RequestHead { method: method.to_owned(), target: target.to_owned(), headers };
        let exchange = async {
            let (read, mut write) = TcpStream::connect(self.host()).await?.into_split();
            write.write_all(&head.encode()).await?;
            write.write_all(&content).await?;
            let mut reader = Reader::new(read);
            loop {
                let answer = reader.response_head().await?;
                if !answer.is_interim() {
                    let mut body = Body::new(answer.framing(method)?);
                    reader.body_to_end(&mut body).await?;
                    return anyhow::Ok(answer);
                }
            }
        };
        timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("{method} {target}: no answer"))?
            .with_context(|| format!("{method} {target}"))
    }
}

fn digest(content: &[u8]) -> String {
    let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digest}")
}
