//! `Debug` for the messages whose content must never reach a log. build.rs leaves the derived one out for them.

use std::fmt;

use crate::{
    docker::spec::config::Auth,
    internal::{AuthenticationStartMessage, AuthenticationStepMessage},
    v1::{Credential, secret},
};

/// What stands for a secret in `Debug`, whatever its length.
const HIDDEN: &str = "***";

impl fmt::Debug for secret::Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("data", &HIDDEN).finish()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("principal", &self.principal)
            .field("secret", &self.secret.as_ref().map(|_| HIDDEN))
            .finish()
    }
}

impl fmt::Debug for AuthenticationStartMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationStartMessage")
            .field("mechanism", &self.mechanism)
            .field("data", &self.data.as_ref().map(|_| HIDDEN))
            .finish()
    }
}

impl fmt::Debug for AuthenticationStepMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationStepMessage").field("data", &HIDDEN).finish()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("auth", &self.auth.as_ref().map(|_| HIDDEN))
            .field("email", &self.email)
            .finish()
    }
}
