//! The recorded traffic of a stock cluster: each recorded connection is read as what it carried, and what it carried is
//! encoded as the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use libprocess::{Incoming, Limits, Upid, encode};
use mesos_proto::internal;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE, next_message, node};

struct Expected {
    to: String,
    name: String,
    from: String,
    bytes: usize,
}

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded")
}

/// What each file should be read as.
fn index() -> BTreeMap<String, Vec<Expected>> {
    let mut files = BTreeMap::<_, Vec<_>>::new();
    for line in std::fs::read_to_string(recorded().join("index.tsv")).expect("the index").lines() {
        let [file, to, name, from, bytes] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let [to, name, from] = [to, name, from].map(str::to_owned);
        files.entry(file.to_owned()).or_default().push(Expected {
            to,
            name,
            from,
            bytes: bytes.parse().expect("a number"),
        });
    }
    files
}

/// Plays one recorded connection to a node, in pieces of `piece` bytes, and returns what arrives, in order.
async fn play(bytes: &[u8], expected: &[Expected], piece: usize) -> Vec<Incoming> {
    // One place each, so that the order of processes shows too: the next message waits until this one is taken.
    let node = node(Limits { mailbox: 1, ..Limits::default() }).await;
    let ids: BTreeSet<&str> = expected.iter().map(|expected| expected.to.as_str()).collect();
    let mut processes: BTreeMap<&str, _> =
        ids.into_iter().map(|id| (id, node.register(id).expect("a free name"))).collect();
    let client = Client::connect(&node).await;
    let write = async {
        let mut client = client;
        for piece in bytes.chunks(piece) {
            client.write(piece).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.statuses(expected.len()).await, vec![202; expected.len()]);
    };
    let read = async {
        let mut read = Vec::new();
        for expected in expected {
            read.push(next_message(processes.get_mut(expected.to.as_str()).expect("registered")).await);
        }
        read
    };
    timeout(PATIENCE, async { tokio::join!(write, read) }).await.expect("in time").1
}

#[tokio::test]
async fn every_recorded_connection_is_read_and_encoded_as_it_was() {
    let files = index();
    assert!(files.len() > 40, "{}", files.len());
    for (file, expected) in files {
        let bytes = std::fs::read(recorded().join(&file)).unwrap();
        for piece in [bytes.len(), 1400, 97] {
            let read = play(&bytes, &expected, piece).await;
            let mut encoded = Vec::new();
            for (message, expected) in read.iter().zip(&expected) {
                assert_eq!(message.name, expected.name, "{file}");
                assert_eq!(message.from.to_string(), expected.from, "{file}");
                assert_eq!(message.body.len(), expected.bytes, "{file}: {}", message.name);
                let to: Upid = format!("{}@127.0.0.1:1", expected.to).parse().unwrap();
                encoded.extend_from_slice(&encode(&to, &message.from, &message.name, &message.body));
            }
            assert!(encoded == bytes, "{file} is encoded otherwise");
        }
    }
}

#[tokio::test]
async fn the_content_of_recorded_messages_is_decoded_by_its_name() {
    let file = "02-1-to-agent.requests";
    let expected = index().remove(file).unwrap();
    let read = play(&std::fs::read(recorded().join(file)).unwrap(), &expected, usize::MAX).await;
    let run = &read[0];
    assert!(run.is::<internal::RunTaskMessage>() && !run.is::<internal::KillTaskMessage>());
    let task = run.decode::<internal::RunTaskMessage>().unwrap().task;
    assert!(task.container.is_some(), "{task:?}");
    // A task is no acknowledgement: the required fields are there by number, but not of that form.
    let error = run.decode::<internal::StatusUpdateMessage>().unwrap_err().to_string();
    assert!(error.contains("mesos.internal.RunTaskMessage") && error.contains("master@"), "{error}");
}
