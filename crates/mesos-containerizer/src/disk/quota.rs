//! Which directories of a task may take how much of the disk (`DiskUsageCollector`, `PosixDiskIsolatorProcess::update`).

use std::path::{Path, PathBuf};

use mesos_types::resource::VolumeDirectory;
use mesos_types::{Megabytes, TaskResources};

/// What a directory may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) directory: PathBuf,
    /// In bytes; `None` is only reported.
    pub(crate) bytes: Option<u64>,
}

/// The directories that are looked at: the sandbox, first, with the disk that no volume has, and each persistent volume. One
/// that is a file system of its own is as large as that.
pub(crate) fn quotas(sandbox: &Path, work_dir: &Path, requests: &TaskResources) -> Vec<Quota> {
    let volumes: u64 = requests.volumes.iter().map(|volume| volume.size.0).sum();
    let own = requests.disk.map(|disk| Megabytes(disk.0.saturating_sub(volumes)).bytes());
    let mut quotas = vec![Quota { directory: sandbox.to_owned(), bytes: own.filter(|bytes| *bytes > 0) }];
    for volume in &requests.volumes {
        if let directory @ VolumeDirectory::Below { .. } = volume.volume.directory(work_dir) {
            quotas.push(Quota { directory: directory.path(), bytes: Some(volume.size.bytes()) });
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use mesos_proto::v1;

    use super::*;

    fn disk(megabytes: f64, volume: Option<&str>) -> v1::Resource {
        let persistent = volume.map(|id| v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence { id: id.into(), principal: None }),
            volume: Some(v1::Volume {
                container_path: id.into(),
                mode: v1::volume::Mode::Rw.into(),
                ..Default::default()
            }),
            source: None,
        });
        v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: megabytes }),
            role: Some("r".into()),
            disk: persistent,
            ..Default::default()
        }
    }

    fn of(resources: &[v1::Resource]) -> Vec<(String, Option<u64>)> {
        let requests = TaskResources::from_proto(resources).unwrap();
        let quotas = quotas(Path::new("/w/sandbox"), Path::new("/w"), &requests);
        let shown = |quota: Quota| {
            (quota.directory.to_string_lossy().into_owned(), quota.bytes.map(|bytes| bytes >> 20))
        };
        quotas.into_iter().map(shown).collect()
    }

    #[test]
    fn the_sandbox_may_take_what_no_volume_has() {
        let found = of(&[disk(10.0, None), disk(64.0, Some("data"))]);
        assert_eq!(
            found,
            [("/w/sandbox".to_owned(), Some(10)), ("/w/volumes/roles/r/data".to_owned(), Some(64))]
        );
    }

    #[test]
    fn a_task_that_asked_for_no_disk_has_no_quota() {
        assert_eq!(of(&[]), [("/w/sandbox".to_owned(), None)]);
        assert_eq!(of(&[disk(64.0, Some("data"))])[0], ("/w/sandbox".to_owned(), None));
    }
}
