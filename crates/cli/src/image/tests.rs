use super::*;
use std::fs::write;

/// A program of a few headers: kind of file, machine, and what its segments are.
fn program(kind: u16, machine: u16, segments: &[(u32, &[u64])]) -> Vec<u8> {
    let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    head.resize(64, 0);
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &kind.to_le_bytes());
    put(18, &machine.to_le_bytes());
    put(24, &0x1000u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &u16::try_from(segments.len()).unwrap().to_le_bytes());
    let mut data = Vec::new();
    let data_at = 64 + 56 * segments.len();
    for (segment, words) in segments {
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut header = vec![0; 56];
        header[..4].copy_from_slice(&segment.to_le_bytes());
        header[8..16].copy_from_slice(&((data_at + data.len()) as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(words.len() as u64).to_le_bytes());
        head.extend(header);
        data.extend(words);
    }
    head.extend(data);
    head
}

fn here() -> u16 {
    if cfg!(target_arch = "x86_64") { 62 } else { 183 }
}

fn judged(content: &[u8]) -> Result<What, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    write(&path, content).unwrap();
    Local::read(&path).map(|local| local.what).map_err(|failure| format!("{}; {}", failure.what, failure.fix))
}

#[test]
fn only_a_path_is_a_file_of_this_machine() {
    for (image, is) in [
        ("./module.wasm", true),
        ("../bin/tool", true),
        ("/opt/tool", true),
        ("module.wasm", false),
        ("bin/tool", false),
        ("python:3.12", false),
        ("sha256:12", false),
    ] {
        assert_eq!(is_path(image), is, "{image}");
    }
}

#[test]
fn what_a_file_is_its_bytes_say() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    for (content, what) in [
        (&b"\0asm\x01\0\0\0"[..], What::Module),
        (&program(2, here(), &[(1, &[])]), What::Program),
        (&program(3, here(), &[(1, &[]), (2, &[21, 0, 0, 0])]), What::Program),
        (&[0x1f, 0x8b, 8], What::Archive),
        (&tar, What::Archive),
    ] {
        assert_eq!(judged(content), Ok(what));
    }
}

#[test]
fn what_does_not_run_alone_is_refused_with_the_way() {
    let cut = &program(2, here(), &[(1, &[])])[..70];
    for (content, why) in [
        (&program(3, here(), &[(3, &[])])[..], "link it statically"),
        (&program(3, here(), &[(1, &[]), (2, &[5, 9, 1, 7, 0, 0])]), "link it statically"),
        (&program(2, 8, &[(1, &[])]), "another kind of machine"),
        (&program(1, here(), &[(1, &[])]), "no whole program"),
        (&program(2, here(), &[]), "no whole program"),
        (cut, "no whole program"),
        (b"\x7fELF", "no whole program"),
        (b"#!/bin/sh\n", "is a script"),
        (b"hello", "docker save"),
        (b"", "docker save"),
    ] {
        let refused = judged(content).unwrap_err();
        assert!(refused.contains(why), "{why}: {refused}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(Local::read(dir.path()).unwrap_err().what.contains("no regular file"));
    assert!(Local::read(&dir.path().join("none")).unwrap_err().what.contains("does not exist"));
}

#[tokio::test]
async fn equal_programs_are_one_content_whatever_they_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let mut contents = Vec::new();
    for name in ["one", "two"] {
        let path = dir.path().join(name);
        write(&path, program(2, here(), &[(1, &[])])).unwrap();
        let content = Local::read(&path).unwrap().content().await.unwrap();
        contents.push(std::fs::read(&content.path).unwrap());
    }
    assert_eq!(contents[0], contents[1]);
    // What is packed is an image, and says for which machine.
    let path = dir.path().join("image.tar");
    write(&path, &contents[0]).unwrap();
    let image = Local::read(&path).unwrap();
    assert_eq!((image.what, image.kind()), (What::Archive, "container"));
    assert_eq!(image.architectures().await, Ok(vec![architecture().to_owned()]));
}

#[tokio::test]
async fn an_archive_of_anything_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("files.tar");
    let mut builder = tar::Builder::new(File::create(&path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    builder.append_data(&mut header, "manifest.txt", &b"{}"[..]).unwrap();
    builder.finish().unwrap();
    let refused = Local::read(&path).unwrap().architectures().await.unwrap_err();
    assert!(refused.what.contains("holds no image"), "{}", refused.what);
}
