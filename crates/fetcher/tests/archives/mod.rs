//! Archives made byte by byte, as no well-behaved program writes them, and a sandbox to extract them into.

#![expect(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod damage;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use fetcher::extract::{Compression, ExtractError, ExtractLimits, Extracted, Extraction, Refusal, extract};
use sandbox::Sandbox;
use tempfile::TempDir;

/// What the file outside of the sandbox holds.
pub(crate) const SECRET: &[u8] = b"root:*:19000:0:99999:7:::\n";

/// The time of modification of all entries.
pub(crate) const TIME: i64 = 1_000_000_000;

pub(crate) const COMPRESSIONS: [Compression; 4] =
    [Compression::Gzip, Compression::Bzip2, Compression::Xz, Compression::Zstd];

/// A sandbox, and beside it a directory that nothing may change.
pub(crate) struct Scene {
    root: TempDir,
    pub(crate) sandbox: Sandbox,
    before: BTreeMap<PathBuf, State>,
}

/// What is known of a file: mode, owner, inode, links, time, content.
type State = (u32, u32, u64, u64, i64, i64, Option<Vec<u8>>);

/// What came of an extraction.
pub(crate) struct Outcome {
    pub(crate) result: Result<Extracted, ExtractError>,
    pub(crate) notes: Vec<String>,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let root = TempDir::new().expect("a temporary directory");
        let outside = root.path().join("outside");
        std::fs::create_dir_all(outside.join("deep")).expect("made");
        std::fs::write(outside.join("secret"), SECRET).expect("written");
        std::fs::write(outside.join("deep/secret"), SECRET).expect("written");
        let sandbox = Sandbox::create(&root.path().join("work/runs/1"), None).expect("a sandbox");
        let before = snapshot(&outside);
        Scene { root, sandbox, before }
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.root.path().join("outside")
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.sandbox.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The type and permission bits of an entry, links not followed.
    pub(crate) fn mode(&self, name: &str) -> u32 {
        self.path(name).symlink_metadata().unwrap_or_else(|error| panic!("{name}: {error}")).mode()
    }

    /// All names in the sandbox, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let base = self.sandbox.path();
        let found = snapshot(base).into_keys().map(|path| path.strip_prefix(base).expect("below").to_owned());
        found.map(|path| path.display().to_string()).filter(|name| !name.is_empty()).collect()
    }

    /// All paths in the sandbox, links not followed.
    pub(crate) fn walk(&self) -> Vec<PathBuf> {
        snapshot(self.sandbox.path()).into_keys().collect()
    }

    /// Asserts that nothing outside of the sandbox was created, removed, changed, or got another name.
    pub(crate) fn assert_outside_unchanged(&self) {
        assert_eq!(snapshot(&self.outside()), self.before);
        let above: Vec<_> = std::fs::read_dir(self.root.path()).expect("listed").collect();
        assert_eq!(above.len(), 2, "only the outside and the sandbox are here: {above:?}");
        for (directory, only) in [("work", "runs"), ("work/runs", "1")] {
            let found = std::fs::read_dir(self.root.path().join(directory)).expect("listed");
            let found: Vec<_> = found.map(|entry| entry.expect("read").file_name()).collect();
            assert_eq!(found, [only]);
        }
    }

    /// Extracts bytes under a name, with generous limits.
    pub(crate) fn extract(&self, file_name: &str, bytes: &[u8]) -> Outcome {
        self.extract_within(file_name, bytes, ExtractLimits { max_bytes: 64 << 20, max_entries: 10_000 })
    }

    pub(crate) fn extract_within(&self, file_name: &str, bytes: &[u8], limits: ExtractLimits) -> Outcome {
        self.extract_until(file_name, bytes, limits, &AtomicBool::new(false))
    }

    pub(crate) fn extract_until(
        &self,
        file_name: &str,
        bytes: &[u8],
        limits: ExtractLimits,
        cancel: &AtomicBool,
    ) -> Outcome {
        let mut archive = tempfile::tempfile().expect("a file");
        archive.write_all(bytes).expect("written");
        let mut notes = Vec::new();
        let result = extract_file(&archive, file_name, &self.sandbox, limits, cancel, &mut notes);
        Outcome { result, notes }
    }

    /// Extracts what must be refused for one entry, and gives its name as shown and the reason.
    pub(crate) fn refusal(&self, file_name: &str, bytes: &[u8]) -> (String, Refusal) {
        match self.extract(file_name, bytes).result {
            Err(ExtractError::Refused { entry, why }) => (entry, why),
            other => panic!("expected a refusal: {other:?}"),
        }
    }
}

impl Outcome {
    #[track_caller]
    pub(crate) fn ok(self) -> Extracted {
        self.result.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    #[track_caller]
    pub(crate) fn error(self) -> ExtractError {
        self.result.expect_err("fails")
    }
}

/// An error with its causes, as a person reads it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(crate) fn extract_file(
    archive: &File,
    file_name: &str,
    into: &Sandbox,
    limits: ExtractLimits,
    cancel: &AtomicBool,
    notes: &mut Vec<String>,
) -> Result<Extracted, ExtractError> {
    let extraction = Extraction {
        archive,
        file_name: OsStr::new(file_name),
        into,
        limits,
        keep_out: &["stdout", "stderr"],
        aliases: &[Path::new("/mnt/mesos/sandbox")],
        cancel,
    };
    extract(&extraction, &mut |note| notes.push(note.to_string()))
}

fn snapshot(directory: &Path) -> BTreeMap<PathBuf, State> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = path.symlink_metadata().expect("there");
        let mut content = None;
        if metadata.is_dir() {
            pending
                .extend(std::fs::read_dir(&path).expect("listed").map(|entry| entry.expect("read").path()));
        } else if metadata.is_file() && metadata.len() < 1 << 20 {
            content = Some(std::fs::read(&path).expect("read"));
        }
        let links = if metadata.is_dir() { 0 } else { metadata.nlink() };
        let time = (metadata.mtime(), metadata.mtime_nsec());
        found.insert(path, (metadata.mode(), metadata.uid(), metadata.ino(), links, time.0, time.1, content));
    }
    found
}

/// One entry of a tar archive.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) link: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

impl Item {
    pub(crate) fn new(kind: u8, name: impl AsRef<[u8]>) -> Item {
        let name = name.as_ref().to_vec();
        Item { name, kind, mode: 0o644, link: Vec::new(), data: Vec::new() }
    }

    pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Item {
        Item { data: data.as_ref().to_vec(), ..Item::new(b'0', name) }
    }

    pub(crate) fn directory(name: impl AsRef<[u8]>) -> Item {
        Item { mode: 0o755, ..Item::new(b'5', name) }
    }

    pub(crate) fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
        Item { link: target.as_ref().to_vec(), ..Item::new(b'2', name) }
    }

    pub(crate) fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Item {
        Item { link: target.as_ref().to_vec(), ..Item::new(b'1', name) }
    }

    pub(crate) fn mode(self, mode: u32) -> Item {
        Item { mode, ..self }
    }

    /// The header, with names cut to what it has room for.
    pub(crate) fn header(&self) -> [u8; 512] {
        let mut header = [0; 512];
        put(&mut header, 0, 100, &self.name);
        put(&mut header, 100, 8, format!("{:07o}\0", self.mode).as_bytes());
        put(&mut header, 108, 8, b"0000000\0");
        put(&mut header, 116, 8, b"0000000\0");
        put(&mut header, 124, 12, format!("{:011o}\0", self.data.len()).as_bytes());
        put(&mut header, 136, 12, format!("{TIME:011o}\0").as_bytes());
        header[156] = self.kind;
        put(&mut header, 157, 100, &self.link);
        put(&mut header, 257, 8, b"ustar  \0");
        seal(&mut header);
        header
    }

    /// The entry with what goes before it for long names.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, long) in [(b'L', &self.name), (b'K', &self.link)] {
            if long.len() > 100 {
                let data = [long.as_slice(), b"\0"].concat();
                bytes.extend(Item { data, ..Item::new(kind, "././@LongLink") }.bytes());
            }
        }
        bytes.extend(self.header());
        bytes.extend(padded(&self.data));
        bytes
    }
}

fn put(header: &mut [u8; 512], at: usize, room: usize, bytes: &[u8]) {
    let count = bytes.len().min(room);
    header[at..at + count].copy_from_slice(&bytes[..count]);
}

/// Puts the right checksum into a header.
pub(crate) fn seal(header: &mut [u8; 512]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(header, 148, 8, format!("{sum:06o}\0 ").as_bytes());
}

/// Data and zeros up to a whole block.
pub(crate) fn padded(data: &[u8]) -> Vec<u8> {
    let mut padded = data.to_vec();
    padded.resize(data.len().div_ceil(512) * 512, 0);
    padded
}

/// A whole archive.
pub(crate) fn tar(items: &[Item]) -> Vec<u8> {
    let mut bytes: Vec<u8> = items.iter().flat_map(Item::bytes).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// An extended header of POSIX for the next entry.
pub(crate) fn extended(pairs: &[(&str, &[u8])]) -> Item {
    let mut data = Vec::new();
    for (key, value) in pairs {
        // The length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let length =
            (1..).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length);
        data.extend(format!("{} {key}=", length.expect("it fits")).as_bytes());
        data.extend(*value);
        data.push(b'\n');
    }
    Item { data, ..Item::new(b'x', "PaxHeaders/x") }
}

pub(crate) fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).expect("compressed");
            encoder.finish().expect("compressed")
        }
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
            encoder.write_all(bytes).expect("compressed");
            encoder.finish().expect("compressed")
        }
        Compression::Xz => {
            let options = lzma_rust2::XzOptions::with_preset(1);
            let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("an encoder");
            encoder.write_all(bytes).expect("compressed");
            encoder.finish().expect("compressed")
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder");
            encoder.include_checksum(true).expect("set");
            encoder.write_all(bytes).expect("compressed");
            encoder.finish().expect("compressed")
        }
    }
}

/// The endings of a compressed tar archive, short and long.
pub(crate) fn endings(compression: Compression) -> &'static [&'static str] {
    match compression {
        Compression::Gzip => &[".tgz", ".tar.gz"],
        Compression::Bzip2 => &[".tbz2", ".tar.bz2"],
        Compression::Xz => &[".txz", ".tar.xz"],
        Compression::Zstd => &[".tar.zst"],
    }
}

/// One entry of a zip archive.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) name: Vec<u8>,
    /// The whole Unix mode; without one the archive says that MS-DOS made it.
    pub(crate) mode: Option<u32>,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// Instead of the right one.
    pub(crate) crc: Option<u32>,
    /// Instead of the right one.
    pub(crate) size: Option<u32>,
    /// Sizes and checksum follow the data.
    pub(crate) descriptor: bool,
    /// Sizes and offset are in an extra field.
    pub(crate) zip64: bool,
    /// The entry has the data of the one before it.
    pub(crate) shared: bool,
}

impl Packed {
    pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Packed {
        Packed {
            name: name.as_ref().to_vec(),
            mode: Some(0o100_644),
            data: data.as_ref().to_vec(),
            method: 8,
            flags: 0,
            crc: None,
            size: None,
            descriptor: false,
            zip64: false,
            shared: false,
        }
    }

    pub(crate) fn typed(name: impl AsRef<[u8]>, mode: u32, data: impl AsRef<[u8]>) -> Packed {
        Packed { mode: Some(mode), ..Packed::file(name, data) }
    }

    fn packed(&self) -> Vec<u8> {
        match self.method {
            8 => {
                let mut encoder =
                    flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&self.data).expect("compressed");
                encoder.finish().expect("compressed")
            }
            12 => compress(Compression::Bzip2, &self.data),
            93 => compress(Compression::Zstd, &self.data),
            _ => self.data.clone(),
        }
    }
}

/// A whole archive.
pub(crate) fn zip(items: &[Packed]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    let mut start = 0;
    for item in items {
        let packed = item.packed();
        let mut crc = flate2::Crc::new();
        crc.update(&item.data);
        let crc = item.crc.unwrap_or(crc.sum());
        let size = item.size.unwrap_or(small(item.data.len()));
        let flags = item.flags | if item.descriptor { 8 } else { 0 };
        let fields = [crc, small(packed.len()), size];
        if !item.shared {
            start = bytes.len();
            bytes.extend(b"PK\x03\x04\x2d\0");
            bytes.extend([flags.to_le_bytes(), item.method.to_le_bytes()].concat());
            bytes.extend(dos_time());
            let extra = extra(item, &fields, None);
            bytes.extend(sizes(if item.descriptor { [0; 3] } else { fields }, item.zip64));
            bytes.extend(short(item.name.len()));
            bytes.extend(short(extra.len()));
            bytes.extend(&item.name);
            bytes.extend(extra);
            bytes.extend(packed);
            if item.descriptor {
                bytes.extend(b"PK\x07\x08");
                bytes.extend(sizes(fields, false));
            }
        }
        let extra = extra(item, &fields, Some(start));
        directory.extend(b"PK\x01\x02\x2d");
        directory.extend([if item.mode.is_some() { 3 } else { 0 }, 0x2d, 0]);
        directory.extend([flags.to_le_bytes(), item.method.to_le_bytes()].concat());
        directory.extend(dos_time());
        directory.extend(sizes(fields, item.zip64));
        directory.extend(short(item.name.len()));
        directory.extend(short(extra.len()));
        directory.extend([0; 6]);
        directory.extend((item.mode.unwrap_or(0) << 16).to_le_bytes());
        directory.extend(if item.zip64 { u32::MAX } else { small(start) }.to_le_bytes());
        directory.extend(&item.name);
        directory.extend(extra);
    }
    let start = small(bytes.len());
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([short(items.len()), short(items.len())].concat());
    bytes.extend([small(directory.len()).to_le_bytes(), start.to_le_bytes()].concat());
    bytes.extend([0; 2]);
    bytes
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("small")
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).expect("short").to_le_bytes()
}

/// 2001-09-09 01:46:40, which is `TIME`.
fn dos_time() -> [u8; 4] {
    let (time, date): (u16, u16) = ((1 << 11) | (46 << 5) | 20, (21 << 9) | (9 << 5) | 9);
    [time.to_le_bytes(), date.to_le_bytes()].concat().try_into().expect("four bytes")
}

fn sizes([crc, packed, size]: [u32; 3], zip64: bool) -> Vec<u8> {
    let (packed, size) = if zip64 { (u32::MAX, u32::MAX) } else { (packed, size) };
    [crc, packed, size].map(u32::to_le_bytes).concat()
}

fn extra(item: &Packed, [_, packed, size]: &[u32; 3], offset: Option<usize>) -> Vec<u8> {
    if !item.zip64 {
        return Vec::new();
    }
    let mut data = [u64::from(*size).to_le_bytes(), u64::from(*packed).to_le_bytes()].concat();
    data.extend(
        offset
            .map(|offset| u64::from(small(offset)).to_le_bytes())
            .unwrap_or_default()
            .iter()
            .take(if offset.is_some() { 8 } else { 0 }),
    );
    [&[1, 0], short(data.len()).as_slice(), &data].concat()
}

/// A name that is no UTF-8.
pub(crate) fn not_text() -> &'static OsStr {
    OsStr::from_bytes(b"caf\xe9")
}
