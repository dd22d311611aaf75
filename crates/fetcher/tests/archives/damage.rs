//! Damage done to bytes that were good, which reaches deeper into a reader than random bytes do.

use proptest::prelude::*;
use proptest::sample::Index;

/// One change of some bytes.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    /// A bit is flipped.
    Flip(Index, u8),
    /// Some bytes are replaced.
    Replace(Index, Vec<u8>),
    /// Some bytes are inserted.
    Insert(Index, Vec<u8>),
    /// The end is cut off.
    Cut(Index),
    /// A part goes missing.
    Remove(Index, Index),
    /// A part is there again elsewhere.
    Repeat(Index, Index, Index),
    /// A block of 512 bytes, such as a header of a tar archive, takes the place of another.
    Splice(Index, Index),
}

impl Damage {
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        if len == 0 {
            return;
        }
        let part = |from: &Index, to: &Index| {
            let (from, to) = (from.index(len), to.index(len));
            from.min(to)..from.max(to)
        };
        match self {
            Damage::Flip(at, bit) => bytes[at.index(len)] ^= 1 << (bit % 8),
            Damage::Replace(at, new) => {
                let at = at.index(len);
                let end = (at + new.len()).min(len);
                bytes[at..end].copy_from_slice(&new[..end - at]);
            }
            Damage::Insert(at, new) => {
                let at = at.index(len);
                bytes.splice(at..at, new.iter().copied());
            }
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Remove(from, to) => drop(bytes.drain(part(from, to))),
            Damage::Repeat(from, to, at) => {
                let copy = bytes[part(from, to)].to_vec();
                let at = at.index(len);
                bytes.splice(at..at, copy);
            }
            Damage::Splice(from, to) => {
                let blocks = len / 512;
                if blocks > 0 {
                    let (from, to) = (from.index(blocks) * 512, to.index(blocks) * 512);
                    let copy = bytes[from..from + 512].to_vec();
                    bytes[to..to + 512].copy_from_slice(&copy);
                }
            }
        }
    }
}

/// Bytes that mean something to a reader of archives or of URIs, among any others.
fn words() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            &b"../"[..],
            b"/",
            b"\0",
            b"PK\x01\x02",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"\x1f\x8b",
            b"\xff\xff\xff\xff",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x80\0\0\0\x7f\xff",
            b"77777777777\0",
            b"GNU.sparse.map=",
            b"://",
            b"#sha256=",
            b"?",
            b"@",
            b"%2e%2e%2f",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 1..16),
    ]
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        4 => (any::<Index>(), words()).prop_map(|(at, new)| Damage::Replace(at, new)),
        2 => (any::<Index>(), words()).prop_map(|(at, new)| Damage::Insert(at, new)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Remove(from, to)),
        1 => any::<(Index, Index, Index)>().prop_map(|(from, to, at)| Damage::Repeat(from, to, at)),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Damage::Splice(from, to)),
    ]
}

/// Does all of the damage, one after the other.
pub(crate) fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    damages.iter().for_each(|damage| damage.apply(&mut bytes));
    bytes
}
