//! The operator's registry credentials and proxies (`--docker_config`).

use docker_containerizer::{CredentialError, CredentialSources, HelperSettings, OperatorConfig};
use flags::{DockerConfig, DockerSettings};

/// Reads `--docker_config`; `None` where it is not given. Reads the file that it names, to tell at once what is wrong
/// with it; each pull reads it again.
///
/// # Errors
///
/// A value or file that cannot be used; quotes nothing of it.
pub fn operator_config(settings: &DockerSettings) -> Result<Option<OperatorConfig>, CredentialError> {
    settings
        .credentials
        .config
        .as_ref()
        .map(|config| match config {
            DockerConfig::Inline(text) => OperatorConfig::inline(text.expose()),
            DockerConfig::File(path) => OperatorConfig::file(path),
        })
        .transpose()
}

/// Where credentials for pulls come from.
pub(crate) fn credentials(settings: &DockerSettings, operator: Option<OperatorConfig>) -> CredentialSources {
    let settings = &settings.credentials;
    let helpers = HelperSettings::new(
        &settings.helper_path,
        settings.helper_timeout,
        settings.max_parallel_helpers.get(),
    );
    match operator {
        Some(config) => CredentialSources::with_operator(config, helpers),
        None => CredentialSources::sandbox_only(),
    }
}
