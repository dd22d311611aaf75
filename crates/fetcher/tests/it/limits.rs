//! Bounds: a full disk, memory, limits of the process.

use std::process::Command;
use std::time::Duration;

use integration::web::Page;
use integration::{WebServer, eventually};

use crate::support::Fetch;

/// A small file system on the sandbox for as long as it lives.
struct Small(std::path::PathBuf);

impl Small {
    /// Mounts it, or says why not.
    fn mount(path: &std::path::Path) -> Option<Small> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(path).status();
        match mounted {
            Ok(status) if status.success() => Some(Small(path.to_owned())),
            _ => {
                eprintln!("skipped: no file system can be mounted here");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_with_the_path_and_the_sizes() {
    let web = WebServer::start().await.expect("a server");
    let url = web.serve("/big?X-Amz-Signature=SECRET", Page::new(vec![1; 5 << 20]));
    let fetch = Fetch::new();
    let sandbox = fetch.sandbox();
    let Some(small) = Small::mount(&sandbox) else { return };
    let done = fetch.uri(&url).fail().await;
    done.says(&format!("no space left for '{}/big?X-Amz-Signature=***': ", sandbox.display()))
        .says(&format!(" of {} bytes were written, ", 5 << 20))
        .says(" bytes are free");
    assert!(!done.stderr.contains("SECRET") && !done.events.contains("SECRET"), "{}", done.events);
    assert!(done.events.contains("no space left"), "{}", done.events);
    assert_eq!(web.asked().len(), 1, "a full disk is not tried again");
    drop(small);

    let fetch = Fetch::new();
    let local = fetch.file("local", vec![1; 5 << 20]);
    let Some(small) = Small::mount(&fetch.sandbox()) else { return };
    let done = fetch.uri(local.to_str().expect("text")).fail().await;
    done.says("no space left for '");
    // Its directory can be removed only when nothing is mounted below it.
    drop(small);
}

/// Memory does not grow with the file. What is measured is the most that the process ever had of its own.
#[tokio::test]
async fn memory_does_not_grow_with_the_file() {
    let web = WebServer::start().await.expect("a server");
    let size = 200 << 20;
    // The last byte is held back, so that the process can be looked at when it has done its work.
    let page = Page::new(vec![1; size]).replies([integration::web::Reply::Stall(size - 1)]);
    let url = web.serve("/big", page);
    let mut running = Fetch::new().uri(url).start();
    let pid = running.child.id().expect("it runs");
    let io = format!("/proc/{pid}/io");
    eventually("all bytes but one", Duration::from_secs(60), async || {
        let written = std::fs::read_to_string(&io)?;
        let written =
            written.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap_or("0").parse::<usize>()?;
        Ok((written >= size - 1).then_some(()))
    })
    .await
    .expect("written");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it still runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kilobytes < 32 << 10, "{kilobytes} kB resident, programs and libraries included");
    running.child.kill().await.expect("killed");
}

#[tokio::test]
async fn limits_of_the_request_are_set() {
    let limit = serde_json::json!([{ "type": "RLMT_FSIZE", "soft": 1000, "hard": 1000 }]);
    let fetch = Fetch::new().option("rlimits", limit);
    let file = fetch.file("file", vec![1; 2000]);
    let done = fetch.uri(file.to_str().expect("text")).run().await;
    assert!(!done.status.success());
    assert_eq!(done.names(), Vec::<String>::new());
}
