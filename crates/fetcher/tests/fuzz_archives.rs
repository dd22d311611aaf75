//! Any archive is answered: extracted within its limits and inside the sandbox, or refused in a few short lines.
//! Nothing panics, hangs or fills the memory, and nothing outside of the sandbox changes.
//!
//! `PROPTEST_CASES` sets how many cases each property has; `scripts/fuzz` runs them for as long as you like.

mod archives;

use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, Instant};

use archives::damage::{Damage, damage, damaged};
use archives::{Item, Packed, Scene, chain, compress, extended, seal, tar, zip};
use fetcher::extract::{Compression, ExtractLimits};
use proptest::prelude::*;
use proptest::sample::select;

const LIMITS: ExtractLimits = ExtractLimits { max_bytes: 256 << 10, max_entries: 64 };

/// How long one archive may take. Far more than it needs on a loaded machine.
const LONGEST: Duration = Duration::from_secs(20);

/// The longest line that a person is shown, in bytes.
const LONGEST_ERROR: usize = 4096;

/// Names that lead somewhere: out, through links, onto each other.
const NAMES: [&str; 22] = [
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "b",
    "b/a",
    "link",
    "link/x",
    "link/a/b",
    "planted",
    "planted/x",
    "planted/deep/x",
    "../x",
    "a/../../x",
    "/a",
    "/etc/passwd",
    "./",
    "",
    "..",
    "stdout",
    "real/name",
    "real",
];

/// Targets of links.
const TARGETS: [&str; 14] = [
    "a",
    "b",
    "..",
    "../..",
    "../a",
    ".",
    "/",
    "/etc/passwd",
    "a/b",
    "a/..",
    "../b/../..",
    "link",
    "planted",
    "real/name",
];

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => select(&NAMES[..]).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (90_usize..300).prop_map(|length| [&vec![b'd'; length / 2][..], b"/", &vec![b'f'; length / 2]].concat()),
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..700),
        1 => (0_usize..300_000).prop_map(|size| vec![0; size]),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    let target = select(&TARGETS[..]);
    let plain = (name(), content(), target, 0_u32..0o10_000, select(&b"0000555222111\x00347SLKVDgxZ"[..]));
    let plain = plain.prop_map(|(name, data, target, mode, kind)| {
        let link = if matches!(kind, b'1' | b'2') { target.as_bytes().to_vec() } else { Vec::new() };
        let data = if kind == b'0' || kind >= b'A' { data } else { Vec::new() };
        Item { name, kind, mode, link, data }
    });
    let keys = select(vec![
        "path",
        "linkpath",
        "size",
        "mtime",
        "GNU.sparse.map",
        "GNU.sparse.size",
        "GNU.sparse.major",
        "GNU.sparse.minor",
        "GNU.sparse.name",
        "GNU.sparse.offset",
        "GNU.sparse.numbytes",
    ]);
    let values = prop_oneof![
        select(vec![
            "0",
            "1",
            "-1.5",
            "512",
            "99999999999999999999",
            "0,1,600,20",
            "../x",
            "link",
            "a/b",
            ""
        ])
        .prop_map(|value| value.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    let header = prop::collection::vec((keys, values), 1..5).prop_map(|pairs| {
        extended(&pairs.iter().map(|(key, value)| (*key, value.as_slice())).collect::<Vec<_>>())
    });
    prop_oneof![6 => plain, 1 => header]
}

fn packed() -> impl Strategy<Value = Packed> {
    let modes = select(vec![0o100_644, 0o104_755, 0o120_777, 0o040_755, 0o010_644, 0o020_644, 0o644]);
    let data = prop_oneof![content(), select(&TARGETS[..]).prop_map(|target| target.as_bytes().to_vec())];
    let form = (select(vec![0, 8, 12, 93, 14]), any::<bool>(), any::<bool>(), prop::option::of(modes));
    (name(), data, form, 0_u8..30).prop_map(|(name, data, (method, descriptor, zip64, mode), rare)| {
        let odd = Packed { method, descriptor, zip64, mode, ..Packed::file(name, data) };
        match rare {
            0 => Packed { flags: 1, ..odd },
            1 => Packed { crc: Some(1), ..odd },
            2 => Packed { shared: true, ..odd },
            _ => odd,
        }
    })
}

/// Makes every header of a damaged archive valid again, so that the damage is met further on.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(512) {
        if let Ok(header) = <&mut [u8; 512]>::try_from(block)
            && header[257..262] == *b"ustar"
        {
            seal(header);
        }
    }
    bytes
}

/// Extracts, and checks all that must hold whatever the archive says.
fn answer(file_name: &str, bytes: &[u8]) {
    let scene = Scene::new();
    symlink(scene.outside(), scene.path("planted")).expect("linked");
    std::fs::write(scene.path("stdout"), "log").expect("written");
    let started = Instant::now();
    let outcome = scene.extract_within(file_name, bytes, LIMITS);
    assert!(started.elapsed() < LONGEST, "it took {:?}", started.elapsed());

    scene.assert_outside_unchanged();
    assert_eq!(scene.read("stdout"), b"log");
    let base = scene.sandbox.path();
    let names = scene.walk();
    let mut total = 0;
    for path in &names {
        let metadata = path.symlink_metadata().expect("there");
        let kind = metadata.file_type();
        assert!(kind.is_file() || kind.is_dir() || kind.is_symlink(), "{path:?} is {kind:?}");
        if kind.is_file() {
            total += metadata.len();
            let stdout = u64::from(path.ends_with("stdout"));
            assert!(metadata.nlink() <= LIMITS.max_entries + stdout);
        }
        if !kind.is_symlink() && path != base {
            assert_eq!(metadata.mode() & 0o7022, 0, "{path:?} is {:o}", metadata.mode());
        } else if let Ok(real) = path.canonicalize()
            && *path != scene.path("planted")
        {
            let through_planted = std::fs::read_link(path).is_ok_and(|target| target.ends_with("planted"));
            assert!(real.starts_with(base) || through_planted, "{path:?} leads to {real:?}");
        }
        assert!(!path.to_string_lossy().contains(".fetch.tmp-"), "{path:?} is left");
    }
    // A file with two names is counted twice, but was written once.
    assert!(total <= LIMITS.max_bytes * LIMITS.max_entries);
    assert!(names.len() as u64 <= LIMITS.max_entries + 3, "{} entries", names.len());
    match outcome.result {
        Ok(extracted) => {
            assert!(extracted.bytes <= LIMITS.max_bytes && extracted.entries <= LIMITS.max_entries);
        }
        Err(error) => {
            let text = chain(&error);
            assert!(text.len() <= LONGEST_ERROR && !text.contains(char::is_control), "{text:?}");
        }
    }
    assert!(outcome.notes.len() <= 21);
    assert!(outcome.notes.iter().all(|note| !note.contains(char::is_control)));
}

/// Seconds in CI; `PROPTEST_CASES` makes a long run of it.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(256))
}

fn damages(most: usize) -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(damage(), 0..most)
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec(item(), 0..12)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn tar_archives_are_answered(items in items(), damages in damages(6)) {
        answer("a.tar", &sealed(damaged(tar(&items), &damages)));
    }

    #[test]
    fn gzip_archives_are_answered(items in items(), inner in damages(3), outer in damages(3)) {
        let bytes = compress(Compression::Gzip, &sealed(damaged(tar(&items), &inner)));
        answer("a.tar.gz", &damaged(bytes, &outer));
    }

    #[test]
    fn bzip2_archives_are_answered(items in items(), inner in damages(3), outer in damages(3)) {
        let bytes = compress(Compression::Bzip2, &sealed(damaged(tar(&items), &inner)));
        answer("a.tar.bz2", &damaged(bytes, &outer));
    }

    #[test]
    fn xz_archives_are_answered(items in items(), inner in damages(3), outer in damages(3)) {
        let bytes = compress(Compression::Xz, &sealed(damaged(tar(&items), &inner)));
        answer("a.tar.xz", &damaged(bytes, &outer));
    }

    #[test]
    fn zstd_archives_are_answered(items in items(), inner in damages(3), outer in damages(3)) {
        let bytes = compress(Compression::Zstd, &sealed(damaged(tar(&items), &inner)));
        answer("a.tar.zst", &damaged(bytes, &outer));
    }

    #[test]
    fn zip_archives_are_answered(items in prop::collection::vec(packed(), 0..12), damages in damages(6)) {
        let first_is_shared = items.first().is_some_and(|item| item.shared);
        prop_assume!(!first_is_shared);
        answer("a.zip", &damaged(zip(&items), &damages));
    }

    #[test]
    fn compressed_files_are_answered(data in content(), gzip: bool, damages in damages(4)) {
        let (name, compression) =
            if gzip { ("a.gz", Compression::Gzip) } else { ("a.zst", Compression::Zstd) };
        answer(name, &damaged(compress(compression, &data), &damages));
    }

    #[test]
    fn any_bytes_are_answered(
        magic in select(vec![&b""[..], b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"]),
        bytes in prop::collection::vec(any::<u8>(), 0..1000),
        name in select(vec!["a.tar", "a.zip", "a.gz", "a.zst", "a.txz"]),
    ) {
        answer(name, &[magic, &bytes].concat());
    }
}
