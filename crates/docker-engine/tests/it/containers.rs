//! The life of a container.

use std::time::Duration;

use docker_engine::{
    AnonymousVolumes, ErrorKind, EventFilter, ExecRequest, Force, ListFilter, ListScope, OLDEST_API, Removal,
    Resources, Started,
};

use crate::support::{SOON, with_engine};

#[tokio::test]
async fn an_engine_says_what_it_is() {
    with_engine("an_engine_says_what_it_is", |lab| async move {
        lab.engine.ping(SOON).await.unwrap();
        assert!(lab.engine.api() >= OLDEST_API);
        let info = lab.engine.info(SOON).await.unwrap();
        assert_eq!(info.os, "linux");
        assert_eq!(info.server_version, lab.engine.server_version());
        assert!(info.ncpu > 0 && info.mem_total > 0);
        assert!(!info.storage_driver.is_empty() && !info.default_log_driver.is_empty());
        let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        assert_eq!(info.cgroup_version.to_string(), if unified { "v2" } else { "v1" });
    })
    .await;
}

#[tokio::test]
async fn an_image_is_described_or_absent() {
    with_engine("an_image_is_described_or_absent", |lab| async move {
        let details = lab.engine.image_inspect(&lab.image, SOON).await.unwrap().expect("it was imported");
        assert!(details.id.starts_with("sha256:"));
        assert_eq!(details.stop_signal, None);
        assert_eq!(details.exposed_ports, ["8080/tcp"]);
        assert_eq!(details.volumes, ["/data"]);
        assert_eq!(details.workdir, "/bin");
        assert_eq!(details.labels["of"], "test");
        assert!(details.env.iter().any(|entry| entry == "FROM_IMAGE=yes"));
        assert_eq!(details.entrypoint, None);
        assert!(!details.has_healthcheck);
        let by_id = details.id.parse().unwrap();
        assert_eq!(
            lab.engine.image_inspect(&by_id, SOON).await.unwrap().map(|image| image.id),
            Some(details.id)
        );
        let absent = format!("{}-absent", lab.id).parse().unwrap();
        assert_eq!(lab.engine.image_inspect(&absent, SOON).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_container_lives_and_ends() {
    with_engine("a_container_lives_and_ends", |lab| async move {
        let mut body = lab.body(&["/bin/sh", "-c", "exit $CODE"]);
        body.env = vec!["CODE=3".to_owned()].into();
        let id = lab.create("a", &body).await;
        let created = lab.inspect(&id).await;
        assert!(!created.state.started() && !created.state.running && created.state.pid.is_none());
        assert_eq!(lab.engine.start(&id, SOON).await.unwrap(), Started::Now);
        let end = lab.engine.wait_not_running(&id, SOON).await.unwrap();
        assert_eq!((end.exit_code, end.error), (3, None));
        let ended = lab.inspect(&id).await;
        assert!(ended.state.started() && !ended.state.running);
        assert_eq!((ended.state.status.as_str(), ended.state.exit_code), ("exited", 3));
        // A process that ends at once may be recorded as ended before it was recorded as started.
        assert!(ended.state.finished_at.is_set());
        assert!(ended.created.stamp() < ended.state.started_at.stamp());
        assert_eq!(ended.name, format!("{}-a", lab.id));
        assert_eq!(ended.network_mode, "none");
        let raw: serde_json::Value = serde_json::from_slice(&ended.raw).unwrap();
        assert_eq!(raw["Id"], id.as_str());
        assert_eq!(raw["Config"]["Env"][0], "CODE=3");
        assert!(ended.raw.starts_with(b"{") && ended.raw.ends_with(b"}"));
        assert!(!format!("{ended:?} {body:?}").contains("CODE=3"), "Debug shows no environment value");
        assert_eq!(
            lab.engine.remove(&id, Force::No, AnonymousVolumes::Remove, SOON).await.unwrap(),
            Removal::Removed
        );
        assert_eq!(lab.engine.inspect(&id, SOON).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_running_container_is_waited_for_signalled_and_removed() {
    with_engine("a_running_container_is_waited_for_signalled_and_removed", |lab| async move {
        let id = lab.run("a", &["/bin/sleep", "600"]).await;
        assert_eq!(lab.engine.start(&id, SOON).await.unwrap(), Started::Already);
        let running = lab.inspect(&id).await;
        assert!(running.state.running && running.state.pid.is_some_and(|pid| pid > 1));
        let keep = AnonymousVolumes::Remove;
        assert_eq!(lab.engine.remove(&id, Force::No, keep, SOON).await.unwrap(), Removal::Running);

        let error = lab.engine.kill(&id, "SIGNONSENSE", SOON).await.unwrap_err();
        assert!(error.engine_message().is_some_and(|message| message.contains("SIGNONSENSE")), "{error}");
        let waiter = tokio::spawn({
            let (engine, id) = (lab.engine.clone(), id.clone());
            async move { engine.wait_not_running(&id, SOON).await }
        });
        lab.engine.kill(&id, "SIGKILL", SOON).await.unwrap();
        let end = tokio::time::timeout(SOON, waiter).await.unwrap().unwrap().unwrap();
        assert_eq!(end.exit_code, 137);
        let again = lab.engine.kill(&id, "SIGKILL", SOON).await.unwrap_err();
        assert!(matches!(again.kind(), ErrorKind::NotRunning { .. }), "{again}");

        assert_eq!(lab.engine.remove(&id, Force::Yes, keep, SOON).await.unwrap(), Removal::Removed);
        assert_eq!(lab.engine.remove(&id, Force::Yes, keep, SOON).await.unwrap(), Removal::AlreadyGone);
        for error in [
            lab.engine.kill(&id, "SIGKILL", SOON).await.unwrap_err(),
            lab.engine.start(&id, SOON).await.unwrap_err(),
            lab.engine.wait_not_running(&id, SOON).await.unwrap_err(),
        ] {
            assert!(error.is_not_found() && error.status() == Some(404), "{error}");
            assert!(error.to_string().contains(&id), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn refusals_of_a_create_are_told_apart() {
    with_engine("refusals_of_a_create_are_told_apart", |lab| async move {
        lab.create("taken", &lab.body(&["true"])).await;
        let name = format!("{}-taken", lab.id);
        let taken = lab.engine.create(&name, &lab.body(&["true"]), SOON).await.unwrap_err();
        assert!(matches!(taken.kind(), ErrorKind::Conflict { .. }), "{taken}");

        let mut body = lab.body(&["true"]);
        body.image = format!("{}-absent:1", lab.id);
        let absent = lab.engine.create(&format!("{}-b", lab.id), &body, SOON).await.unwrap_err();
        assert!(absent.is_not_found(), "{absent}");

        let mut body = lab.body(&["true"]);
        body.host_config.resources.memory = Some(1);
        let wrong = lab.engine.create(&format!("{}-c", lab.id), &body, SOON).await.unwrap_err();
        assert!(matches!(wrong.kind(), ErrorKind::BadRequest { .. }), "{wrong}");
        assert!(wrong.engine_message().is_some_and(|message| message.contains("memory")), "{wrong}");

        let odd = lab.engine.create("no/such?name", &lab.body(&["true"]), SOON).await.unwrap_err();
        assert!(odd.engine_message().is_some_and(|message| message.contains("no/such?name")), "{odd}");
    })
    .await;
}

#[tokio::test]
async fn containers_are_listed_by_name_label_and_state() {
    with_engine("containers_are_listed_by_name_label_and_state", |lab| async move {
        let still = lab.create("still", &lab.body(&["true"])).await;
        let running = lab.run("running", &["/bin/sleep", "600"]).await;
        let by_label = ListFilter { labels: vec![lab.label()], ..ListFilter::default() };
        let all = lab.engine.list(&by_label, SOON).await.unwrap();
        assert_eq!(all.len(), 2);
        let only = ListFilter { scope: ListScope::Running, ..by_label };
        let listed = lab.engine.list(&only, SOON).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].id.as_str(), listed[0].state.as_str()), (running.as_str(), "running"));
        assert_eq!(listed[0].names, [format!("{}-running", lab.id)]);
        let pattern = ListFilter { name_pattern: Some(format!("^/{}-st", lab.id)), ..ListFilter::default() };
        let listed = lab.engine.list(&pattern, SOON).await.unwrap();
        assert_eq!(listed.iter().map(|container| &container.id).collect::<Vec<_>>(), [&still]);
    })
    .await;
}

#[tokio::test]
async fn resources_are_updated_while_it_runs() {
    with_engine("resources_are_updated_while_it_runs", |lab| async move {
        let mut body = lab.body(&["/bin/sleep", "600"]);
        body.host_config.resources =
            Resources { memory: Some(64 << 20), cpu_shares: Some(512), ..Resources::default() };
        let id = lab.create("a", &body).await;
        lab.engine.start(&id, SOON).await.unwrap();
        let update = Resources { cpu_shares: Some(1024), memory: Some(96 << 20), ..Resources::default() };
        let update = Resources { memory_swap: Some(192 << 20), ..update };
        lab.engine.update(&id, &update, SOON).await.unwrap();
        let raw: serde_json::Value = serde_json::from_slice(&lab.inspect(&id).await.raw).unwrap();
        assert_eq!(
            (&raw["HostConfig"]["CpuShares"], &raw["HostConfig"]["Memory"]),
            (&1024.into(), &(96 << 20).into())
        );
    })
    .await;
}

#[tokio::test]
async fn a_command_runs_in_a_container() {
    with_engine("a_command_runs_in_a_container", |lab| async move {
        let id = lab.run("a", &["/bin/sleep", "600"]).await;
        let mut request = ExecRequest::new(["/bin/sh", "-c", "echo out $WHO; echo err >&2; exit 7"]);
        request.env = vec!["WHO=me".to_owned()].into();
        let result = lab.engine.exec(&id, &request, SOON).await.unwrap();
        assert_eq!(
            (result.exit_code, &result.stdout[..], &result.stderr[..]),
            (7, &b"out me\n"[..], &b"err\n"[..])
        );
        let slow = ExecRequest::new(["/bin/sleep", "600"]);
        let late = lab.engine.exec(&id, &slow, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(late.kind(), ErrorKind::Timeout { .. }), "{late}");
        lab.engine.kill(&id, "KILL", SOON).await.unwrap();
        lab.engine.wait_not_running(&id, SOON).await.unwrap();
        let error = lab.engine.exec(&id, &request, SOON).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Conflict { .. }), "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_container_is_an_event() {
    with_engine("the_end_of_a_container_is_an_event", |lab| async move {
        let filter = EventFilter {
            kinds: vec!["container".into()],
            actions: vec!["die".into()],
            labels: vec![lab.label()],
            since_secs: None,
        };
        let mut events = lab.engine.events(&filter, SOON).await.unwrap();
        let id = lab.run("a", &["/bin/sh", "-c", "exit 5"]).await;
        let event = tokio::time::timeout(SOON, events.next_event()).await.unwrap().unwrap().unwrap();
        assert_eq!((event.id.as_str(), event.action.as_str()), (id.as_str(), "die"));
        assert_eq!(event.attributes["exitCode"], "5");
        assert!(event.time_ns > 0);
    })
    .await;
}
