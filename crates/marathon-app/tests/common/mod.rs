//! A build context without surprises.

use marathon_app::{App, AppError, BuildContext, PortPool, build_tasks};
use mesos_proto::v1::TaskInfo;

/// Builds all instances of `app` with fixed ids, time and ports.
pub(crate) fn build(app: &App) -> Result<Vec<TaskInfo>, AppError> {
    let mut count = 0;
    let mut task_ids = |id: &marathon_app::AppId| {
        count += 1;
        id.task_id(&format!("00000000-0000-0000-0000-{count:012}"))
    };
    build_tasks(
        app,
        app.instances,
        &mut BuildContext {
            host: "host.example.com".to_owned(),
            agent_id: "local".to_owned(),
            version: "2015-02-03T12:30:00.000Z".to_owned(),
            task_ids: &mut task_ids,
            host_ports: &mut PortPool::new([PortPool::DEFAULT_HOST_PORTS]),
            service_ports: &mut PortPool::new([PortPool::DEFAULT_SERVICE_PORTS]),
        },
    )
}
