//! Resources in Mesos' fixed point: what a task requests, and the limits it may burst to.
//!
//! Mesos computes scalars in thousandths (`src/common/values.cpp`), so `0.1 + 0.2` is `0.3`. Memory counts whole
//! megabytes (`Megabytes` in `src/docker/docker.cpp` truncates).

use mesos_proto::v1;

use crate::fields::FieldError;
use crate::persistent_volume::{PersistentVolume, persistent_volumes};
use crate::ports::PortRanges;

/// The largest scalar that is taken for a resource: a million million, in its unit.
const LARGEST: f64 = 1e12;

/// CPUs in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millicpus(pub u64);

impl Millicpus {
    /// CPUs as a real number.
    #[expect(clippy::cast_precision_loss, reason = "at most 1e15 thousandths, which a double holds exactly")]
    pub fn as_cpus(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// Memory or disk in units of 2^20 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Megabytes(pub u64);

impl Megabytes {
    /// The amount in bytes.
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(1 << 20)
    }
}

/// A limit: an amount, or explicitly none (`Infinity` in `TaskInfo.limits`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// At most this much.
    Finite(T),
    /// As much as the host has.
    Infinite,
}

/// What a task requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskResources {
    /// CPUs, if any are requested.
    pub cpus: Option<Millicpus>,
    /// Memory, if any is requested.
    pub mem: Option<Megabytes>,
    /// Disk, if any is requested, with the persistent volumes.
    pub disk: Option<Megabytes>,
    /// GPUs, if any are requested: whole ones.
    pub gpus: Option<u32>,
    /// Host ports.
    pub ports: PortRanges,
    /// Persistent volumes.
    pub volumes: Vec<PersistentVolume>,
    /// The role that the first resource is allocated to, as `MESOS_ALLOCATION_ROLE` tells the task.
    pub allocation_role: Option<String>,
}

/// The limits a task may burst to (`TaskInfo.limits`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskLimits {
    /// The CPU limit.
    pub cpus: Option<Limit<Millicpus>>,
    /// The memory limit.
    pub mem: Option<Limit<Megabytes>>,
}

/// Reads a scalar into thousandths, rounded as Mesos rounds.
fn thousandths(field: &str, value: f64) -> Result<u64, FieldError> {
    if !value.is_finite() || value < 0.0 {
        return Err(FieldError::new(field, format!("a resource must be zero or more, not {value}")));
    }
    if value > LARGEST {
        return Err(FieldError::new(field, format!("{value:e} is more than any machine has")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is between 0 and 1e15, checked above"
    )]
    Ok((value * 1000.0).round() as u64)
}

/// GPUs from thousandths; Mesos books whole ones only (`src/common/resources_utils.cpp`).
fn whole_gpus(thousandths: u64) -> Result<u32, FieldError> {
    const FIELD: &str = "resources[gpus].scalar.value";
    if !thousandths.is_multiple_of(1000) {
        return Err(FieldError::new(FIELD, "The 'gpus' resource must be an unsigned integer")
            .hint("ask for whole GPUs"));
    }
    u32::try_from(thousandths / 1000).map_err(|_| FieldError::new(FIELD, "more GPUs than any machine has"))
}

impl TaskResources {
    /// Sums the resources of a task, by name.
    ///
    /// # Errors
    ///
    /// A resource with a value of the wrong type, a negative or absurd amount, a part of a GPU, and a persistent volume
    /// that cannot be mounted.
    pub fn from_proto(resources: &[v1::Resource]) -> Result<Self, FieldError> {
        let mut sums: [(&str, Option<u64>); 4] =
            [("cpus", None), ("mem", None), ("disk", None), ("gpus", None)];
        let mut ranges = Vec::new();
        for (at, resource) in resources.iter().enumerate() {
            let field = format!("resources[{at}]");
            if resource.name == "ports" {
                let Some(ports) = &resource.ranges else {
                    return Err(FieldError::new(field, "the resource ports needs ranges"));
                };
                ranges.extend(ports.range.iter().map(|r| (r.begin, r.end)));
            } else if let Some((_, sum)) = sums.iter_mut().find(|(name, _)| *name == resource.name) {
                let Some(scalar) = &resource.scalar else {
                    return Err(FieldError::new(
                        field,
                        format!("the resource {} needs a scalar", resource.name),
                    ));
                };
                let more = thousandths(&format!("{field}.scalar.value"), scalar.value)?;
                *sum = Some(sum.unwrap_or(0).saturating_add(more));
            }
        }
        let [(_, cpus), (_, mem), (_, disk), (_, gpus)] = sums;
        Ok(Self {
            cpus: cpus.map(Millicpus),
            mem: mem.map(|m| Megabytes(m / 1000)),
            disk: disk.map(|d| Megabytes(d / 1000)),
            gpus: gpus.map(whole_gpus).transpose()?.filter(|&gpus| gpus > 0),
            ports: PortRanges::new(ranges)
                .map_err(|reason| FieldError::new("resources[ports].ranges", reason))?,
            volumes: persistent_volumes(resources)?,
            allocation_role: resources.first().and_then(|r| r.allocation_info.as_ref()?.role.clone()),
        })
    }
}

impl TaskLimits {
    /// Reads `TaskInfo.limits`; only `cpus` and `mem` may be limited (`src/master/validation.cpp`).
    ///
    /// # Errors
    ///
    /// Another resource's name, an amount that is none, or a limit below the request.
    pub fn from_proto<'a>(
        limits: impl IntoIterator<Item = (&'a String, &'a v1::value::Scalar)>,
        requests: &TaskResources,
    ) -> Result<Self, FieldError> {
        let mut read = Self::default();
        for (name, scalar) in limits {
            let field = format!("limits[{name}]");
            let amount =
                if scalar.value == f64::INFINITY { None } else { Some(thousandths(&field, scalar.value)?) };
            let below =
                || FieldError::new(&field, format!("the limit {} is below the request", scalar.value));
            match name.as_str() {
                "cpus" => {
                    let limit = amount.map(Millicpus);
                    if limit.is_some_and(|l| requests.cpus.is_some_and(|r| l < r)) {
                        return Err(below());
                    }
                    read.cpus = Some(limit.map_or(Limit::Infinite, Limit::Finite));
                }
                "mem" => {
                    let limit = amount.map(|m| Megabytes(m / 1000));
                    if limit.is_some_and(|l| requests.mem.is_some_and(|r| l < r)) {
                        return Err(below());
                    }
                    read.mem = Some(limit.map_or(Limit::Infinite, Limit::Finite));
                }
                _ => {
                    return Err(
                        FieldError::new(field, "only cpus and mem can have limits").hint("remove the limit")
                    );
                }
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(name: &str, value: f64) -> v1::Resource {
        v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        }
    }

    #[test]
    fn scalars_add_in_thousandths() {
        let sum = TaskResources::from_proto(&[scalar("cpus", 0.1), scalar("cpus", 0.2), scalar("mem", 32.9)])
            .unwrap();
        assert_eq!(sum.cpus, Some(Millicpus(300)));
        assert_eq!(sum.mem, Some(Megabytes(32)));
        assert_eq!(sum.disk, None);
    }

    #[rstest::rstest]
    #[case(-1.0)]
    #[case(1e308)]
    #[case(f64::NAN)]
    #[case(f64::INFINITY)]
    fn an_amount_that_is_none_is_refused(#[case] value: f64) {
        let error = TaskResources::from_proto(&[scalar("mem", value)]).unwrap_err();
        assert_eq!(error.field(), "resources[0].scalar.value");
    }

    #[rstest::rstest]
    #[case(&[2.0], Some(Some(2)))]
    #[case(&[0.5, 0.5], Some(Some(1)))]
    #[case(&[0.0], Some(None))]
    #[case(&[], Some(None))]
    #[case(&[0.5], None)]
    #[case(&[1e11], None)]
    fn gpus_are_whole(#[case] amounts: &[f64], #[case] expected: Option<Option<u32>>) {
        let list: Vec<_> = amounts.iter().map(|&amount| scalar("gpus", amount)).collect();
        assert_eq!(TaskResources::from_proto(&list).ok().map(|resources| resources.gpus), expected);
    }

    #[test]
    fn infinity_is_a_limit() {
        let requests = TaskResources::from_proto(&[scalar("cpus", 1.0), scalar("mem", 64.0)]).unwrap();
        let cpus = ("cpus".to_owned(), v1::value::Scalar { value: f64::INFINITY });
        let mem = ("mem".to_owned(), v1::value::Scalar { value: 128.0 });
        let limits = TaskLimits::from_proto([(&cpus.0, &cpus.1), (&mem.0, &mem.1)], &requests).unwrap();
        assert_eq!(limits.cpus, Some(Limit::Infinite));
        assert_eq!(limits.mem, Some(Limit::Finite(Megabytes(128))));
    }

    #[test]
    fn a_limit_below_the_request_is_refused() {
        let requests = TaskResources::from_proto(&[scalar("mem", 64.0)]).unwrap();
        let mem = ("mem".to_owned(), v1::value::Scalar { value: 63.0 });
        assert!(TaskLimits::from_proto([(&mem.0, &mem.1)], &requests).is_err());
    }
}
