//! Puts the pages of `web/dist` beside the code, each with its compressed form.
//!
//! `make web` builds them and touches this file, so that cargo looks again; where there are none, none are embedded.
//!
//! Invariant: nothing is written but into cargo's own folder of this build.

use flate2::{Compression, write::GzEncoder};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Below this, compressing saves nothing.
const WORTH_COMPRESSING: usize = 1024;

/// Endings of what is compressed; the rest is already.
const COMPRESSIBLE: [&str; 8] = ["css", "html", "js", "json", "svg", "txt", "webmanifest", "xml"];

fn main() -> io::Result<()> {
    let folder = |name| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("no {name}")));
    let built = folder("CARGO_MANIFEST_DIR")?.join("../../web/dist");
    let pages = folder("OUT_DIR")?.join("pages");
    println!("cargo:rerun-if-changed=build.rs");
    match fs::remove_dir_all(&pages) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        Ok(()) | Err(_) => fs::create_dir_all(&pages)?,
    }
    if built.is_dir() {
        println!("cargo:rerun-if-changed={}", built.display());
        copy(&built, &pages)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_owned();
        if name.to_string_lossy().starts_with('.') || ending == "map" {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy(&path, &target)?;
            continue;
        }
        let content = fs::read(&path)?;
        if COMPRESSIBLE.contains(&ending.as_str()) && content.len() > WORTH_COMPRESSING {
            let mut packed = GzEncoder::new(Vec::new(), Compression::best());
            packed.write_all(&content)?;
            let mut name = name;
            name.push(".gz");
            fs::write(to.join(name), packed.finish()?)?;
        }
        fs::write(target, content)?;
    }
    Ok(())
}
