//! Generates the wire types with a compiler written in Rust: no protoc is needed.

use std::path::PathBuf;

const FILES: [&str; 7] = [
    "hivemind/v1/auth.proto",
    "hivemind/v1/token.proto",
    "hivemind/v1/task.proto",
    "hivemind/v1/node.proto",
    "hivemind/v1/project.proto",
    "hivemind/v1/pool.proto",
    "hivemind/worker/v1/worker.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let set = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("hivemind.bin");
    std::fs::write(out, prost::Message::encode_to_vec(&set))?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .bytes(".hivemind")
        .codec_path("crate::codec::Codec")
        .compile_fds_with_config(set, config)?;
    Ok(())
}
