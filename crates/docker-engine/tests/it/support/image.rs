//! An image made on the spot from the host's static busybox.

use std::path::Path;

use super::raw::request;

/// The commands that the image has.
const APPLETS: [&str; 10] = ["sh", "true", "cat", "echo", "sleep", "env", "head", "seq", "stty", "touch"];

/// Packs the file system of an image. `marker` makes it another one.
pub(crate) fn layer(marker: &str) -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    let mut tar = tar::Builder::new(Vec::new());
    let mut file = |path: &str, content: &[u8], mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_cksum();
        tar.append_data(&mut header, path, content).unwrap();
    };
    file("bin/busybox", &busybox, 0o755);
    file("bin/not-executable", b"#!/bin/sh\n", 0o644);
    file("bin/no-format", b"this is no program\n", 0o755);
    file("bin/no-interpreter", b"#!/no/such/interpreter\n", 0o755);
    file("etc/passwd", b"root:x:0:0::/:/bin/sh\n", 0o644);
    file("etc/marker", marker.as_bytes(), 0o644);
    for applet in APPLETS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    tar.into_inner().unwrap()
}

/// Makes the image `repository:1`.
pub(crate) async fn import(socket: &Path, repository: &str) {
    let changes = [
        "ENV%20FROM_IMAGE=yes",
        "EXPOSE%208080/tcp",
        "VOLUME%20/data",
        "LABEL%20of=test",
        "WORKDIR%20/bin",
        "CMD%20true",
    ]
    .map(|change| format!("&changes={change}"))
    .concat();
    let path = format!("/images/create?fromSrc=-&repo={repository}&tag=1{changes}");
    let (status, answer) = request(socket, "POST", &path, &layer(repository)).await;
    assert!(status == 200 && !answer.contains("errorDetail"), "{answer}");
}

/// Removes an image by any of its names.
pub(crate) async fn remove(socket: &Path, name: &str) {
    let (status, answer) = request(socket, "DELETE", &format!("/images/{name}?force=1"), b"").await;
    assert!(status == 200 || status == 404, "{answer}");
}
