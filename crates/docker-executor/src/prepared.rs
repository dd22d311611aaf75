//! What a task looks like once the agent has done its part. Pure.
//!
//! The agent has fetched the URIs and pulled the image, which `task_supervisor::Given` says. It has also mounted the
//! task's persistent volumes below the sandbox (`mountPersistentVolumes` in `src/slave/containerizer/docker.cpp`), where
//! the container sees them, since the engine mounts the sandbox with all that is mounted in it.

use mesos_proto::v1;

/// Takes out what the agent has done. Answers the paths of persistent volumes that stock's agent does not mount.
pub fn without_volumes(task: &mut v1::TaskInfo) -> Vec<String> {
    let mut not_mounted = Vec::new();
    for disk in task.resources.iter_mut().filter_map(|resource| resource.disk.as_mut()) {
        if disk.persistence.take().is_none() {
            continue;
        }
        let path = disk.volume.take().map(|volume| volume.container_path).unwrap_or_default();
        if path.contains('/') {
            not_mounted.push(path);
        }
    }
    not_mounted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(container_path: &str) -> v1::Resource {
        v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 64.0 }),
            disk: Some(v1::resource::DiskInfo {
                persistence: Some(v1::resource::disk_info::Persistence {
                    id: "data".into(),
                    ..Default::default()
                }),
                volume: Some(v1::Volume { container_path: container_path.into(), ..Default::default() }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn persistent_volumes_are_the_agents_and_those_it_leaves_out_are_named() {
        let mut task = v1::TaskInfo { resources: vec![disk("data"), disk("a/b")], ..Default::default() };
        assert_eq!(without_volumes(&mut task), ["a/b"]);
        for resource in &task.resources {
            let disk = resource.disk.as_ref().unwrap();
            assert!(disk.persistence.is_none() && disk.volume.is_none() && resource.scalar.is_some());
        }
        assert_eq!(without_volumes(&mut task), Vec::<String>::new());
    }
}
