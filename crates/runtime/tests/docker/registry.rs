//! A registry with at most one image, over plain HTTP on a loopback port.

use crate::rig::root_file_system;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub(crate) struct Registry {
    address: String,
    digest: String,
    layers_sent: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

struct Shelf {
    /// Path to content type and content.
    things: HashMap<String, (&'static str, Vec<u8>)>,
    layer: String,
    layers_sent: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

impl Registry {
    /// With the image `NAME:1`, whose layer is held back until [`Registry::open`].
    pub(crate) async fn start(name: &str) -> Self {
        Self::for_machine(name, "amd64").await
    }

    /// As [`Registry::start`], for machines of another kind.
    pub(crate) async fn for_machine(name: &str, architecture: &str) -> Self {
        // The daemon downloads a layer once, wherever it is named: no other test may have it.
        let layer = root_file_system(&format!("{name} {}", std::process::id()));
        let layer_digest = digest(&layer);
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]}, "history": [{"created_by": "test"}],
        });
        let config = serde_json::to_vec(&config).expect("json");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": digest(&config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": layer.len(), "digest": layer_digest}],
        });
        let manifest = serde_json::to_vec(&manifest).expect("json");
        let own = digest(&manifest);
        let layer_path = format!("/v2/{name}/blobs/{layer_digest}");
        let things = HashMap::from([
            ("/v2/".to_owned(), ("application/json", b"{}".to_vec())),
            (format!("/v2/{name}/manifests/1"), (MANIFEST, manifest.clone())),
            (format!("/v2/{name}/manifests/{own}"), (MANIFEST, manifest)),
            (format!("/v2/{name}/blobs/{}", digest(&config)), ("application/octet-stream", config)),
            (layer_path.clone(), ("application/octet-stream", layer)),
        ]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (layers_sent, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let shelf = Arc::new(Shelf { things, layer: layer_path, layers_sent: layers_sent.clone(), gate: gate.clone() });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shelf.clone()));
            }
        });
        Self { address, digest: own, layers_sent, gate }
    }

    /// Lets the layer out.
    pub(crate) fn open(&self) {
        self.gate.close();
    }

    pub(crate) fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn layers_sent(&self) -> usize {
        self.layers_sent.load(Ordering::SeqCst)
    }
}

async fn serve(stream: TcpStream, shelf: Arc<Shelf>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await.ok()?;
    let mut line = String::new();
    while stream.read_line(&mut line).await.ok()? > 2 {
        line.clear();
    }
    let mut words = request.split_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    let absent =
        ("application/json", br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec());
    let (status, (kind, body)) = shelf.things.get(path).map_or(("404 Not Found", &absent), |thing| ("200 OK", thing));
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n",
        body.len(),
        digest(body)
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    if method != "HEAD" {
        if path == shelf.layer {
            shelf.layers_sent.fetch_add(1, Ordering::SeqCst);
            stream.write_all(&body[..1000]).await.ok()?;
            stream.flush().await.ok()?;
            // Ends with an error once the gate is closed for good, which is what opens it.
            let _ = shelf.gate.acquire().await;
            stream.write_all(&body[1000..]).await.ok()?;
        } else {
            stream.write_all(body).await.ok()?;
        }
    }
    stream.shutdown().await.ok()
}
