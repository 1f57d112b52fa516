//! A registry over plain HTTP on a loopback port, that may lie.

use crate::rig::{configuration, digest};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What the client has to say to be let in.
const TOKEN: &str = "a-token.for-anybody";

/// What lies under each path.
#[derive(Default)]
pub(crate) struct Shelf(HashMap<String, Vec<u8>>);

pub(crate) struct Registry {
    address: String,
    layers_sent: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

impl Shelf {
    /// Puts something where a manifest or a blob is asked for.
    pub(crate) fn put(&mut self, path: &str, content: Vec<u8>) {
        self.0.insert(path.to_owned(), content);
    }

    /// Puts the image `NAME:1` of packed layers there, as one of two platforms; gives the digests of its index
    /// and of its layers.
    pub(crate) fn image(&mut self, name: &str, own: Value, layers: &[Vec<u8>]) -> (String, Vec<String>) {
        let config = configuration(own, layers);
        let mut listed = Vec::new();
        for layer in layers {
            let packed = gzip(layer);
            listed.push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": packed.len(), "digest": digest(&packed)}));
            self.put(&format!("/v2/{name}/blobs/{}", digest(&packed)), packed);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(), "digest": digest(&config)},
            "layers": listed,
        });
        let manifest = manifest.to_string().into_bytes();
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let platform = |name: &str, digest: &str| json!({"digest": digest, "size": 1, "platform": {"os": "linux", "architecture": name}});
        let index = json!({"schemaVersion": 2, "manifests": [platform("s390x", &digest(b"none")), platform(architecture, &digest(&manifest))]});
        let index = index.to_string().into_bytes();
        self.put(&format!("/v2/{name}/blobs/{}", digest(&config)), config);
        self.put(&format!("/v2/{name}/manifests/{}", digest(&manifest)), manifest);
        self.put(&format!("/v2/{name}/manifests/{}", digest(&index)), index.clone());
        let own = digest(&index);
        self.put(&format!("/v2/{name}/manifests/1"), index);
        (own, listed.iter().map(|layer| layer["digest"].as_str().expect("a digest").to_owned()).collect())
    }
}

impl Registry {
    /// Layers are held back until [`Registry::open`].
    pub(crate) async fn start(shelf: Shelf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (layers_sent, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (shelf, counter, latch, own) = (Arc::new(shelf), layers_sent.clone(), gate.clone(), address.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shelf.clone(), counter.clone(), latch.clone(), own.clone()));
            }
        });
        Self { address, layers_sent, gate }
    }

    /// Lets the layers out.
    pub(crate) fn open(&self) {
        self.gate.close();
    }

    pub(crate) fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    pub(crate) fn layers_sent(&self) -> usize {
        self.layers_sent.load(Ordering::SeqCst)
    }
}

async fn serve(
    stream: TcpStream,
    shelf: Arc<Shelf>,
    layers_sent: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    address: String,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await.ok()?;
    let (mut line, mut known) = (String::new(), false);
    while stream.read_line(&mut line).await.ok()? > 2 {
        known |= line.to_ascii_lowercase().trim_end() == format!("authorization: bearer {TOKEN}");
        line.clear();
    }
    let path = request.split_whitespace().nth(1)?.to_owned();
    let token = format!("{{\"token\":\"{TOKEN}\"}}").into_bytes();
    let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"test\"\r\n");
    let (status, extra, body) = match path.as_str() {
        asked if asked.starts_with("/token?service=test&scope=repository%3A") => ("200 OK", String::new(), &token),
        _ if !known => ("401 Unauthorized", challenge, &Vec::new()),
        asked => match shelf.0.get(asked) {
            Some(body) => ("200 OK", String::new(), body),
            None => ("404 Not Found", String::new(), &Vec::new()),
        },
    };
    let head = format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    if body.starts_with(&[0x1f, 0x8b]) {
        layers_sent.fetch_add(1, Ordering::SeqCst);
        stream.write_all(&body[..10]).await.ok()?;
        stream.flush().await.ok()?;
        // Ends with an error once the gate is closed for good, which is what opens it.
        let _ = gate.acquire().await;
        stream.write_all(&body[10..]).await.ok()?;
    } else {
        stream.write_all(body).await.ok()?;
    }
    stream.shutdown().await.ok()
}
