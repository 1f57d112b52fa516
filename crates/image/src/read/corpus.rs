//! The known attacks on readers of archives, each refused by its name.

use super::refusal::Refusal;
use super::{Limits, Packing, check_layer};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// An archive made byte by byte, so that it can be as wrong as one likes.
#[derive(Default, Clone)]
pub(super) struct Raw(pub(super) Vec<u8>);

impl Raw {
    /// A header, with its sum.
    pub(super) fn head(mut self, name: &str, kind: u8, size: u64, target: &str) -> Self {
        let mut block = [0u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..108].copy_from_slice(b"0000644\0");
        block[108..116].copy_from_slice(b"0000000\0");
        block[116..124].copy_from_slice(b"0000000\0");
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = kind;
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        sum(&mut block);
        self.0.extend_from_slice(&block);
        self
    }

    pub(super) fn content(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, name: &str, content: &[u8]) -> Self {
        self.head(name, b'0', content.len() as u64, "").content(content)
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.head(name, b'2', 0, target)
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        self.extended(b'x', records)
    }

    fn extended(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let digits = (rest.len() + 1..).find(|sum| rest.len() + sum.to_string().len() == *sum).expect("a length");
            text.extend_from_slice(format!("{digits}{rest}").as_bytes());
        }
        self.head("pax", kind, text.len() as u64, "").content(&text)
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn sum(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn judge(archive: &[u8]) -> Result<super::Summary, Refusal> {
    check_layer(archive, Packing::Plain, &Limits { unpacked_bytes: 1 << 20, entries: 50, ..Limits::default() })
}

/// Refuses `archive`, for the reason that `is_right` knows.
fn refuses(what: &str, archive: &[u8], is_right: impl Fn(&Refusal) -> bool) {
    match judge(archive) {
        Ok(summary) => panic!("{what} was taken: {summary:?}"),
        Err(refusal) => assert!(is_right(&refusal), "{what} was refused for another reason: {refusal:?}"),
    }
}

fn raw() -> Raw {
    Raw::default()
}

#[test]
fn what_images_have_is_taken() {
    let archive = raw()
        .head("./", b'5', 0, "")
        .head("./usr/", b'5', 0, "")
        .head("usr/lib/", b'5', 0, "")
        .link("lib", "usr/lib")
        .link("etc/absolute", "/proc/mounts")
        .link("usr/up", "../../..")
        .file("usr/lib/x", b"content")
        .head("usr/lib/y", b'1', 0, "usr/lib/x")
        .file("usr/.wh.gone", b"")
        .file("usr/.wh..wh..opq", b"")
        .head("usr/", b'5', 0, "")
        .pax(&[("path", &"long/".repeat(60)), ("mtime", "1.5"), ("SCHILY.xattr.user.x", "=y\n=")])
        .head("short", b'5', 0, "")
        .extended(b'g', &[("comment", "0123")])
        .head("././@LongLink", b'L', 121, "")
        .content(&[[b'n'; 120].as_slice(), b"\0"].concat())
        .file("n", b"x")
        .end();
    let summary = judge(&archive).expect("taken");
    assert_eq!((summary.entries, summary.bytes), (13, 8));
    assert_eq!(summary.packed_digest, summary.diff_id);
    assert_eq!(judge(&raw().end()).expect("an empty layer").entries, 0);
}

#[test]
fn ways_out_are_refused() {
    for name in ["../x", "a/../../x", "a/..", ".."] {
        refuses(name, &raw().file(name, b"x").end(), |refusal| matches!(refusal, Refusal::Traversal(_)));
    }
    for name in ["/etc/passwd", "//x", "/x/"] {
        refuses(name, &raw().file(name, b"").end(), |refusal| matches!(refusal, Refusal::Absolute(_)));
    }
    let through = |refusal: &Refusal| matches!(refusal, Refusal::ThroughLink { .. });
    refuses("a link, then a file behind it", &raw().link("a", "/etc").file("a/passwd", b"x").end(), through);
    refuses("a link, then a folder behind it", &raw().link("a", "..").head("a/b/", b'5', 0, "").end(), through);
    refuses("a link behind a link", &raw().link("a", ".").link("a/b", "/etc").end(), through);
    let out = |refusal: &Refusal| matches!(refusal, Refusal::LinkOut { .. });
    for target in ["/etc/passwd", "../etc/passwd", "not/there", "", "self"] {
        refuses(target, &raw().head("self", b'1', 0, target).end(), out);
    }
    refuses("a hard link to a folder", &raw().head("d/", b'5', 0, "").head("l", b'1', 0, "d").end(), out);
    refuses("a link without a target", &raw().link("l", "").end(), |refusal| matches!(refusal, Refusal::Path { .. }));
}

#[test]
fn special_files_are_refused() {
    for kind in [b'3', b'4', b'6'] {
        refuses("a device", &raw().head("dev/x", kind, 0, "").end(), |refusal| matches!(refusal, Refusal::Device(_)));
    }
    for kind in [b'M', b'V', b'D', b'A', b'X', 0xff] {
        refuses("an unknown kind", &raw().head("x", kind, 0, "").end(), |refusal| {
            matches!(refusal, Refusal::Kind { .. })
        });
    }
    let sparse = |refusal: &Refusal| matches!(refusal, Refusal::Sparse(_));
    refuses("a sparse file of GNU's", &raw().head("x", b'S', 0, "").end(), sparse);
    let records = [("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9000000000000")];
    refuses("a sparse file by pax", &raw().pax(&records).file("x", b"x").end(), sparse);
}

/// Where two readers would see two archives.
#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let sizes = |refusal: &Refusal| matches!(refusal, Refusal::TwoSizes { .. });
    // CVE-2025-62518: one reader goes by the header, the other by the extension, and finds the hidden one.
    let hidden = raw().file("hidden", b"evil").end();
    let size = hidden.len().to_string();
    let archive = raw().pax(&[("size", &size)]).head("outer", b'0', 5, "").content(&hidden).end();
    refuses("two sizes", &archive, sizes);
    let archive = raw().pax(&[("size", "1"), ("size", "2")]).head("x", b'0', 0, "").content(b"xx").end();
    refuses("two sizes in one extension", &archive, sizes);
    refuses("a link with content", &raw().head("l", b'2', 512, "x").content(&[0; 512]).end(), sizes);
    refuses("a folder with content", &raw().head("d/", b'5', 512, "").content(&[1; 512]).end(), sizes);
    let names = |refusal: &Refusal| matches!(refusal, Refusal::TwoNames(_));
    let long = |raw: Raw, name: &[u8]| raw.head("././@LongLink", b'L', name.len() as u64, "").content(name);
    refuses("two long names", &long(long(raw(), b"a\0"), b"b\0").file("x", b"").end(), names);
    refuses("a long name and a path", &long(raw(), b"a\0").pax(&[("path", "b")]).file("x", b"").end(), names);
    let extension = |refusal: &Refusal| matches!(refusal, Refusal::Extension(_));
    refuses("a name that goes on", &long(raw(), b"a\0b\0").file("x", b"").end(), extension);
    refuses("a name for all", &raw().extended(b'g', &[("path", "b")]).file("x", b"").end(), extension);
    refuses("a size that is none", &raw().pax(&[("size", "-1")]).file("x", b"").end(), extension);
    for text in [
        &b"5 a\n"[..],
        b"99 a=b\n",
        b"6 a=b\nx",
        b"0 =\n",
        b" a=b\n",
        b"x a=b\n",
        b"6 a=bx",
        b"18446744073709551616 a=b\n",
    ] {
        let archive = raw().head("pax", b'x', text.len() as u64, "").content(text).file("x", b"").end();
        refuses("a broken extension", &archive, extension);
    }
    refuses("a long extension", &raw().head("pax", b'x', 2 << 20, "").end(), extension);
    let path = |refusal: &Refusal| matches!(refusal, Refusal::Path { .. });
    refuses("a zero in a name", &raw().pax(&[("path", "a\0b")]).file("x", b"").end(), path);
    refuses("an empty name", &raw().file("", b"").end(), path);
    refuses("a long part", &raw().pax(&[("path", &"n".repeat(256))]).file("x", b"").end(), path);
    refuses("a deep path", &raw().pax(&[("path", &"d/".repeat(257))]).file("x", b"").end(), path);
    refuses("a long path", &raw().pax(&[("path", &"dd/".repeat(1400))]).file("x", b"").end(), path);
    refuses("a file in a file", &raw().file("a", b"").file("a/b", b"").end(), path);
    let twice = |refusal: &Refusal| matches!(refusal, Refusal::Duplicate(_));
    refuses("a file twice", &raw().file("a", b"good").file("./a", b"evil").end(), twice);
    refuses("a link after a file", &raw().file("a", b"").link("a", "/etc").end(), twice);
    refuses("a link where a folder is", &raw().file("a/b", b"").link("a", "/etc").end(), twice);
    let mut archive = raw().file("a", b"").end();
    archive.extend_from_slice(&raw().file("hidden", b"").end());
    refuses("a second archive", &archive, |refusal| matches!(refusal, Refusal::AfterEnd));
}

#[test]
fn what_is_cut_or_broken_is_refused() {
    let whole = raw().file("a", b"content").file("b", b"more").end();
    // Its end is two blocks of zeros, of which the first is needed.
    for length in 0..whole.len() - 1023 {
        let judged = judge(&whole[..length]);
        assert!(matches!(judged, Err(Refusal::Truncated(_))), "{length} bytes: {judged:?}");
    }
    judge(&whole).expect("whole");
    let not_tar = |refusal: &Refusal| matches!(refusal, Refusal::NotTar(_));
    refuses("noise", &[b'x'; 2048], not_tar);
    for at in [0, 124, 156, 300] {
        let mut broken = whole.clone();
        broken[at] ^= 1;
        refuses("a header that was changed", &broken, not_tar);
    }
    refuses("a file without an end", &raw().head("x", b'0', 0o77777777777, "").end(), |refusal| {
        matches!(refusal, Refusal::TooLarge { .. })
    });
    let mut block: [u8; 512] = raw().head("x", b'0', 0, "").0.try_into().expect("a block");
    block[124..136].copy_from_slice(&[0xff; 12]);
    sum(&mut block);
    refuses("a size below zero", &block, not_tar);
    block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    sum(&mut block);
    refuses("a size beyond all", &block, |refusal| matches!(refusal, Refusal::TooLarge { .. } | Refusal::NotTar(_)));
}

#[test]
fn too_much_is_refused() {
    let many = (0..51).fold(raw(), |archive, n| archive.file(&n.to_string(), b"")).end();
    refuses("too many files", &many, |refusal| matches!(refusal, Refusal::TooMany { what: "entries", .. }));
    let large = raw().file("x", &vec![0; (1 << 20) + 1]).end();
    refuses("too large a file", &large, |refusal| matches!(refusal, Refusal::TooLarge { .. }));
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).expect("compressed");
    encoder.finish().expect("compressed")
}

#[test]
fn compressed_bombs_and_stumps_are_refused() {
    let limits = Limits::default();
    let zeros = vec![0; 80 << 20];
    let bomb = gzip(&raw().file("zeros", &zeros).end());
    let judged = check_layer(&bomb[..], Packing::Gzip, &limits);
    assert!(matches!(judged, Err(Refusal::Bomb { most: 200 })), "{judged:?}");
    // The same within a limit of bytes that it passes first.
    let judged = check_layer(&bomb[..], Packing::Gzip, &Limits { unpacked_bytes: 1 << 20, ..limits });
    assert!(matches!(judged, Err(Refusal::TooLarge { .. })), "{judged:?}");

    let plain = raw().file("a", b"content").end();
    let packed = gzip(&plain);
    let summary = check_layer(&packed[..], Packing::Gzip, &limits).expect("sound");
    assert_eq!(summary.diff_id, check_layer(&plain[..], Packing::Plain, &limits).expect("sound").diff_id);
    assert_ne!(summary.diff_id, summary.packed_digest);
    for length in [0, 5, packed.len() / 2, packed.len() - 1] {
        let judged = check_layer(&packed[..length], Packing::Gzip, &limits);
        assert!(matches!(judged, Err(Refusal::Truncated(_))), "{length}: {judged:?}");
    }
    let mut broken = packed.clone();
    let last = broken.len() - 6;
    broken[last] ^= 1;
    let judged = check_layer(&broken[..], Packing::Gzip, &limits);
    assert!(matches!(judged, Err(Refusal::Gzip(_))), "{judged:?}");
    // Two streams, one behind the other, are one.
    let (first, second) = plain.split_at(700);
    let joined = [gzip(first), gzip(second)].concat();
    assert_eq!(check_layer(&joined[..], Packing::Gzip, &limits).expect("sound").diff_id, summary.diff_id);
}
