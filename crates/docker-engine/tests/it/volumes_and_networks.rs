//! Volumes, networks, published ports.

use docker_engine::{Empty, EndpointSettings, Mount, MountDriver, PortBinding, VolumeOptions, VolumeRemoval};

use crate::support::{SOON, with_engine};

#[tokio::test]
async fn a_volume_is_found_by_label_and_removed() {
    with_engine("a_volume_is_found_by_label_and_removed", |lab| async move {
        let name = format!("{}-volume", lab.id);
        let (key, value) = lab.label().split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
        let mut body = lab.body(&["true"]);
        body.host_config.mounts.push(Mount {
            target: "/v".into(),
            source: name.clone(),
            kind: "volume".into(),
            volume_options: Some(VolumeOptions {
                labels: [(key, value)].into(),
                driver_config: Some(MountDriver { name: "local".into(), ..MountDriver::default() }),
                ..VolumeOptions::default()
            }),
            ..Mount::default()
        });
        let id = lab.create("a", &body).await;
        let mounts = lab.inspect(&id).await.mounts;
        assert!(mounts.iter().any(|mount| mount.name == name && mount.destination == "/v" && mount.writable));
        let listed = lab.engine.volume_list(&lab.label(), SOON).await.unwrap();
        assert_eq!(listed.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(), [name.as_str()]);
        assert_eq!(
            lab.engine.volume_inspect(&name, SOON).await.unwrap().map(|v| v.driver),
            Some("local".to_owned())
        );
        let in_use = lab.engine.volume_remove(&name, SOON).await.unwrap_err();
        assert_eq!(in_use.status(), Some(409), "{in_use}");
        let all = docker_engine::AnonymousVolumes::Remove;
        lab.engine.remove(&id, docker_engine::Force::Yes, all, SOON).await.unwrap();
        assert_eq!(lab.engine.volume_remove(&name, SOON).await.unwrap(), VolumeRemoval::Removed);
        assert_eq!(lab.engine.volume_remove(&name, SOON).await.unwrap(), VolumeRemoval::AlreadyGone);
        assert_eq!(lab.engine.volume_inspect(&name, SOON).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_network_is_described_or_absent() {
    with_engine("a_network_is_described_or_absent", |lab| async move {
        let host = lab.engine.network_inspect("host", SOON).await.unwrap().expect("every engine has it");
        assert_eq!((host.name.as_str(), host.driver.as_str()), ("host", "host"));
        for absent in ["no-such-network-anywhere", "..", "", "a/b?c"] {
            assert_eq!(lab.engine.network_inspect(absent, SOON).await.unwrap(), None, "{absent}");
        }
    })
    .await;
}

#[tokio::test]
async fn addresses_and_published_ports_are_read() {
    with_engine("addresses_and_published_ports_are_read", |lab| async move {
        if lab.engine.network_inspect("bridge", SOON).await.unwrap().is_none() {
            println!("SKIPPED addresses_and_published_ports_are_read: this engine has no bridge network");
            return;
        }
        let mut body = lab.body(&["/bin/sleep", "600"]);
        body.host_config.network_mode = "bridge".into();
        for port in ["80/tcp", "53/udp"] {
            body.exposed_ports.insert(port.into(), Empty {});
            let binding = PortBinding { host_ip: "127.0.0.1".into(), host_port: String::new() };
            body.host_config.port_bindings.insert(port.into(), vec![binding]);
        }
        let id = lab.create("a", &body).await;
        lab.engine.start(&id, SOON).await.unwrap();
        let inspection = lab.inspect(&id).await;
        let bridge = &inspection.networks["bridge"];
        assert!(bridge.ipv4.is_some() && bridge.gateway.is_some() && bridge.mac.is_some(), "{bridge:?}");
        let ports: Vec<_> = inspection
            .ports
            .iter()
            .map(|port| {
                (port.container_port, port.protocol.as_str(), port.host_ip.as_str(), port.host_port > 0)
            })
            .collect();
        assert_eq!(ports, [(53, "udp", "127.0.0.1", true), (80, "tcp", "127.0.0.1", true)]);
    })
    .await;
}

/// A network that is not there is told at the start, since a network of a swarm may come to be meanwhile.
#[tokio::test]
async fn a_connect_to_what_is_not_there_is_told() {
    with_engine("a_connect_to_what_is_not_there_is_told", |lab| async move {
        if lab.engine.network_inspect("bridge", SOON).await.unwrap().is_none() {
            println!("SKIPPED a_connect_to_what_is_not_there_is_told: this engine has no bridge network");
            return;
        }
        let nothing_asked = EndpointSettings::default();
        let connect = async |network: &str, container: &str| {
            lab.engine.network_connect(network, container, &nothing_asked, SOON).await
        };
        let error = connect("bridge", "no-such-container").await.unwrap_err();
        assert!(error.is_not_found() && error.to_string().contains("network bridge"), "{error}");
        let mut body = lab.body(&["/bin/sleep", "600"]);
        body.host_config.network_mode = "bridge".into();
        let id = lab.create("a", &body).await;
        let told = match connect("no-such-network-anywhere", &id).await {
            Ok(()) => lab.engine.start(&id, SOON).await.map(drop),
            refused => refused,
        };
        let error = told.unwrap_err();
        let message = error.engine_message().unwrap_or_default();
        assert!(message.contains("no-such-network-anywhere"), "{error:?}");
    })
    .await;
}
