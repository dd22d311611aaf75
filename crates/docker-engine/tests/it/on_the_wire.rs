//! What is really sent: seen on the socket, by a proxy before a real engine.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use docker_engine::{
    AnonymousVolumes, Credentials, EventFilter, ExecRequest, Follow, Force, ImageRef, ListFilter, LogRequest,
    PullOptions, Resources, Terminal,
};

use crate::support::{RecordingProxy, SOON, with_engine};

#[tokio::test]
async fn every_request_carries_the_version() {
    with_engine("every_request_carries_the_version", |lab| async move {
        let proxy = RecordingProxy::start(lab.engine.socket());
        let engine = lab.connect(&proxy.socket).await;
        engine.ping(SOON).await.unwrap();
        engine.info(SOON).await.unwrap();
        engine.image_inspect(&lab.image, SOON).await.unwrap();
        let nowhere: ImageRef = "127.0.0.1:1/nobody:1".parse().unwrap();
        let options = PullOptions { total: Some(SOON), inactivity: SOON, platform: Some("linux/arm64/v8") };
        engine.pull(&nowhere, None, options, |_| ()).await.unwrap_err();
        let name = format!("{}-a", lab.id);
        let id = engine.create(&name, &lab.body(&["/bin/sleep", "600"]), SOON).await.unwrap().id;
        let attached = engine.attach(&id, Terminal::No, SOON).await.unwrap();
        engine.start(&id, SOON).await.unwrap();
        engine.inspect(&id, SOON).await.unwrap();
        engine.update(&id, &Resources { cpu_shares: Some(512), ..Resources::default() }, SOON).await.unwrap();
        engine.exec(&id, &ExecRequest::new(["true"]), SOON).await.unwrap();
        engine.logs(&id, &LogRequest::all(Follow::Yes), SOON).await.unwrap();
        engine.events(&EventFilter::default(), SOON).await.unwrap();
        engine.list(&ListFilter::default(), SOON).await.unwrap();
        engine.volume_list(&lab.label(), SOON).await.unwrap();
        engine.volume_inspect("no-such-volume", SOON).await.unwrap();
        engine.volume_remove("no-such-volume", SOON).await.unwrap();
        engine.network_inspect("host", SOON).await.unwrap();
        engine.kill(&id, "SIGKILL", SOON).await.unwrap();
        engine.wait_not_running(&id, SOON).await.unwrap();
        engine.remove(&id, Force::Yes, AnonymousVolumes::Remove, SOON).await.unwrap();
        drop(attached);

        let heads = proxy.heads();
        assert!(heads[0].starts_with("GET /version HTTP/1.1"), "{heads:?}");
        let prefix = format!("/v{}/", engine.api());
        let unversioned: Vec<_> = heads[1..]
            .iter()
            .filter(|head| !head.split(' ').nth(1).unwrap_or_default().starts_with(&prefix))
            .collect();
        assert!(unversioned.is_empty(), "{unversioned:?}");
        let has =
            |part: &str| heads.iter().any(|head| head.lines().next().unwrap_or_default().contains(part));
        for part in [
            "/_ping",
            "/info",
            "/images/",
            "/images/create?fromImage=127.0.0.1%3A1%2Fnobody&tag=1&platform=linux%2Farm64%2Fv8",
            "/containers/create?",
            "/attach?",
            "/start",
            "/json",
            "/update",
            "/exec",
            "/logs?",
            "/events?",
            "/containers/json?",
            "/volumes?",
            "DELETE /v",
            "/networks/host",
            "/kill?",
            "/wait?",
        ] {
            assert!(has(part), "{part} was sent");
        }
    })
    .await;
}

#[tokio::test]
async fn registry_credentials_decode_with_the_url_safe_alphabet() {
    with_engine("registry_credentials_decode_with_the_url_safe_alphabet", |lab| async move {
        let proxy = RecordingProxy::start(lab.engine.socket());
        let engine = lab.connect(&proxy.socket).await;
        let nowhere: ImageRef = "127.0.0.1:1/nobody:1".parse().unwrap();
        let deadlines = PullOptions { total: Some(SOON), inactivity: SOON, platform: None };
        let passwords: Vec<String> = ["?", ">", "~", "ü"]
            .iter()
            .flat_map(|secret| {
                (0..3).map(move |offset| format!("{}{}", "x".repeat(offset), secret.repeat(4)))
            })
            .collect();
        for password in &passwords {
            let credentials =
                Credentials { username: "u".into(), password: password.clone(), ..Credentials::default() };
            engine.pull(&nowhere, Some(&credentials), deadlines, |_| ()).await.unwrap_err();
        }
        let sent: Vec<String> = proxy
            .heads()
            .iter()
            .filter_map(|head| {
                head.lines().find_map(|line| line.strip_prefix("x-registry-auth: ").map(str::to_owned))
            })
            .collect();
        let decoded: Vec<String> = sent
            .iter()
            .map(|header| {
                let json = URL_SAFE.decode(header).expect("the URL-safe alphabet");
                let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
                json["password"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(decoded, passwords);
        assert!(
            sent.iter().any(|header| header.contains(['-', '_'])),
            "the alphabets differ in what was sent"
        );
    })
    .await;
}
