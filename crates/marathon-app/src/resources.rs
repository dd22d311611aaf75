//! `cpus`, `mem`, `disk`, `gpus` and `resourceLimits`.

use serde_json::Value;

use crate::error::{AppError, JsonPath, quote};
use crate::known_fields::RESOURCE_LIMITS;
use crate::notes::Notes;
use crate::reader::{Object, number};

/// The most cpus; more would overflow a CFS quota long before anyone has them.
const MAX_CPUS: f64 = 1_000_000.0;

/// The most megabytes of memory or disk: 2^43 MB are 2^63 bytes, and engines count bytes in 63 bits.
const MAX_MEGABYTES: f64 = 8_796_093_022_207.0;

/// The most GPUs; no machine has as many.
const MAX_GPUS: u32 = 1024;

/// What a task asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resources {
    /// Cores, 0 to a million.
    pub cpus: f64,
    /// Megabytes of memory.
    pub mem: f64,
    /// Megabytes of disk.
    pub disk: f64,
    /// Whole GPUs.
    pub gpus: u32,
}

/// What a task may use at most, where that differs from what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ResourceLimits {
    /// Cores.
    pub cpus: Option<Limit>,
    /// Megabytes of memory.
    pub mem: Option<Limit>,
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// No bound.
    Unlimited,
    /// At least what is asked for.
    At(f64),
}

/// Reads what the app asks for, with Marathon's defaults.
pub(crate) fn read_resources(app: &Object<'_>) -> Result<Resources, AppError> {
    Ok(Resources {
        cpus: app.number("cpus", MAX_CPUS)?.unwrap_or(1.0),
        mem: app.number("mem", MAX_MEGABYTES)?.unwrap_or(128.0),
        disk: app.number("disk", MAX_MEGABYTES)?.unwrap_or(0.0),
        gpus: app.integer("gpus", 0..=MAX_GPUS)?.unwrap_or(0),
    })
}

/// Reads `resourceLimits` (Marathon 1.10): numbers not below the request, or `"unlimited"`.
pub(crate) fn read_limits(
    app: &Object<'_>,
    request: Resources,
    notes: &mut Notes,
) -> Result<ResourceLimits, AppError> {
    let Some(limits) = app.object("resourceLimits", &RESOURCE_LIMITS, notes)? else {
        return Ok(ResourceLimits::default());
    };
    let read = |name: &'static str, request: f64, most: f64| {
        limits.value(name).map(|value| limit(value, &limits.at(name), request, most, name)).transpose()
    };
    Ok(ResourceLimits {
        cpus: read("cpus", request.cpus, MAX_CPUS)?,
        mem: read("mem", request.mem, MAX_MEGABYTES)?,
    })
}

fn limit(value: &Value, path: &JsonPath, request: f64, most: f64, name: &str) -> Result<Limit, AppError> {
    match value {
        Value::String(word) if word == "unlimited" => Ok(Limit::Unlimited),
        Value::String(word) => Err(path.not_allowed(quote(word), "a number or \"unlimited\"")),
        value => match number(value, path, most)? {
            limit if limit < request => {
                Err(path.invalid(format!("the limit {limit} is below the {request} that {name} asks for")))
            }
            limit => Ok(Limit::At(limit)),
        },
    }
}
