//! Certificates for a test: an authority of its own, and a server's certificate for this host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority, its file, and a server that it vouches for.
pub struct TestAuthority {
    /// Accepts TLS as `localhost` and `127.0.0.1`.
    pub acceptor: TlsAcceptor,
    file: PathBuf,
    _directory: tempfile::TempDir,
}

impl TestAuthority {
    /// Makes keys and certificates.
    ///
    /// # Errors
    ///
    /// They cannot be made or written.
    pub fn new() -> Result<TestAuthority> {
        let authority_key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key)?;
        let issuer = Issuer::new(parameters, authority_key);
        let key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("authority.pem");
        std::fs::write(&file, authority.pem()).context("write the authority's certificate")?;
        Ok(TestAuthority { acceptor: TlsAcceptor::from(Arc::new(config)), file, _directory: directory })
    }

    /// The file with the authority's certificate, to be trusted.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

impl std::fmt::Debug for TestAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestAuthority").field("file", &self.file).finish_non_exhaustive()
    }
}
