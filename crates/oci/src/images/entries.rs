//! The entries of a layer's archive, one after the other, with names of a bounded length.
//!
//! Start at [`each`]. Long names and the attributes of newer formats come as entries of their own before the
//! one that they are for; what they may hold is bounded here, because an archive can say that a name has
//! gigabytes.
//!
//! Invariant: at most [`MOST_EXTRA_BYTES`] of names and attributes are held in memory.

use super::Trouble;
use std::io::Read;
use tar::EntryType;

/// Longest record of names or attributes.
const MOST_EXTRA_BYTES: u64 = 1 << 20;

/// An entry.
pub(super) struct Item<'a> {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    pub(super) size: u64,
    /// Where the content begins in the archive.
    pub(super) position: u64,
    pub(super) content: &'a mut dyn Read,
}

/// What was said before the entry that it is for.
#[derive(Default)]
struct Extra {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
}

/// Reads `archive` to its end, and gives each entry to `take`.
pub(super) fn each(archive: impl Read, mut take: impl FnMut(Item<'_>) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let mut archive = tar::Archive::new(archive);
    let unsound = |error: std::io::Error| Trouble::from_reading(&error);
    let mut extra = Extra::default();
    for entry in archive.entries().map_err(unsound)?.raw(true) {
        let mut entry = entry.map_err(unsound)?;
        let header = entry.header().clone();
        let kind = header.entry_type();
        let size = header.entry_size().map_err(unsound)?;
        match kind {
            EntryType::GNULongName => extra.path = Some(text(&mut entry, size)?),
            EntryType::GNULongLink => extra.link = Some(text(&mut entry, size)?),
            EntryType::XHeader => attributes(&record(&mut entry, size)?, &mut extra)?,
            EntryType::XGlobalHeader => {}
            EntryType::GNUSparse => {
                return Err(Trouble::Image("a layer has a sparse entry, which is not taken".into()));
            }
            _ => {
                let said = std::mem::take(&mut extra);
                let owner = |said: Option<u64>, own: std::io::Result<u64>| {
                    u32::try_from(said.or(own.ok()).unwrap_or(0)).unwrap_or(0)
                };
                let position = entry.raw_file_position();
                take(Item {
                    path: said.path.unwrap_or_else(|| header.path_bytes().into_owned()),
                    link: said.link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned()),
                    kind,
                    mode: header.mode().map_err(unsound)?,
                    uid: owner(said.uid, header.uid()),
                    gid: owner(said.gid, header.gid()),
                    mtime: said
                        .mtime
                        .unwrap_or_else(|| header.mtime().ok().and_then(|at| i64::try_from(at).ok()).unwrap_or(0)),
                    size,
                    position,
                    content: &mut entry,
                })?;
            }
        }
    }
    Ok(())
}

impl Trouble {
    /// A stream that cannot be unpacked: its own fault, unless this machine cannot read it.
    pub(super) fn from_reading(error: &std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<super::layer::Refusal>()) {
            Some(super::layer::Refusal::Stopped) => Self::Stopped,
            Some(super::layer::Refusal::TooLarge(why)) => Self::Image(why.clone()),
            None => Self::Image(format!("a layer cannot be unpacked: {error}")),
        }
    }
}

fn record(entry: &mut impl Read, size: u64) -> Result<Vec<u8>, Trouble> {
    if size > MOST_EXTRA_BYTES {
        return Err(Trouble::Image(format!("a layer has a name or attributes of {size} bytes")));
    }
    let mut record = Vec::new();
    entry.take(size).read_to_end(&mut record).map_err(|error| Trouble::from_reading(&error))?;
    Ok(record)
}

/// A name, which a zero byte ends.
fn text(entry: &mut impl Read, size: u64) -> Result<Vec<u8>, Trouble> {
    let mut text = record(entry, size)?;
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end);
    }
    Ok(text)
}

/// Reads `LENGTH KEY=VALUE\n` one after the other.
fn attributes(mut record: &[u8], extra: &mut Extra) -> Result<(), Trouble> {
    let unsound = || Trouble::Image("a layer has attributes that cannot be read".into());
    while !record.is_empty() {
        let blank = record.iter().position(|byte| *byte == b' ').ok_or_else(unsound)?;
        let length: usize =
            std::str::from_utf8(&record[..blank]).ok().and_then(|text| text.parse().ok()).ok_or_else(unsound)?;
        if length <= blank + 1 || length > record.len() || record[length - 1] != b'\n' {
            return Err(unsound());
        }
        let pair = &record[blank + 1..length - 1];
        record = &record[length..];
        let equals = pair.iter().position(|byte| *byte == b'=').ok_or_else(unsound)?;
        let (key, value) = (&pair[..equals], &pair[equals + 1..]);
        let number = || std::str::from_utf8(value).ok().and_then(|text| text.split('.').next()?.parse().ok());
        match key {
            b"path" => extra.path = Some(value.to_vec()),
            b"linkpath" => extra.link = Some(value.to_vec()),
            b"uid" => extra.uid = number(),
            b"gid" => extra.gid = number(),
            b"mtime" => {
                extra.mtime = std::str::from_utf8(value).ok().and_then(|text| text.split('.').next()?.parse().ok());
            }
            // Another size than the header's would let two readers see two archives.
            b"size" => return Err(Trouble::Image("a layer has a file of more than 8 GiB, which is not taken".into())),
            sparse if sparse.starts_with(b"GNU.sparse") => {
                return Err(Trouble::Image("a layer has a sparse entry, which is not taken".into()));
            }
            // Extended attributes could give a file rights, or mean something to an overlay.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(archive: &[u8]) -> Result<Vec<String>, Trouble> {
        let mut paths = Vec::new();
        each(archive, |item| {
            paths.push(String::from_utf8_lossy(&item.path).into_owned());
            Ok(())
        })?;
        Ok(paths)
    }

    fn raw(kind: EntryType, size: u64, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path("x").expect("a path");
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    #[test]
    fn long_names_are_read_in_both_forms_and_endless_ones_refused() {
        let long = format!("{}/end", "d".repeat(200));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        builder.append_data(&mut header, &long, std::io::empty()).expect("packed");
        assert_eq!(paths(&builder.into_inner().expect("packed")).expect("read"), std::slice::from_ref(&long));
        let pax = format!("path={long}\n");
        let length = pax.len() + 4;
        let pax = format!("{length} {pax}");
        let mut archive = raw(EntryType::XHeader, pax.len() as u64, pax.as_bytes());
        archive.extend(raw(EntryType::Regular, 0, b""));
        archive.extend(raw(EntryType::Regular, 0, b""));
        assert_eq!(paths(&archive).expect("read"), [long, "x".into()], "and only the next one has it");
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
            assert!(matches!(paths(&raw(kind, 1 << 40, b"x")), Err(Trouble::Image(_))));
        }
        for pax in ["", "5 a=b", "999 path=x\n", "x path=y\n", "12 size=700\n ", "0 \n"] {
            let archive = raw(EntryType::XHeader, pax.len() as u64, pax.as_bytes());
            assert_eq!(paths(&archive).is_err(), !pax.is_empty(), "{pax:?}");
        }
    }
}
