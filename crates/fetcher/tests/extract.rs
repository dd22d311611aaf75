//! Archives as people make them come out as they went in.

mod archives;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use archives::{
    COMPRESSIONS, Item, Packed, Scene, TIME, chain, compress, endings, extended, not_text, padded, seal, tar,
    zip,
};
use fetcher::extract::{Compression, ExtractError, ExtractLimits, Extracted};

const LONG: &str = "a-directory-with-a-name-that-is-rather-long/and-another-one-below-it-so-that-it-needs-more/than-a-\
                    header-has-room-for/file";

/// What all formats can hold.
fn items() -> Vec<Item> {
    vec![
        Item::directory("./"),
        Item::directory("dir/").mode(0o750),
        Item::file("dir/file", "hello world"),
        Item::file("dir/run", "#!/bin/sh\n").mode(0o775),
        Item::file("dir/empty", ""),
        Item::file("implied/by/name", vec![7; 100_000]),
        Item::symlink("dir/link", "../implied/by/name"),
        Item::symlink("here", "/mnt/mesos/sandbox/dir"),
        Item::file(LONG, "deep"),
        Item::file(b"caf\xe9", "not UTF-8"),
    ]
}

fn packed() -> Vec<Packed> {
    let typed = |item: &Item| match item.kind {
        b'5' => Packed::typed(&item.name, 0o040_000 | item.mode, ""),
        b'2' => Packed::typed(&item.name, 0o120_777, &item.link),
        _ => Packed::typed(&item.name, 0o100_000 | item.mode, &item.data),
    };
    items().iter().map(typed).collect()
}

fn assert_content(scene: &Scene, extracted: Extracted) {
    assert_eq!(scene.read("dir/file"), b"hello world");
    assert_eq!(scene.read("dir/empty"), b"");
    assert_eq!(scene.read("dir/link"), vec![7; 100_000]);
    assert_eq!(scene.read(LONG), b"deep");
    assert_eq!(std::fs::read(scene.path(not_text())).expect("a name of bytes"), b"not UTF-8");
    for (name, mode) in [
        ("dir", 0o040_750),
        ("dir/file", 0o100_644),
        ("dir/run", 0o100_755),
        ("implied", 0o040_755),
        ("implied/by/name", 0o100_644),
    ] {
        assert_eq!(scene.mode(name), mode, "{name}");
    }
    for name in ["dir", "dir/file", "dir/empty", "dir/link", LONG] {
        assert_eq!(scene.path(name).symlink_metadata().expect("there").mtime(), TIME, "{name}");
    }
    assert_eq!(std::fs::read_link(scene.path("here")).expect("a link"), Path::new("/mnt/mesos/sandbox/dir"));
    assert_eq!(
        extracted,
        Extracted { entries: 14, bytes: 11 + 10 + 100_000 + 4 + 9, registry_config: false }
    );
    assert_eq!(
        scene.sandbox.path().metadata().expect("there").mode() & 0o7777,
        0o750,
        "the sandbox's own mode"
    );
    scene.assert_outside_unchanged();
}

/// Peer: FetcherTest.ExtractTar.
#[test]
fn a_tar_archive_is_extracted() {
    let scene = Scene::new();
    let extracted = scene.extract("a.tar", &tar(&items()));
    assert!(extracted.notes.is_empty(), "{:?}", extracted.notes);
    assert_content(&scene, extracted.ok());
}

#[test]
fn compressed_tar_archives_are_extracted_under_all_their_names() {
    for compression in COMPRESSIONS {
        for ending in endings(compression) {
            let scene = Scene::new();
            let extracted = scene.extract(&format!("a{ending}"), &compress(compression, &tar(&items())));
            assert!(extracted.notes.is_empty(), "{ending}: {:?}", extracted.notes);
            assert_content(&scene, extracted.ok());
        }
    }
}

/// Peer: FetcherTest.UNZIP_ExtractFile.
#[test]
fn a_zip_archive_is_extracted() {
    let scene = Scene::new();
    assert_content(&scene, scene.extract("a.zip", &zip(&packed())).ok());
}

#[test]
fn zip_archives_of_every_form_are_extracted() {
    type Change = fn(&mut Packed);
    let changes: [(&str, Change); 6] = [
        ("stored", |item| item.method = 0),
        ("bzip2", |item| item.method = 12),
        ("zstd", |item| item.method = 93),
        ("data descriptors", |item| item.descriptor = true),
        ("zip64", |item| item.zip64 = true),
        ("UTF-8 flag", |item| item.flags |= 1 << 11),
    ];
    for (what, change) in changes {
        let scene = Scene::new();
        let mut items = packed();
        items.iter_mut().for_each(change);
        println!("{what}");
        assert_content(&scene, scene.extract("a.zip", &zip(&items)).ok());
    }
}

#[test]
fn a_zip_archive_may_follow_a_program_and_come_from_dos() {
    let scene = Scene::new();
    let dos = |name: &str, data: &str| Packed { mode: None, ..Packed::file(name, data) };
    let bytes = zip(&[dos("sub\\file", "x"), dos("dir/", ""), dos("dir/a\\b", "y")]);
    scene.extract("setup.zip", &[b"#!/bin/sh\nexit\n".as_slice(), &bytes].concat()).ok();
    assert_eq!(scene.names(), ["dir", "dir/a\\b", "sub", "sub/file"]);
    assert_eq!((scene.mode("sub/file"), scene.mode("dir")), (0o100_644, 0o040_755));
}

/// Peer: FetcherTest.ExtractNotExecutable.
#[test]
fn content_decides_the_format_and_absolute_names_are_put_below_the_sandbox() {
    let scene = Scene::new();
    let bytes = tar(&[Item::file("/tmp/plain/file", "hello")]);
    scene.extract("plain.tar.gz", &bytes).ok();
    assert_eq!(scene.read("tmp/plain/file"), b"hello");
    assert_eq!(scene.mode("tmp/plain/file") & 0o111, 0);
    for (name, bytes) in [
        ("a.zip", compress(Compression::Zstd, &tar(&[Item::file("zip", "")]))),
        ("a.tar.xz", zip(&[Packed::file("tar.xz", "")])),
        ("a.tbz2", compress(Compression::Gzip, &tar(&[Item::file("tbz2", "")]))),
    ] {
        scene.extract(name, &bytes).ok();
    }
    assert_eq!(scene.names(), ["tar.xz", "tbz2", "tmp", "tmp/plain", "tmp/plain/file", "zip"]);
}

/// Peer: FetcherTest.ExtractGzipFile.
/// Peer: FetcherTest.CustomGzipOutputFile.
#[test]
fn a_compressed_file_loses_its_ending() {
    let scene = Scene::new();
    scene.extract("custom.gz", &compress(Compression::Gzip, b"hello world")).ok();
    scene.extract("data.csv.zst", &compress(Compression::Zstd, b"a,b")).ok();
    assert_eq!(scene.read("custom"), b"hello world");
    assert_eq!(scene.read("data.csv"), b"a,b");
    assert_eq!((scene.mode("custom"), scene.names().len()), (0o100_644, 2));
    assert!(matches!(scene.extract(".gz", b"x").error(), ExtractError::NoName { .. }));
    assert!(matches!(
        scene.extract("a.gz", &compress(Compression::Zstd, b"x")).error(),
        ExtractError::Damaged { format: "gzip", .. }
    ));
    assert_eq!(scene.names().len(), 2, "nothing is left of what failed");
}

/// Peer: FetcherTest.UNZIP_ExtractFileWithDuplicatedEntries.
#[test]
fn the_last_of_several_entries_with_one_name_wins() {
    let scene = Scene::new();
    scene.extract("a.zip", &zip(&[Packed::file("A", "1"), Packed::file("A", "2")])).ok();
    assert_eq!(scene.read("A"), b"2");
    scene.extract("a.tar", &tar(&[Item::file("A", "3"), Item::file("./A", "4")])).ok();
    assert_eq!((scene.read("A"), scene.names().len()), (b"4".to_vec(), 1));
}

#[test]
fn several_members_streams_and_frames_are_one_file() {
    for compression in COMPRESSIONS {
        let bytes = tar(&items());
        let (first, second) = bytes.split_at(bytes.len() / 3);
        let mut joined = compress(compression, first);
        joined.extend(compress(compression, b""));
        if compression != Compression::Zstd {
            joined.extend([0; 8]);
        }
        joined.extend(compress(compression, second));
        let scene = Scene::new();
        println!("{compression:?}");
        assert_content(&scene, scene.extract("a.tar", &joined).ok());
    }
}

#[test]
fn what_follows_compressed_data_is_ignored_with_a_note() {
    for compression in [Compression::Gzip, Compression::Bzip2] {
        let scene = Scene::new();
        let bytes = [compress(compression, &tar(&items())), b"-- signature --".to_vec()].concat();
        let outcome = scene.extract("a.tgz", &bytes);
        assert_eq!(outcome.notes, ["Ignored what follows the end of the compressed data"]);
        assert_content(&scene, outcome.ok());
        // Zeros are padding.
        let bytes = [compress(compression, &tar(&items())), vec![0; 70_000]].concat();
        assert!(scene.extract("a.tgz", &bytes).notes.is_empty());
    }
}

#[test]
fn hard_links_share_a_file() {
    let scene = Scene::new();
    let items = [
        Item::file("a", "shared"),
        Item::hard_link("b", "a"),
        Item::hard_link("sub/c", "/b"),
        Item::hard_link("b", "a"),
        Item::hard_link("a", "./a"),
    ];
    scene.extract("a.tar", &tar(&items)).ok();
    let inode = |name| scene.path(name).metadata().expect("there").ino();
    assert_eq!((inode("a"), inode("a")), (inode("b"), inode("sub/c")));
    assert_eq!(scene.names(), ["a", "b", "sub", "sub/c"], "and no temporary name is left");
}

#[test]
fn extended_headers_give_names_links_and_times() {
    let scene = Scene::new();
    let name = format!("{LONG}-\u{e9}");
    let items = [
        Item::new(b'g', "global").mode(0o644),
        extended(&[("path", name.as_bytes()), ("mtime", b"-1.5")]),
        Item::file("short", "long"),
        extended(&[("linkpath", name.as_bytes())]),
        Item::hard_link("link", "short"),
        Item::file("after", "x"),
    ];
    scene.extract("a.tar", &tar(&items)).ok();
    assert_eq!((scene.read(&name), scene.read("link")), (b"long".to_vec(), b"long".to_vec()));
    let metadata = scene.path(&name).metadata().expect("there");
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (-2, 500_000_000));
    assert_eq!(scene.path("after").metadata().expect("there").mtime(), TIME);
}

#[test]
fn old_archives_have_directories_by_name_and_gnu_tar_names_volumes() {
    let scene = Scene::new();
    let mut old = Item::new(0, "old/").header();
    old[257..].fill(0);
    seal(&mut old);
    let items = [Item::new(b'V', "volume"), Item::new(b'D', "dumped/"), Item::file("file", "x")];
    scene.extract("a.tar", &[old.to_vec(), tar(&items)].concat()).ok();
    assert_eq!(scene.names(), ["dumped", "file", "old"]);
    assert!(scene.path("old").is_dir() && scene.path("dumped").is_dir());
}

#[test]
fn holes_stay_holes() {
    // The old form of GNU tar: one piece of a block at 1 MiB, in a file of 2 MiB.
    let mut header = Item::file("old", vec![b'x'; 512]);
    header.kind = b'S';
    let mut old = header.header();
    for (at, number) in [(386, 1 << 20), (398, 512), (410, 2 << 20), (422, 0), (483, 2 << 20)] {
        old[at..at + 12].copy_from_slice(format!("{number:011o}\0").as_bytes());
    }
    seal(&mut old);
    // The form of POSIX archives, with the map in the data.
    let headers: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"new"),
        ("GNU.sparse.realsize", b"2097152"),
    ];
    let data = [padded(b"1\n1048576\n512\n"), vec![b'x'; 512]].concat();
    let rest = tar(&[extended(&headers), Item::file("GNUSparseFile.0/new", data), Item::file("after", "x")]);
    let scene = Scene::new();
    let bytes = [old.to_vec(), vec![b'x'; 512], rest].concat();
    assert_eq!(scene.extract("a.tar", &bytes).ok().bytes, (4 << 20) + 1);
    assert_eq!(scene.names(), ["after", "new", "old"]);
    for name in ["old", "new"] {
        let content = scene.read(name);
        assert_eq!((content.len(), content[1 << 20], content[(1 << 20) + 511]), (2 << 20, b'x', b'x'));
        assert_eq!(content.iter().filter(|byte| **byte != 0).count(), 512, "{name}");
        let blocks = scene.path(name).metadata().expect("there").blocks();
        assert!(blocks < 1024, "{name} takes {blocks} blocks");
    }
}

#[test]
fn an_empty_archive_is_no_failure() {
    for (name, bytes) in
        [("a.tar", tar(&[])), ("a.zip", zip(&[])), ("a.tgz", compress(Compression::Gzip, &tar(&[])))]
    {
        let outcome = Scene::new().extract(name, &bytes);
        assert!(outcome.notes.is_empty(), "{name}");
        assert_eq!(outcome.ok(), Extracted::default());
    }
    let outcome = Scene::new().extract("a.tar.gz", b"");
    assert_eq!(outcome.notes, ["The archive is an empty file"]);
    outcome.ok();
}

#[test]
fn an_archive_without_an_end_mark_is_extracted_with_a_note() {
    let scene = Scene::new();
    let outcome = scene.extract("a.tar", &Item::file("a", "x").bytes());
    assert_eq!(outcome.notes, ["The archive has no end mark, it may have been cut short"]);
    outcome.ok();
    assert_eq!(scene.read("a"), b"x");
}

/// What the system's own programs write, where they are installed.
#[test]
fn archives_of_the_systems_programs_are_extracted() {
    let from = Scene::new();
    from.extract("a.tar", &tar(&items())).ok();
    std::fs::hard_link(from.path("dir/file"), from.path("dir/other")).expect("linked");
    let sparse = std::fs::File::create(from.path("holes")).expect("made");
    sparse.set_len(4 << 20).expect("set");
    for (program, arguments, name) in [
        ("tar", "--format=gnu -S", "a.tar"),
        ("tar", "--format=posix -S", "a.tar"),
        ("tar", "--format=posix -S --sparse-version=0.1", "a.tar"),
        ("tar", "--format=posix -S --sparse-version=0.0", "a.tar"),
        ("tar", "--format=ustar", "a.tar"),
        ("tar", "-z", "a.tgz"),
        ("tar", "-j", "a.tbz2"),
        ("tar", "-J", "a.txz"),
        ("tar", "--zstd", "a.tar.zst"),
        ("zip", "-q -r --symlinks", "a.zip"),
    ] {
        let out = tempfile::tempdir().expect("a directory");
        let at = out.path().join(name);
        let mut command = Command::new(program);
        command.current_dir(from.sandbox.path()).args(arguments.split(' '));
        match program {
            "tar" => command.arg("-cf").arg(&at).arg("."),
            _ => command.arg(&at).arg("."),
        };
        match command.output() {
            Ok(output) if output.status.success() => {}
            other => {
                println!("SKIPPED: archives of '{program} {arguments}': {other:?}");
                continue;
            }
        }
        let scene = Scene::new();
        let outcome = scene.extract(name, &std::fs::read(&at).expect("read"));
        outcome.result.unwrap_or_else(|error| panic!("{program} {arguments}: {}", chain(&error)));
        assert_eq!(scene.names(), from.names(), "{program} {arguments}");
        for file in ["dir/file", "dir/run", "dir/other", "implied/by/name", LONG, "holes"] {
            assert_eq!(scene.read(file), from.read(file), "{program} {arguments}: {file}");
            assert_eq!(scene.mode(file), from.mode(file), "{program} {arguments}: {file}");
        }
    }
}

#[test]
fn a_cancellation_ends_it_and_leaves_no_part() {
    for (name, bytes) in [
        ("a.tar", tar(&[Item::file("big", vec![1; 1 << 20])])),
        ("a.zip", zip(&[Packed::file("big", vec![1; 1 << 20])])),
        ("big.gz", compress(Compression::Gzip, &vec![1; 1 << 20])),
    ] {
        let scene = Scene::new();
        let error =
            scene.extract_until(name, &bytes, ExtractLimits::default(), &AtomicBool::new(true)).error();
        assert!(matches!(error, ExtractError::Cancelled), "{name}: {error:?}");
        assert!(scene.names().is_empty());
    }
}
