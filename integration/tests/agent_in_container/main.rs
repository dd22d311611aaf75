//! Our `mesos-agent` in a container (`--docker_mesos_image`): tasks outlive it, and a wrong set-up is refused with the
//! option that is missing.

mod examples;
mod outlives;
mod rig;
mod set_up;
mod stock_executors;
mod tasks;
