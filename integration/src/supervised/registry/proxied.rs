//! A registry behind a proxy that delays, cuts, throttles and refuses on demand, and counts.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};

use super::{Layer, Registry};
use crate::proxy::FaultProxy;

/// A registry as the engine sees it through a proxy of the test's own.
#[derive(Debug)]
pub struct ProxiedRegistry<'r> {
    registry: &'r Registry,
    proxy: FaultProxy,
    host: String,
}

impl Registry {
    /// Starts a proxy in front of this registry.
    ///
    /// # Errors
    ///
    /// There is no port.
    pub async fn behind_proxy(&self) -> Result<ProxiedRegistry<'_>> {
        let upstream: SocketAddr = self.host().parse().context("the registry's address")?;
        let proxy = FaultProxy::in_front_of(upstream).await?;
        let host = proxy.host().context("the proxy's address")?;
        Ok(ProxiedRegistry { registry: self, proxy, host })
    }
}

impl ProxiedRegistry<'_> {
    /// Returns the proxy, to put rules in force.
    pub fn proxy(&self) -> &FaultProxy {
        &self.proxy
    }

    /// Returns the proxy, to take it down and up.
    pub fn proxy_mut(&mut self) -> &mut FaultProxy {
        &mut self.proxy
    }

    /// Returns a reference through the proxy. What is pulled by it is removed from the engine in the end.
    pub fn reference(&self, name: &str, tag: &str) -> String {
        let reference = format!("{}/{name}:{tag}", self.host);
        self.registry.note(&reference);
        reference
    }

    /// As [`Registry::publish`]; the reference is through the proxy.
    ///
    /// # Errors
    ///
    /// The registry refuses.
    pub async fn publish(&self, name: &str, tag: &str, layers: &[Layer]) -> Result<String> {
        self.registry.publish(name, tag, layers).await?;
        Ok(self.reference(name, tag))
    }

    /// As [`Registry::publish_index`]; the reference is through the proxy.
    ///
    /// # Errors
    ///
    /// The registry refuses.
    pub async fn publish_index(&self, name: &str, tag: &str, architecture: &str) -> Result<String> {
        self.registry.publish_index(name, tag, architecture).await?;
        Ok(self.reference(name, tag))
    }

    /// Tells how often the engine asked for this part of a repository (`manifests`, `blobs`), by GET or HEAD.
    pub fn asked(&self, name: &str, part: &str) -> usize {
        let path = format!("/v2/{name}/{part}/");
        self.proxy.requests().iter().filter(|request| request.target.starts_with(&path)).count()
    }
}
