//! Whole archives: what they say of themselves, and what they are.

use super::corpus::Raw;
use super::{Limits, Opened, Packing, Refusal, open};
use crate::{Description, File as Packed, pack};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

fn blob(content: &[u8]) -> String {
    digest(content).replace("sha256:", "blobs/sha256/")
}

fn file(archive: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(archive).expect("written");
    file
}

fn read(archive: &[u8]) -> Result<Opened, Refusal> {
    open(&mut file(archive), &Limits::default())
}

fn layer() -> Vec<u8> {
    Raw::default().file("bin/x", b"#!").end()
}

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    json!({ "os": "linux", "architecture": "amd64", "rootfs": { "type": "layers", "diff_ids": diff_ids } })
        .to_string()
        .into_bytes()
}

/// As an old `docker save` writes it.
fn saved(config_name: &str, config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let names: Vec<String> = (0..layers.len()).map(|at| format!("l{at}/layer.tar")).collect();
    let listed = json!([{ "Config": config_name, "RepoTags": ["x:1"], "Layers": names }]).to_string();
    let archive = Raw::default().file(config_name, config).file("manifest.json", listed.as_bytes());
    layers.iter().zip(&names).fold(archive, |archive, (layer, name)| archive.file(name, layer)).end()
}

fn usual() -> (Vec<u8>, Vec<u8>) {
    let config = config(&[&layer()]);
    let name = format!("{}.json", digest(&config).replace("sha256:", ""));
    let archive = saved(&name, &config, &[&layer()]);
    (config, archive)
}

#[test]
fn what_is_packed_here_is_read_here() {
    let mut archive = Vec::new();
    let files = [Packed { path: "bin/hello", mode: 0o4755, content: b"#!" }];
    let what = Description { name: "hello:1", entrypoint: &["/bin/hello"], env: &[] };
    let id = pack(&files, &what, &mut archive).expect("packed");
    let opened = read(&archive).expect("sound");
    assert_eq!((opened.id.as_str(), opened.layers.len(), opened.unpacked_bytes), (id.as_str(), 1, 2));
    assert_eq!(opened.config.platform(), format!("linux/{}", crate::architecture()));
    assert_eq!(opened.layers[0].packing, Packing::Plain);
}

#[test]
fn what_docker_saves_is_read_and_written_anew() {
    let (config, archive) = usual();
    let opened = read(&archive).expect("sound");
    assert_eq!((&opened.id, &opened.config_bytes), (&digest(&config), &config));
    let mut anew = Vec::new();
    opened.write_for_docker(&mut file(&archive), &mut anew).expect("written");
    let again = read(&anew).expect("sound");
    assert_eq!((again.id, again.config, again.unpacked_bytes), (opened.id, opened.config, opened.unpacked_bytes));
}

/// `docker save` writes a layer that comes twice as a link to the first.
#[test]
fn a_layer_may_be_a_link_to_another() {
    let layer = layer();
    let config = config(&[&layer, &layer]);
    let listed = json!([{ "Config": "c.json", "Layers": ["a/layer.tar", "b/layer.tar"] }]).to_string();
    let with = |target: &str| {
        Raw::default()
            .file("c.json", &config)
            .file("a/layer.tar", &layer)
            .head("b/layer.tar", b'2', 0, target)
            .file("manifest.json", listed.as_bytes())
            .end()
    };
    assert_eq!(read(&with("../a/layer.tar")).expect("sound").layers.len(), 2);
    for target in ["../../etc/passwd", "/etc/passwd"] {
        assert!(matches!(read(&with(target)), Err(Refusal::LinkOut { .. })), "{target}");
    }
    assert!(matches!(read(&with("../c/layer.tar")), Err(Refusal::Manifest(_))));
}

#[test]
fn lies_about_a_digest_are_named() {
    let (config, _) = usual();
    let other = Raw::default().file("bin/x", b"evil").end();
    let name = format!("{}.json", digest(&config).replace("sha256:", ""));
    let lie = |archive: &[u8]| match read(archive) {
        Err(Refusal::Digest { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(lie(&saved(&name, &config, &[&other])), "layer 0");
    let wrong = format!("{}.json", "0".repeat(64));
    assert_eq!(lie(&saved(&wrong, &config, &[&layer()])), "the configuration");
}

fn layout(manifest: &Value, index_of: impl Fn(&[u8]) -> Value, contents: &[&[u8]]) -> Vec<u8> {
    let manifest = manifest.to_string();
    let index = index_of(manifest.as_bytes()).to_string();
    let archive = Raw::default()
        .file("index.json", index.as_bytes())
        .file(&long(&blob(manifest.as_bytes())), manifest.as_bytes());
    contents.iter().fold(archive, |archive, content| archive.file(&long(&blob(content)), content)).end()
}

/// The names fit into a header.
fn long(name: &str) -> String {
    assert!(name.len() <= 100);
    name.to_owned()
}

fn descriptor(content: &[u8]) -> Value {
    json!({ "digest": digest(content), "size": content.len() })
}

#[test]
fn a_layout_is_followed_by_its_digests() {
    let (config, layer) = (config(&[&layer()]), layer());
    let manifest = json!({ "config": descriptor(&config), "layers": [descriptor(&layer)] });
    let index = |manifest: &[u8]| json!({ "manifests": [descriptor(manifest)] });
    let opened = read(&layout(&manifest, index, &[&config, &layer])).expect("sound");
    assert_eq!(opened.id, digest(&config));

    let short = json!({ "config": descriptor(&config), "layers": [{ "digest": digest(&layer), "size": 1 }] });
    assert!(matches!(read(&layout(&short, index, &[&config, &layer])), Err(Refusal::TwoSizes { .. })));
    let missing = read(&layout(&manifest, index, &[&config])).expect_err("a layer is missing");
    assert!(missing.to_string().contains("lacks `blobs/sha256/"), "{missing}");
    let lying = |_: &[u8]| json!({ "manifests": [{ "digest": "sha256:../../etc/passwd", "size": 1 }] });
    assert!(matches!(read(&layout(&manifest, lying, &[&config, &layer])), Err(Refusal::Manifest(_))));
    // What lies under the name of the layer is another one.
    let evil = Raw::default().file("bin/x", b"evil").end();
    let archive = Raw::default()
        .file("index.json", index(manifest.to_string().as_bytes()).to_string().as_bytes())
        .file(&blob(manifest.to_string().as_bytes()), manifest.to_string().as_bytes())
        .file(&blob(&config), &config)
        .file(&blob(&layer), &evil)
        .end();
    let judged = read(&archive);
    assert!(matches!(judged, Err(Refusal::Digest { .. } | Refusal::TwoSizes { .. })), "{judged:?}");
}

/// Two readers must not find two images.
#[test]
fn both_beginnings_lead_to_the_same_image() {
    let (one, other) = (config(&[&layer()]), [config(&[&layer()]), b" ".to_vec()].concat());
    let manifest = json!({ "config": descriptor(&one), "layers": [descriptor(&layer())] }).to_string();
    let listed = json!([{ "Config": blob(&other), "Layers": [blob(&layer())] }]).to_string();
    let archive = Raw::default()
        .file("index.json", json!({ "manifests": [descriptor(manifest.as_bytes())] }).to_string().as_bytes())
        .file("manifest.json", listed.as_bytes())
        .file(&blob(manifest.as_bytes()), manifest.as_bytes())
        .file(&blob(&one), &one)
        .file(&blob(&other), &other)
        .file(&blob(&layer()), &layer())
        .end();
    assert!(matches!(read(&archive), Err(Refusal::Digest { .. })));
}

#[test]
fn what_is_no_image_is_refused() {
    let manifest = |text: &str| Raw::default().file("manifest.json", text.as_bytes()).end();
    for archive in [
        Raw::default().end(),
        Raw::default().file("x", b"x").end(),
        manifest("[]"),
        manifest("[{},{}]"),
        manifest("{"),
        manifest("null"),
        manifest(r#"[{"Config":"../../etc/passwd","Layers":[]}]"#),
        manifest(r#"[{"Config":"manifest.json","Layers":null}]"#),
    ] {
        assert!(matches!(read(&archive), Err(Refusal::Manifest(_))), "{:?}", read(&archive));
    }
    let (config, _) = usual();
    let none = saved("c.json", &config, &[]);
    assert!(matches!(read(&none), Err(Refusal::Manifest(_))), "fewer layers than the configuration tells of");
    assert!(matches!(read(&[0x1f, 0x8b, 8, 0, 0, 0]), Err(Refusal::Compression { .. })));
    assert!(matches!(read(b""), Err(Refusal::Truncated(_))));
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0, 0];
    assert!(matches!(read(&saved("c.json", &config, &[&zstd])), Err(Refusal::Compression { name: "zstd" })));
}

#[test]
fn what_lies_beside_the_image_is_looked_at_too() {
    let (_, archive) = usual();
    let with = |more: Raw| [&more.0[..], &archive[..]].concat();
    assert!(matches!(read(&with(Raw::default().file("../x", b""))), Err(Refusal::Traversal(_))));
    assert!(matches!(read(&with(Raw::default().file("/x", b""))), Err(Refusal::Absolute(_))));
    assert!(matches!(read(&with(Raw::default().head("x", b'3', 0, ""))), Err(Refusal::Device(_))));
    assert!(matches!(read(&with(Raw::default().head("x", b'1', 0, "y"))), Err(Refusal::LinkOut { .. })));
    assert!(matches!(read(&with(Raw::default().file("manifest.json", b"[]"))), Err(Refusal::Duplicate(_))));
    let many = (0..4097).fold(Raw::default(), |archive, n| archive.file(&n.to_string(), b""));
    assert!(matches!(read(&with(many)), Err(Refusal::TooMany { .. })));
    let small = Limits { archive_bytes: 100, ..Limits::default() };
    assert!(matches!(open(&mut file(&archive), &small), Err(Refusal::TooLarge { .. })));
    let few = Limits { layers: 0, ..Limits::default() };
    assert!(matches!(open(&mut file(&archive), &few), Err(Refusal::TooMany { what: "layers", .. })));
}
