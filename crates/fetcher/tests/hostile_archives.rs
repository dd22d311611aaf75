//! Archives that want out of the sandbox, into the kernel, or all of the disk. Each is made here, byte by byte.

mod archives;

use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use archives::{
    COMPRESSIONS, Item, Packed, Scene, chain, compress, endings, extended, extract_file, padded, seal, tar,
    zip,
};
use fetcher::extract::{Compression, ExtractError, ExtractLimits, Refusal};
use rustix::fs::{CWD, FileType, Mode, mknodat};

const FEW: ExtractLimits = ExtractLimits { max_bytes: 1 << 20, max_entries: 100 };

/// The same single entry as tar and as zip, with the reason for which both must be refused.
fn both(item: &Item, zip_mode: u32, check: impl Fn(&Refusal) -> bool) {
    let content = if item.link.is_empty() { &item.data } else { &item.link };
    let good = Item::file("before", "kept");
    for (name, bytes) in [
        ("a.tar", tar(&[good.clone(), item.clone(), Item::file("after", "")])),
        ("a.zip", zip(&[Packed::file("before", "kept"), Packed::typed(&item.name, zip_mode, content)])),
    ] {
        let scene = Scene::new();
        let (entry, why) = scene.refusal(name, &bytes);
        assert!(check(&why), "{name}: {why:?}");
        assert!(entry.starts_with('"') && entry.ends_with('"'), "{entry}");
        assert_eq!(scene.names(), ["before"], "what came before it stays, as in Mesos");
        scene.assert_outside_unchanged();
    }
}

#[test]
fn entries_that_go_up_are_refused() {
    for name in ["../escaped", "a/../../escaped", "/../escaped", "..", "a/.."] {
        both(&Item::file(name, "x"), 0o100_644, |why| matches!(why, Refusal::Name(_)));
        both(&Item::directory(name), 0o040_755, |why| matches!(why, Refusal::Name(_)));
    }
}

#[test]
fn absolute_entries_are_put_below_the_sandbox() {
    let scene = Scene::new();
    let outside = scene.outside().join("secret").display().to_string();
    for (name, bytes) in
        [("a.tar", tar(&[Item::file(&outside, "x")])), ("a.zip", zip(&[Packed::file(&outside, "y")]))]
    {
        scene.extract(name, &bytes).ok();
        scene.assert_outside_unchanged();
    }
    assert_eq!(scene.read(outside.trim_start_matches('/')), b"y");
}

#[test]
fn symbolic_links_out_of_the_sandbox_are_refused() {
    for target in ["..", "../../outside/secret", "/etc/passwd", "/", "/mnt/mesos/sandbox/../x"] {
        both(&Item::symlink("link", target), 0o120_777, |why| matches!(why, Refusal::LinkOut { .. }));
    }
    both(&Item::symlink("link", "a/../../.."), 0o120_777, |why| matches!(why, Refusal::LinkTurns { .. }));
    both(&Item::symlink("link", [b'a'; 5000]), 0o120_777, |why| matches!(why, Refusal::LinkTarget));
    let scene = Scene::new();
    assert!(matches!(scene.refusal("a.tar", &tar(&[Item::symlink("link", "")])).1, Refusal::LinkTarget));
}

#[test]
fn nothing_is_written_through_a_symbolic_link_of_the_archive() {
    for below in [
        Item::file("link/file", "x"),
        Item::directory("link/directory"),
        Item::symlink("link/other", "file"),
        Item::hard_link("link/hard", "dir/file"),
    ] {
        let scene = Scene::new();
        let items = [
            Item::directory("dir"),
            Item::file("dir/file", "x"),
            Item::symlink("link", "dir"),
            below.clone(),
        ];
        let (entry, why) = scene.refusal("a.tar", &tar(&items));
        assert!(
            matches!(&why, Refusal::ThroughLink { directory } if *directory == scene.path("link")),
            "{why:?}"
        );
        assert_eq!(entry, format!("{:?}", String::from_utf8_lossy(&below.name)));
        assert_eq!(scene.names(), ["dir", "dir/file", "link"]);
    }
}

#[test]
fn nothing_is_written_through_a_link_that_was_planted_before() {
    for name in ["planted/file", "planted/deep/file", "planted/new/file"] {
        for (archive, bytes) in
            [("a.tar", tar(&[Item::file(name, "x")])), ("a.zip", zip(&[Packed::file(name, "x")]))]
        {
            let scene = Scene::new();
            symlink(scene.outside(), scene.path("planted")).expect("linked");
            assert!(matches!(scene.refusal(archive, &bytes).1, Refusal::ThroughLink { .. }));
            scene.assert_outside_unchanged();
        }
    }
}

/// What stands at an entry's own name is replaced, never followed, opened or waited for.
#[test]
fn what_was_planted_at_the_name_itself_is_replaced() {
    for planted in ["link", "dangling", "hard link", "FIFO", "file", "directory"] {
        for entry in [
            Item::file("name", "new"),
            Item::directory("name"),
            Item::symlink("name", "x"),
            Item::hard_link("name", "first"),
        ] {
            let scene = Scene::new();
            let at = scene.path("name");
            match planted {
                "link" => symlink(scene.outside().join("secret"), at).expect("linked"),
                "dangling" => symlink(scene.outside().join("new"), at).expect("linked"),
                "hard link" => {
                    std::fs::write(scene.path("other"), "other").expect("written");
                    std::fs::hard_link(scene.path("other"), at).expect("linked");
                }
                "FIFO" => mknodat(CWD, at, FileType::Fifo, Mode::RWXU, 0).expect("made"),
                "file" => std::fs::write(at, "old").expect("written"),
                _ => std::fs::create_dir(at).expect("made"),
            }
            scene.extract("a.tar", &tar(&[Item::file("first", "new"), entry.clone()])).ok();
            let expected = match entry.kind {
                b'5' => 0o040_000,
                b'2' => 0o120_000,
                _ => 0o100_000,
            };
            assert_eq!(scene.mode("name") & 0o170_000, expected, "{planted}, {entry:?}");
            if entry.kind < b'2' {
                assert_eq!(scene.read("name"), b"new");
            }
            if planted == "hard link" {
                assert_eq!(scene.read("other"), b"other", "the other name of the file keeps its content");
            }
            assert!(scene.names().iter().all(|name| !name.contains("tmp")), "{:?}", scene.names());
            scene.assert_outside_unchanged();
        }
    }
}

#[test]
fn a_full_directory_is_never_replaced() {
    for entry in [Item::file("name", "new"), Item::symlink("name", "x"), Item::hard_link("name", "first")] {
        let scene = Scene::new();
        std::fs::create_dir_all(scene.path("name/full")).expect("made");
        let (_, why) = scene.refusal("a.tar", &tar(&[Item::file("first", "new"), entry]));
        assert!(matches!(why, Refusal::FullDirectory), "{why:?}");
        assert_eq!(scene.names(), ["first", "name", "name/full"]);
    }
}

#[test]
fn hard_links_out_of_the_sandbox_are_refused() {
    let scene = Scene::new();
    let secret = scene.outside().join("secret").display().to_string();
    for target in ["../../../outside/secret", "a/../../x"] {
        let (_, why) = scene.refusal("a.tar", &tar(&[Item::hard_link("link", target)]));
        assert!(matches!(why, Refusal::HardLinkName { .. }), "{target}: {why:?}");
    }
    // An absolute target means a file below the sandbox, and there is none.
    for target in [secret.as_str(), "missing", "/etc/passwd"] {
        let (_, why) = scene.refusal("a.tar", &tar(&[Item::hard_link("link", target)]));
        assert!(matches!(why, Refusal::HardLinkTarget { .. }), "{target}: {why:?}");
    }
    assert!(scene.names().is_empty());
    scene.assert_outside_unchanged();
}

/// A second name of a symbolic link, in another directory, would lead elsewhere than the link that was judged.
#[test]
fn hard_links_to_symbolic_links_and_through_them_are_refused() {
    for target in ["deep/link", "deep/link/file", "directory"] {
        let scene = Scene::new();
        let items = [
            Item::directory("directory"),
            Item::file("directory/file", ""),
            Item::symlink("deep/link", "../directory"),
            Item::hard_link("moved", target),
        ];
        let (entry, why) = scene.refusal("a.tar", &tar(&items));
        assert!(matches!(why, Refusal::HardLinkTarget { .. }), "{target}: {why:?}");
        assert_eq!(entry, "\"moved\"");
    }
}

/// Somebody gave a file outside a name in the sandbox; the archive cannot spread it.
#[test]
fn hard_links_to_files_with_names_elsewhere_are_refused() {
    let scene = Scene::new();
    let ours = scene.sandbox.path().parent().expect("has one").join("1/hidden");
    std::fs::write(scene.path("hidden"), "x").expect("written");
    std::fs::hard_link(ours, scene.path("planted")).expect("linked");
    let (_, why) = scene.refusal("a.tar", &tar(&[Item::hard_link("link", "planted")]));
    assert!(matches!(why, Refusal::HardLinkShared { .. }), "{why:?}");
    assert_eq!(scene.names(), ["hidden", "planted"]);
}

#[test]
fn device_nodes_are_refused() {
    let device = |why: &Refusal| matches!(why, Refusal::Device);
    both(&Item::new(b'3', "null"), 0o020_666, device);
    both(&Item::new(b'4', "disk"), 0o060_666, device);
}

#[test]
fn fifos_and_sockets_are_refused() {
    both(&Item::new(b'6', "fifo"), 0o010_666, |why| matches!(why, Refusal::Fifo));
    let scene = Scene::new();
    let (_, why) = scene.refusal("a.zip", &zip(&[Packed::typed("socket", 0o140_666, "")]));
    assert!(matches!(why, Refusal::Socket));
}

#[test]
fn types_that_nobody_knows_are_refused() {
    let scene = Scene::new();
    for kind in [b'M', b'Z', b'9', 0xff] {
        assert!(matches!(scene.refusal("a.tar", &tar(&[Item::new(kind, "x")])).1, Refusal::Type(_)));
    }
    assert!(scene.names().is_empty());
}

#[test]
fn set_user_id_set_group_id_and_sticky_bits_are_dropped_with_a_note() {
    for (name, bytes) in [
        ("a.tar", tar(&[Item::file("run", "x").mode(0o7777), Item::directory("dir").mode(0o3777)])),
        ("a.zip", zip(&[Packed::typed("run", 0o107_777, "x"), Packed::typed("dir/", 0o043_777, "")])),
    ] {
        let scene = Scene::new();
        let outcome = scene.extract(name, &bytes);
        assert_eq!(outcome.notes, ["Dropped the set-user-id, set-group-id or sticky bit of \"run\""]);
        outcome.ok();
        assert_eq!((scene.mode("run"), scene.mode("dir")), (0o100_755, 0o040_755));
    }
}

#[test]
fn a_directory_that_is_named_again_loses_permissions_and_never_gains_any() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("mine")).expect("made");
    std::fs::set_permissions(scene.path("mine"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("set");
    let items = [
        Item::file("secret/key", "x"),
        Item::directory("secret").mode(0o700),
        Item::directory("mine").mode(0o777),
        Item::directory("none").mode(0),
    ];
    scene.extract("a.tar", &tar(&items)).ok();
    assert_eq!(
        (scene.mode("secret"), scene.mode("mine"), scene.mode("none")),
        (0o040_700, 0o040_700, 0o040_700)
    );
}

#[test]
fn the_sandboxs_own_log_files_are_left_alone() {
    for name in ["stdout", "./stderr", "/stdout", "stdout/below"] {
        for (archive, bytes) in
            [("a.tar", tar(&[Item::file(name, "forged")])), ("a.zip", zip(&[Packed::file(name, "forged")]))]
        {
            let scene = Scene::new();
            std::fs::write(scene.path("stdout"), "log").expect("written");
            let outcome = scene.extract(archive, &bytes);
            assert_eq!(outcome.notes.len(), 1, "{:?}", outcome.notes);
            outcome.ok();
            assert_eq!((scene.read("stdout"), scene.names().len()), (b"log".to_vec(), 1));
        }
    }
    let scene = Scene::new();
    std::fs::write(scene.path("stdout"), "log").expect("written");
    scene.extract("a.tar", &tar(&[Item::hard_link("copy", "stdout"), Item::file("sub/stdout", "")])).ok();
    assert_eq!(scene.names(), ["stdout", "sub", "sub/stdout"]);
}

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

#[test]
fn names_that_are_no_utf8_are_kept_as_bytes() {
    let scene = Scene::new();
    let name = archives::not_text();
    scene.extract("a.tar", &tar(&[Item::file(b"caf\xe9", "tar")])).ok();
    assert_eq!(std::fs::read(scene.path(name)).expect("there"), b"tar");
    scene.extract("a.zip", &zip(&[Packed::file(b"caf\xe9", "zip")])).ok();
    assert_eq!(std::fs::read(scene.path(name)).expect("there"), b"zip");
    assert_eq!(scene.names().len(), 1);
}

#[test]
fn names_that_no_file_system_takes_are_refused() {
    let scene = Scene::new();
    for (what, items) in [
        ("a long component", vec![Item::file("a".repeat(300), "")]),
        ("a long path", vec![Item::file("a/".repeat(1500) + "b", "")]),
        ("a NUL byte", vec![extended(&[("path", b"a\0b")]), Item::file("x", "")]),
        ("nothing", vec![Item::file("", "x")]),
        ("the sandbox", vec![Item::file("./", "").mode(0o755), Item::symlink("/", "x")]),
    ] {
        let (_, why) = scene.refusal("a.tar", &tar(&items));
        assert!(matches!(why, Refusal::Name(_) | Refusal::Empty), "{what}: {why:?}");
    }
    assert!(scene.names().is_empty());
}

#[test]
fn duplicate_entries_may_change_their_type() {
    let forms: [fn(&str) -> Item; 4] = [
        |name| Item::file(name, "file"),
        |name| Item::directory(name),
        |name| Item::symlink(name, "target"),
        |name| Item::hard_link(name, "target"),
    ];
    for first in forms {
        for last in forms {
            let scene = Scene::new();
            scene.extract("a.tar", &tar(&[Item::file("target", ""), first("name"), last("name")])).ok();
            let kind = match last("name").kind {
                b'5' => 0o040_000,
                b'2' => 0o120_000,
                _ => 0o100_000,
            };
            assert_eq!(scene.mode("name") & 0o170_000, kind);
            assert_eq!(scene.names(), ["name", "target"]);
        }
    }
    // A file in the way of a directory that no entry names.
    let scene = Scene::new();
    scene.extract("a.tar", &tar(&[Item::file("a", "file"), Item::file("a/b/c", "below")])).ok();
    assert_eq!(scene.read("a/b/c"), b"below");
}

/// Another process swaps a directory for a link out of the sandbox, again and again, while entries go into it.
#[test]
fn a_directory_that_is_swapped_for_a_link_meanwhile_leads_nowhere() {
    let scene = Scene::new();
    let items: Vec<Item> = (0..2000).map(|number| Item::file(format!("dir/{}", number % 50), "x")).collect();
    let bytes = tar(&items);
    let done = AtomicBool::new(false);
    let (dir, aside) = (scene.path("dir"), scene.path("aside"));
    let (mut refused, mut finished) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut swaps = 0_u32;
            while !done.load(Ordering::Relaxed) {
                let _ = std::fs::rename(&dir, &aside);
                let _ = symlink(scene.outside(), &dir);
                swaps += 1;
                let _ = std::fs::remove_file(&dir);
                let _ = std::fs::rename(&aside, &dir);
            }
            assert!(swaps > 0);
        });
        for _ in 0..40 {
            match scene.extract("a.tar", &bytes).result {
                Ok(_) => finished += 1,
                Err(
                    ExtractError::Refused { why: Refusal::ThroughLink { .. }, .. } | ExtractError::Put { .. },
                ) => {
                    refused += 1;
                }
                Err(error) => panic!("{}", chain(&error)),
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(refused > 0, "no swap was met: {finished} extractions finished");
    scene.assert_outside_unchanged();
}

#[test]
fn archives_that_are_cut_short_fail_wherever_the_cut_is() {
    let items = [Item::file("first", vec![1; 3000]), Item::file("last", vec![2; 3000])];
    let whole = tar(&items);
    let mut archives = vec![
        (
            "a.zip".to_owned(),
            zip(&[Packed::file("first", vec![1; 3000]), Packed::file("last", vec![2; 3000])]),
        ),
        ("last.gz".to_owned(), compress(Compression::Gzip, &[2; 3000])),
        ("last.zst".to_owned(), compress(Compression::Zstd, &[2; 3000])),
    ];
    for compression in COMPRESSIONS {
        archives.push((format!("a{}", endings(compression)[0]), compress(compression, &whole)));
    }
    for (name, bytes) in &archives {
        for length in (1..bytes.len()).filter(|length| length % 5 == 0 || bytes.len() - length < 20) {
            let scene = Scene::new();
            if scene.extract(name, &bytes[..length]).result.is_ok() {
                panic!("{name}: {length} of {} bytes are no failure", bytes.len());
            }
            for file in scene.names() {
                assert_eq!(scene.read(&file).len(), 3000, "{name} cut at {length}: {file}");
            }
        }
    }
    // Without compression, a cut between two entries cannot be told, and is noted.
    for length in (1..whole.len() - 1024).step_by(37) {
        let scene = Scene::new();
        let outcome = scene.extract("a.tar", &whole[..length]);
        assert!(outcome.result.is_err() || !outcome.notes.is_empty(), "cut at {length}");
        for file in scene.names() {
            assert_eq!(scene.read(&file).len(), 3000, "cut at {length}: {file}");
        }
    }
}

/// Peer: FetcherTest.UNZIP_ExtractInvalidFile.
#[test]
fn a_wrong_checksum_fails_and_leaves_no_file() {
    let bad = Packed { crc: Some(0xdead_beef), ..Packed::file("bad", "hello hello hello") };
    let short = Packed { size: Some(3), ..Packed::file("bad", "hello hello hello") };
    let long = Packed { size: Some(300), ..Packed::file("bad", "hello hello hello") };
    let stored = Packed { method: 0, ..bad.clone() };
    for packed in [bad, short, long, stored] {
        let scene = Scene::new();
        let error = scene.extract("a.zip", &zip(&[packed])).error();
        assert!(matches!(&error, ExtractError::Damaged { format: "zip", entry: Some(_), .. }), "{error:?}");
        assert!(scene.names().is_empty());
    }
    // The last bytes of each stream are, or belong to, its checksum. The archive inside ends before them.
    for (compression, from_end) in
        [(Compression::Gzip, 8), (Compression::Bzip2, 3), (Compression::Xz, 40), (Compression::Zstd, 1)]
    {
        let mut bytes = compress(compression, &tar(&[Item::file("a", "x")]));
        let at = bytes.len() - from_end;
        bytes[at] ^= 0x55;
        let error = Scene::new().extract("a.tar", &bytes).error();
        assert!(matches!(error, ExtractError::Damaged { .. }), "{compression:?}: {error:?}");
    }
    let mut header = Item::file("a", "").header();
    header[0] = b'b';
    let scene = Scene::new();
    scene.extract("a.tar", &[Item::file("first", "").bytes(), header.to_vec()].concat()).error();
    assert_eq!(scene.names(), ["first"]);
}

#[test]
fn garbage_is_named_as_such() {
    let garbage: Vec<u8> = (0..5000_u32).map(|at| (at * 7919 % 251) as u8).collect();
    for name in ["a.tar", "a.tgz", "a.tar.zst", "a.txz"] {
        let error = Scene::new().extract(name, &garbage).error();
        assert!(matches!(error, ExtractError::UnknownFormat { .. }), "{name}: {error:?}");
    }
    for (name, bytes) in [
        ("a.zip", garbage.clone()),
        ("a.gz", garbage.clone()),
        ("a.zst", garbage.clone()),
        ("a.tgz", compress(Compression::Gzip, &garbage)),
        ("a.tar", [&[0x1f, 0x8b], garbage.as_slice()].concat()),
        ("a.tar", [b"BZh9", garbage.as_slice()].concat()),
        ("a.tar", [b"\xfd7zXZ\0", garbage.as_slice()].concat()),
        ("a.tar", [b"\x28\xb5\x2f\xfd", garbage.as_slice()].concat()),
        ("a.zip", [b"PK\x03\x04", garbage.as_slice()].concat()),
    ] {
        let scene = Scene::new();
        let error = scene.extract(name, &bytes).error();
        assert!(matches!(error, ExtractError::Damaged { .. }), "{name}: {error:?}");
        assert!(scene.names().is_empty());
    }
}

#[test]
fn encrypted_entries_are_refused() {
    let scene = Scene::new();
    let packed = Packed { flags: 1, ..Packed::file("secret", "x") };
    let (entry, why) = scene.refusal("a.zip", &zip(&[packed]));
    assert_eq!((entry.as_str(), why.to_string().as_str()), ("\"secret\"", "it is encrypted"));
}

#[test]
fn methods_that_are_not_supported_are_named() {
    for method in [1, 6, 9, 14, 95, 98, 777] {
        let packed = Packed { method, ..Packed::file("odd", "x") };
        let error = Scene::new().extract("a.zip", &zip(&[packed])).error();
        assert!(chain(&error).contains("which is not supported"), "{method}: {}", chain(&error));
    }
}

#[test]
fn entries_that_share_bytes_of_the_archive_are_refused() {
    let scene = Scene::new();
    let shared = Packed { shared: true, ..Packed::file("second", "hello") };
    let (entry, why) = scene.refusal("a.zip", &zip(&[Packed::file("first", "hello"), shared]));
    assert_eq!(entry, "\"second\"");
    assert!(matches!(why, Refusal::Overlap));
}

#[test]
fn terminal_escapes_and_long_names_do_not_reach_a_message() {
    let name = format!("\u{1b}[2J{}\n", "x".repeat(240));
    let scene = Scene::new();
    let error = scene.extract("a.tar", &tar(&[Item::new(b'6', &name)])).error();
    let text = chain(&error);
    assert!(!text.contains(char::is_control) && text.len() < 400, "{text:?}");
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

#[test]
fn owners_are_not_taken_from_the_archive() {
    let scene = Scene::new();
    let mut header = Item::file("file", "").header();
    header[108..115].copy_from_slice(b"0023420");
    header[116..123].copy_from_slice(b"0023420");
    seal(&mut header);
    scene.extract("a.tar", &[header.to_vec(), vec![0; 1024]].concat()).ok();
    let (file, sandbox) =
        (scene.path("file").metadata().expect("there"), Path::new(scene.sandbox.path()).metadata());
    assert_eq!(file.uid(), sandbox.expect("there").uid());
}
