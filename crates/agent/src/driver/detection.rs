//! Who leads: carries what the detector sees to the core.

use tokio::sync::mpsc;

use crate::core::Event;
use crate::detector::{Detection, DetectorSettings, MasterAddress};

/// Tells the core of every leading master, and of the end of the detection, until the core ends.
pub(super) async fn run(address: MasterAddress, settings: DetectorSettings, events: mpsc::Sender<Event>) {
    let mut detection = Detection::start(address, settings);
    loop {
        let event = match detection.changed().await {
            // The address as a message's sender has it: of a host's name, what that was found to mean.
            Ok(leader) => Event::Detected(leader.map(|mut leader| {
                leader.info.pid = Some(leader.upid.to_string());
                Box::new(leader.info)
            })),
            Err(error) => {
                let why = format!("cannot detect a master: {}", docker_containerizer::chain(&error));
                // The core ends with the process.
                let _ = events.send(Event::Failed(why)).await;
                return;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
