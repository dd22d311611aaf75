//! What a build needs and cannot know by itself: everything that is not pure comes in here.

use crate::build::port_source::PortSource;
use crate::id::AppId;

/// The surroundings of a build.
pub struct BuildContext<'a> {
    /// Name of this host, for the variable `HOST`.
    pub host: String,
    /// Id of the agent that the tasks are for.
    pub agent_id: String,
    /// Version of the app for `MARATHON_APP_VERSION`: a time such as `2015-02-03T12:30:00.000Z`.
    pub version: String,
    /// Makes the id of the next task; [`AppId::task_id`] gives it Marathon's form.
    pub task_ids: &'a mut dyn FnMut(&AppId) -> String,
    /// Host ports, from the ports resource (31000-32000 unless the agent says otherwise).
    pub host_ports: &'a mut dyn PortSource,
    /// Service ports (10000-20000 in Marathon).
    pub service_ports: &'a mut dyn PortSource,
}
