//! Archives that are not whole, are not what they say, or are written in ways that are not read.

use fetcher::extract::{Compression, ExtractError, Refusal};

use crate::archives::{COMPRESSIONS, Item, Packed, Scene, chain, compress, endings, tar, zip};

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
