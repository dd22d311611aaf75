//! Archives that want all of the disk, the memory or the time.

use std::io::Write;
use std::sync::atomic::AtomicBool;

use fetcher::extract::{Compression, ExtractError, ExtractLimits};

use crate::archives::{
    COMPRESSIONS, Item, Packed, Scene, chain, compress, extended, extract_file, padded, seal, tar, zip,
};

const FEW: ExtractLimits = ExtractLimits { max_bytes: 1 << 20, max_entries: 100 };

#[test]
fn bombs_of_bytes_stop_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    let mut bombs = vec![
        ("a.zip", zip(&[Packed::file("zeros", &zeros)])),
        ("zeros.gz", compress(Compression::Gzip, &zeros)),
        ("zeros.zst", compress(Compression::Zstd, &zeros)),
        // Many small ones together.
        (
            "a.tar",
            tar(&(0..90).map(|number| Item::file(format!("{number}"), &zeros[..20_000])).collect::<Vec<_>>()),
        ),
    ];
    for compression in COMPRESSIONS {
        bombs.push(("a.tar", compress(compression, &tar(&[Item::file("zeros", &zeros)]))));
    }
    for (name, bytes) in bombs {
        let scene = Scene::new();
        let error = scene.extract_within(name, &bytes, FEW).error();
        assert!(matches!(error, ExtractError::TooManyBytes { limit: 1_048_576 }), "{name}: {error:?}");
        assert!(chain(&error).contains("--fetcher_extract_max_size"));
        assert!(!scene.path("zeros").exists(), "no part is left");
    }
}

/// A header of a few bytes may promise a file of exabytes that is nothing but a hole.
#[test]
fn bombs_of_holes_stop_at_the_limit() {
    let headers: [(&str, &[u8]); 3] = [
        ("GNU.sparse.map", b"0,0"),
        ("GNU.sparse.size", b"9223372036854775807"),
        ("GNU.sparse.name", b"hole"),
    ];
    let scene = Scene::new();
    let error = scene.extract_within("a.tar", &tar(&[extended(&headers), Item::file("x", "")]), FEW).error();
    assert!(matches!(error, ExtractError::TooManyBytes { .. }), "{error:?}");
    assert!(scene.names().is_empty());
}

#[test]
fn bombs_of_entries_stop_at_the_limit() {
    let many: Vec<Item> = (0..200).map(|number| Item::file(format!("{number}"), "")).collect();
    let same: Vec<Item> = (0..200).map(|_| Item::file("same", "")).collect();
    let deep = Item::file(format!("{}file", "d/".repeat(150)), "");
    let packed: Vec<Packed> = (0..200).map(|number| Packed::file(format!("{number}"), "")).collect();
    for (what, name, bytes) in [
        ("many", "a.tgz", compress(Compression::Gzip, &tar(&many))),
        ("again and again", "a.tar", tar(&same)),
        ("directories that no entry names", "a.tar", tar(&[deep])),
        ("zip", "a.zip", zip(&packed)),
    ] {
        let scene = Scene::new();
        let error = scene.extract_within(name, &bytes, FEW).error();
        assert!(matches!(error, ExtractError::TooManyEntries { limit: 100 }), "{what}: {error:?}");
        assert!(chain(&error).contains("--fetcher_extract_max_entries"));
        assert!(scene.names().len() <= 100, "{what}");
    }
}

/// Names and extended headers are held in memory, and compress well.
#[test]
fn bombs_of_headers_are_damaged_archives() {
    for kind in [b'L', b'K', b'x'] {
        let long = Item { data: vec![b'a'; 8 << 20], ..Item::new(kind, "long") };
        let bytes = compress(Compression::Gzip, &tar(&[long, Item::file("x", "")]));
        let error = Scene::new().extract("a.tgz", &bytes).error();
        assert!(chain(&error).contains("the headers of one entry have more than 1048576 bytes"), "{error:?}");
    }
}

/// What is not written costs time, and is bounded too.
#[test]
fn bombs_of_what_is_not_written_stop() {
    let limits = ExtractLimits { max_bytes: 1 << 20, max_entries: 1 };
    let ignored = Item { data: vec![0; 16 << 20], ..Item::new(b'g', "global") };
    let after_the_end = [tar(&[]), vec![0; 16 << 20]].concat();
    for bytes in [tar(&[ignored]), after_the_end] {
        let error =
            Scene::new().extract_within("a.tgz", &compress(Compression::Gzip, &bytes), limits).error();
        assert!(matches!(error, ExtractError::TooManyBytes { .. }), "{error:?}");
    }
}

#[test]
fn decoders_that_ask_for_gigabytes_are_refused() {
    // A Zstandard frame with a window of 2 GiB.
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8][..], &[1, 0, 0]].concat();
    // An xz block with a dictionary of 4 GiB less one byte: its header is found, changed, and sealed again.
    let mut xz = compress(Compression::Xz, b"x");
    let filter = xz.windows(2).position(|pair| pair == [0x21, 1]).expect("the LZMA2 filter");
    xz[filter + 2] = 40;
    let end = 12 + (usize::from(xz[12]) + 1) * 4 - 4;
    let mut crc = flate2::Crc::new();
    crc.update(&xz[12..end]);
    xz[end..end + 4].copy_from_slice(&crc.sum().to_le_bytes());
    for (name, bytes) in [("a.tar.zst", zstd), ("a.tar.xz", xz)] {
        let error = Scene::new().extract(name, &bytes).error();
        let text = chain(&error).to_lowercase();
        assert!(text.contains("memory"), "{name}: {text}");
    }
}

/// Disk full: the message names the file and what was written of it, and no part of it stays.
#[test]
fn a_full_disk_is_named_and_leaves_no_part() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    let root = tempfile::tempdir().expect("a directory");
    if let Err(errno) = mount("tmpfs", root.path(), "tmpfs", MountFlags::empty(), Some(c"size=256k")) {
        println!("SKIPPED: extraction on a full disk: mounting a tmpfs: {errno}");
        return;
    }
    let sandbox = sandbox::Sandbox::create(&root.path().join("sandbox"), None).expect("made");
    let mut archive = tempfile::tempfile().expect("a file");
    archive
        .write_all(&tar(&[Item::file("small", "x"), Item::file("big", vec![1; 1 << 20])]))
        .expect("written");
    let cancel = AtomicBool::new(false);
    let result =
        extract_file(&archive, "a.tar", &sandbox, ExtractLimits::default(), &cancel, &mut Vec::new());
    let left: Vec<_> = std::fs::read_dir(sandbox.path())
        .expect("listed")
        .map(|entry| entry.expect("read").file_name())
        .collect();
    let path = sandbox.path().join("big");
    drop(sandbox);
    unmount(root.path(), UnmountFlags::DETACH).expect("unmounted");
    match result.expect_err("fails") {
        ExtractError::Write { path: at, bytes, source } => {
            assert_eq!((at, source.kind()), (path, std::io::ErrorKind::StorageFull));
            assert!(bytes > 0 && bytes < 1 << 18, "{bytes}");
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(left, ["small"]);
}

/// Headers that lie about sizes end in errors, not in endless reading or huge allocations.
#[test]
fn sizes_beyond_reason_are_errors() {
    let mut base256 = Item::file("big", "").header();
    base256[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    seal(&mut base256);
    let mut huge = base256;
    huge[124..136].fill(0xff);
    seal(&mut huge);
    for header in [base256, huge] {
        let scene = Scene::new();
        scene.extract("a.tar", &[header.to_vec(), padded(b"x"), vec![0; 1024]].concat()).error();
        assert!(scene.names().is_empty());
    }
    let sized = [extended(&[("size", b"18446744073709551615")]), Item::file("x", "")];
    Scene::new().extract("a.tar", &tar(&sized)).error();
}
