//! How a registry is set up: who may use it, and over what.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The least that bcrypt takes: the tests are not about its strength.
const BCRYPT_COST: u32 = 4;

/// What differs from one registry to the next.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Names and passwords (htpasswd). Without any, everybody may do everything.
    pub users: Vec<(String, String)>,
    /// What it speaks.
    pub transport: Transport,
}

/// What a registry speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// HTTP.
    #[default]
    Plain,
    /// HTTPS with a certificate that nobody knows.
    Tls,
}

impl RegistryOptions {
    /// A registry with one user.
    pub fn user(name: &str, password: &str) -> Self {
        Self { users: vec![(name.to_owned(), password.to_owned())], ..Self::default() }
    }
}

/// Writes the configuration and what it names; returns its path.
pub(super) fn write(dir: &Path, port: u16, options: &RegistryOptions) -> Result<PathBuf> {
    let path = dir.join("config.yml");
    let storage = dir.join("storage");
    let mut text = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: \"{}\"}}, delete: {{enabled: true}}}}\n\
         http:\n  addr: \"127.0.0.1:{port}\"\n",
        storage.display()
    );
    if options.transport == Transport::Tls {
        let (certificate, key) = certificate(dir)?;
        text +=
            &format!("  tls: {{certificate: \"{}\", key: \"{}\"}}\n", certificate.display(), key.display());
    }
    if !options.users.is_empty() {
        let htpasswd = dir.join("htpasswd");
        std::fs::write(&htpasswd, lines(&options.users)?).context("write the users")?;
        text += &format!("auth: {{htpasswd: {{realm: test, path: \"{}\"}}}}\n", htpasswd.display());
    }
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn lines(users: &[(String, String)]) -> Result<String> {
    let line = |(name, password): &(String, String)| {
        let hash = bcrypt::hash(password, BCRYPT_COST).context("hash a password")?;
        Ok(format!("{name}:{hash}\n"))
    };
    users.iter().map(line).collect()
}

/// Makes a certificate for the loopback address that signs itself, and its key.
fn certificate(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=mesos-test", "-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .context("run openssl (install Debian's openssl)")?;
    ensure!(
        output.status.success(),
        "openssl made no certificate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((certificate, key))
}
