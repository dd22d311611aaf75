//! Owns the side that others are compared with: image inspect, create, start and inspect by a bare keep-alive client,
//! which is the least that a launch can be.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::side::{Launched, Network, Side};
use crate::images::TestImage;
use crate::raw::RawClient;
use crate::sweep::SCOPE_LABEL;

/// The concurrencies among which the best is looked for.
const CONCURRENCIES: [usize; 6] = [1, 2, 4, 8, 16, 50];

/// Keep-alive clients that are free now. A launch takes one and gives it back, so that none pays for a connection
/// more often than a client of its concurrency would.
#[derive(Debug)]
struct Clients {
    socket: PathBuf,
    free: Mutex<Vec<RawClient>>,
}

/// Makes the baseline on the engine at `socket`; its containers carry the label of the scope.
pub fn side(socket: &Path, scope: &str, sandbox: &Path) -> Side {
    let clients = Arc::new(Clients { socket: socket.to_owned(), free: Mutex::default() });
    let (scope, sandbox) = (scope.to_owned(), sandbox.to_owned());
    Side {
        name: "bare API",
        launch: Arc::new(move |network| {
            Box::pin(launch(Arc::clone(&clients), create_body(network, &scope, &sandbox)))
        }),
        concurrencies: CONCURRENCIES.to_vec(),
    }
}

/// Returns the create request of one container. It says what any launch of ours says too: labels, a network, a log
/// driver with caps, limits of memory and cpu, the mount of a sandbox.
fn create_body(network: Network, scope: &str, sandbox: &Path) -> Value {
    json!({
        "Image": TestImage::Busybox.reference(),
        "Cmd": ["sleep", "1000"],
        "Labels": { SCOPE_LABEL: scope },
        "HostConfig": {
            "NetworkMode": network.mode(),
            "LogConfig": { "Type": "local", "Config": { "max-size": "10m", "max-file": "2" } },
            "Memory": 64 * 1024 * 1024,
            "CpuShares": 102,
            "Mounts": [{ "Type": "bind", "Source": sandbox, "Target": "/mnt/mesos/sandbox" }],
        },
    })
}

async fn launch(clients: Arc<Clients>, body: Value) -> Result<Launched> {
    let mut client = clients.take().await?;
    let image = format!("/images/{}/json", TestImage::Busybox.reference());
    let began = Instant::now();
    client.get(&image).await?.ok()?;
    let created = client.post("/containers/create", &body).await?.json()?;
    let id = created["Id"].as_str().context("an answer without an id")?.to_owned();
    client.post_empty(&format!("/containers/{id}/start")).await?.ok()?;
    let inspected = client.get(&format!("/containers/{id}/json")).await?.json()?;
    let took = began.elapsed();
    ensure!(inspected["State"]["Running"] == true, "container {id} does not run: {}", inspected["State"]);
    clients.give_back(client);
    let remove = async move {
        let mut client = clients.take().await?;
        client.delete(&format!("/containers/{id}?force=1&v=1")).await?.ok()?;
        clients.give_back(client);
        Ok(())
    };
    Ok(Launched { took, remove: Box::pin(remove) })
}

impl Clients {
    async fn take(&self) -> Result<RawClient> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match free {
            Some(client) => Ok(client),
            None => {
                // Connected and negotiated before anything is timed.
                let mut client = RawClient::new(&self.socket);
                client.negotiate().await?;
                Ok(client)
            }
        }
    }

    fn give_back(&self, client: RawClient) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }
}
