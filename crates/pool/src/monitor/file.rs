//! The histories on disk: one file, replaced whole.
//!
//! Little-endian: the mark, then for each node its id, its speed (NaN: not measured), and both rings, each a count and
//! its parts.
//!
//! Invariant: a file that is not whole is an error, never half a history.

use super::ring::{FIGURES, Part, Ring, Sample};
use hivemind_model::NodeId;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Begins the file; ends with the version of its form.
const MARK: &[u8; 16] = b"hivemind-usage 1";

/// A node, its fine and its coarse ring, its speed.
pub(super) type History = (NodeId, [Ring; 2], Option<f64>);

pub(super) fn write(path: &Path, histories: &[History]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("the path has no folder"))?;
    let mut out = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
    out.write_all(MARK)?;
    out.write_all(&(histories.len() as u64).to_le_bytes())?;
    for (node, rings, speed) in histories {
        out.write_all(&node.0.to_le_bytes())?;
        out.write_all(&speed.unwrap_or(f64::NAN).to_le_bytes())?;
        for ring in rings {
            out.write_all(&(ring.parts.len() as u64).to_le_bytes())?;
            for part in &ring.parts {
                out.write_all(&part.number.to_le_bytes())?;
                out.write_all(&part.count.to_le_bytes())?;
                part.sum.0.iter().try_for_each(|figure| out.write_all(&figure.to_le_bytes()))?;
            }
        }
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

pub(super) fn read(path: &Path) -> io::Result<Vec<History>> {
    let mut file = BufReader::new(File::open(path)?);
    if bytes::<16>(&mut file)? != *MARK {
        return Err(broken("is of another form"));
    }
    let nodes = number(&mut file)?;
    let mut histories = Vec::new();
    for _ in 0..nodes {
        let node = NodeId(number(&mut file)?);
        let speed = Some(f64::from_le_bytes(bytes(&mut file)?)).filter(|speed| speed.is_finite() && *speed > 0.0);
        let fine = ring(&mut file, Ring::fine())?;
        let coarse = ring(&mut file, Ring::coarse())?;
        histories.push((node, [fine, coarse], speed));
    }
    match file.read(&mut [0])? {
        0 => Ok(histories),
        _ => Err(broken("goes on after its end")),
    }
}

fn ring(file: &mut impl Read, mut ring: Ring) -> io::Result<Ring> {
    let count = number(file)?;
    if count > ring.most as u64 {
        return Err(broken("has a longer history than is kept"));
    }
    for _ in 0..count {
        let number = i64::from_le_bytes(bytes(file)?);
        let count = u32::from_le_bytes(bytes(file)?);
        let mut sum = [0.0; FIGURES];
        for figure in &mut sum {
            *figure = f32::from_le_bytes(bytes(file)?);
        }
        if !sum.iter().all(|figure| figure.is_finite()) || ring.parts.back().is_some_and(|last| last.number >= number) {
            return Err(broken("has a history that no pool writes"));
        }
        ring.parts.push_back(Part { number, count, sum: Sample(sum) });
    }
    Ok(ring)
}

fn number(file: &mut impl Read) -> io::Result<u64> {
    bytes(file).map(u64::from_le_bytes)
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn broken(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file {how}"))
}
