//! What else an operator's `config.json` says: headers and proxies.

use anyhow::Result;
use docker_containerizer::OperatorConfig;
use docker_engine::ExtraHeaders;
use integration::supervised::{Options, Supervised, Task};
use integration::{FaultProxy, require_engine};
use serde_json::json;

#[tokio::test]
async fn the_operators_headers_go_to_the_engine_with_every_request() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let proxy = FaultProxy::start(engine.socket()).await?;
    let config = json!({ "HttpHeaders": { "X-Meta": "v1", "User-Agent": "Docker-Client/18.09.2 (linux)" } });
    let headers: ExtraHeaders = OperatorConfig::inline(&config.to_string())?.headers()?;
    let agent = Supervised::with(&engine, Options { headers, ..Options::through(proxy.socket()) }).await?;
    agent.launch(&Task::shell("true"))?.finished().await?;
    let requests = proxy.requests();
    assert!(requests.len() > 5);
    for request in requests {
        assert_eq!(request.headers.get("x-meta"), Some("v1"), "{request:?}");
        assert!(request.headers.get("user-agent").is_some_and(|agent| agent.starts_with("mesos-docker/")));
    }
    agent.end().await
}

#[tokio::test]
async fn the_operators_proxies_are_in_the_environment_unless_the_task_sets_them() -> Result<()> {
    let engine = require_engine!(Ok(()));
    let config = json!({ "proxies": { "default": { "httpProxy": "http://p.test:1", "noProxy": "n.test" } } });
    let proxies = OperatorConfig::inline(&config.to_string())?.proxies(engine.socket())?;
    let agent = Supervised::with(&engine, Options { proxies, ..Options::default() }).await?;
    let task = Task::shell("env | grep -i _proxy= | sort").change(|info| {
        let environment = info.command.get_or_insert_default().environment.get_or_insert_default();
        environment.variables.push(mesos_proto::v1::environment::Variable {
            name: "no_proxy".into(),
            value: Some("own.test".into()),
            ..Default::default()
        });
    });
    let mut task = agent.launch(&task)?;
    task.finished().await?;
    let mut lines: Vec<_> = task.stdout()?.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["HTTP_PROXY=http://p.test:1", "NO_PROXY=n.test", "http_proxy=http://p.test:1", "no_proxy=own.test"]
    );
    agent.end().await
}
