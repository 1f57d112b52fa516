//! Node pool server: commit loop, services, worker links, liveness, blobs.
