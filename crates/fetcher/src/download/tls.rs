//! TLS as the system wants it: its root certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use suppaftp::tokio_rustls::TlsConnector;

use crate::download::error::DownloadError;

/// Makes the configuration for HTTPS and FTPS. Certificates that cannot be read are left out, as OpenSSL does.
pub(super) fn client_config() -> Result<ClientConfig, DownloadError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| DownloadError::Setup { what: "TLS", source: source.into() })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Makes what FTPS connects with.
pub(super) fn connector() -> Result<TlsConnector, DownloadError> {
    Ok(TlsConnector::from(Arc::new(client_config()?)))
}

/// Says which cryptography is used where a library is not given a configuration.
pub(super) fn install_provider() {
    // An error says that there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
