//! Tells the program when and by whom it was built, for `/version`.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    // With SOURCE_DATE_EPOCH, as reproducible builds set it, nothing of the builder gets into the program.
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=build.rs");
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|epoch| epoch.trim().parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let user = || std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok();
    let user = if epoch.is_some() { None } else { user() };
    let user = user.filter(|user| !user.is_empty() && !user.contains(char::is_control));
    println!("cargo:rustc-env=MESOS_AGENT_BUILD_TIME={}", epoch.unwrap_or_else(now));
    println!("cargo:rustc-env=MESOS_AGENT_BUILD_USER={}", user.as_deref().unwrap_or("unknown"));
}
