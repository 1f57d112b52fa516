//! Tasks, as they are asked for.
//!
//! Invariant: form only; what is allowed is decided by the pool.

use super::{Amount, Micro};
use crate::wire::{ToWire, asked, told};
use hivemind_proto::v1::SubmitTaskRequest;

asked! {
    /// An uploaded content as a file of the task.
    InputFile => InputFile {
        /// Relative, /-separated; appears under /task.
        #[schema(max_length = 4096)]
        path: String,
        /// `sha256:HEX`.
        #[schema(max_length = 71)]
        digest: String,
    }
}

asked! {
    /// What a task waits for.
    Dependency => Dependency {
        /// In a graph: or the name of another task of it.
        #[schema(max_length = 200)]
        task_id: String,
        /// `success` (the default) or `end`.
        #[schema(max_length = 16)]
        when: String,
        /// Each element waits only for the element of the same index.
        each: bool,
    }
}

asked! {
    /// A task.
    SubmitTask => SubmitTaskRequest {
        /// Task name.
        #[schema(max_length = 200)]
        task_name: String,
        /// `name[:tag][@sha256:...]`; or `sha256:HEX` of an uploaded archive of an image, or of an uploaded WebAssembly module.
        #[schema(max_length = 512)]
        docker_image: String,
        /// Split into words as a POSIX shell does, without a shell; empty: the image's own.
        #[schema(max_length = 65536)]
        command: String,
        /// `path=base64`, 8 MiB together at most; larger inputs through `/contents`.
        #[schema(max_items = 1000)]
        files: Vec<String>,
        /// 1 to 10, 10 most urgent; 0: 5.
        #[schema(minimum = 0, maximum = 10)]
        priority: i32,
        /// Seconds; 0: the pool's default.
        #[schema(minimum = 0)]
        max_runtime: i64,
        /// MiB; 0: 512.
        #[schema(minimum = 0)]
        required_memory: i64,
        /// 0: 1.
        #[schema(minimum = 0)]
        required_cpu_cores: i32,
        /// The command as exact words; excludes `command`.
        #[schema(max_items = 4096)]
        argv: Vec<String>,
        /// Uploaded content.
        #[schema(max_items = 1000)]
        inputs: Vec<InputFile>,
        /// MiB under /task; 0: 1024.
        #[schema(minimum = 0)]
        required_disk_mb: i64,
        /// Required gpus.
        #[schema(minimum = 0)]
        required_gpus: i32,
        /// Refused where the price cap is above this; 0: no bound.
        max_price_micro: Amount,
        /// Only nodes of this level or higher: bronze, silver, gold, platinum, diamond; empty: any.
        #[schema(max_length = 16)]
        min_level: String,
        /// Indices of the elements, such as 1-1000,2000; each learns its own as HIVEMIND_INDEX; empty: a plain task.
        #[schema(max_length = 65536)]
        array: String,
        /// `sha256:HEX` of an uploaded text; the element i gets its line i, from 1, as HIVEMIND_ENTRY.
        #[schema(max_length = 71)]
        entries_digest: String,
        /// With more failed elements than this, the others are skipped.
        #[schema(format = Int64, minimum = 0, maximum = 4_294_967_295_u32)]
        max_fails: Option<u32>,
        /// What it waits for.
        #[schema(max_items = 1000)]
        after: Vec<Dependency>,
        /// Where a dependency does not become what it must: skip (what waited for it; the default), cancel (all of it).
        #[schema(max_length = 16)]
        unmet: String,
        /// How often an element that failed by its own doing is tried again, each time paid; 0 to 100.
        #[schema(minimum = 0, maximum = 100)]
        retries: i32,
        /// An element that no node took by then is given up; 0: as long as the hold lasts, as the next two.
        #[schema(minimum = 0)]
        max_wait_seconds: i64,
        /// What has not ended so long after it was submitted is given up.
        #[schema(minimum = 0)]
        max_total_seconds: i64,
        /// What has not ended by then is given up.
        #[schema(minimum = 0)]
        deadline_unix_ms: i64,
        /// An attempt on a lost node is waited for so long before it is tried elsewhere; 0: not at all.
        #[schema(minimum = 0)]
        lost_after_seconds: i64,
        /// Copies of each element, on nodes of different owners; 0: 1.
        #[schema(minimum = 0)]
        replicas: i32,
        /// How many of them must agree; 0: all.
        #[schema(minimum = 0)]
        quorum: i32,
        /// 0.5 to 0.999999: copies are added until the result is as credible; excludes replicas.
        #[schema(max_length = 32)]
        confidence: String,
        /// `sha256:HEX` of the right result, for tests of nodes; excludes the three above.
        #[schema(max_length = 71)]
        expect_digest: String,
        /// How results are compared: exact (the default), numeric, command.
        #[schema(max_length = 16)]
        compare: String,
        /// Of numeric: how much numbers may differ, as a part of the larger; 0: 0.000001.
        #[schema(minimum = 0)]
        compare_tolerance: f64,
        /// Of command: run in the task's image with the two results under /task/a and /task/b.
        #[schema(max_items = 4096)]
        compare_argv: Vec<String>,
        /// Only nodes that have all of these: key=value.
        #[schema(max_items = 64)]
        labels: Vec<String>,
        /// Only nodes of this trust or higher: known, trusted, proven; empty: any.
        #[schema(max_length = 16)]
        min_trust: String,
        /// Only nodes of this isolation or higher: rootless, sandboxed; empty: any.
        #[schema(max_length = 16)]
        min_isolation: String,
        /// HOST:PORT that it may reach, such as data.example.net:443 or *.example.org:443; only on nodes whose owner allows it; empty: no network.
        #[schema(max_items = 64)]
        network: Vec<String>,
        /// Files and folders under /task that are kept; empty: output.
        #[schema(max_items = 64)]
        outputs: Vec<String>,
        /// Elements on one node may share a container, one after the other.
        warm: bool,
        /// Where an equal task of the caller has completed, its result is this one's, at once and for nothing; the image must be named by a digest.
        reuse: bool,
    }
}

asked! {
    /// A task of a graph.
    GraphTask => GraphTask {
        /// By which others of the graph wait for it; 1 to 200 bytes, unique in the graph.
        #[schema(min_length = 1, max_length = 200)]
        name: String,
        /// Its own price bound is not read.
        task: SubmitTask,
    }
}

asked! {
    /// Tasks that wait for one another.
    SubmitGraph => SubmitGraphRequest {
        /// 10,000 at most, in any order.
        #[schema(max_items = 10000)]
        #[serde(deserialize_with = "crate::dto::at_most::<10_000, _, _>")]
        tasks: Vec<GraphTask>,
        /// Refused where all price caps together are above this; 0: no bound.
        max_price_micro: Amount,
    }
}

asked! {
    /// What of an ended task is submitted again.
    RetryTask => RetryTaskRequest {
        /// Indices; empty: those that did not complete.
        #[schema(max_length = 65536)]
        elements: String,
        /// Refused where the price cap is above this; 0: no bound.
        max_price_micro: Amount,
    }
}

asked! {
    /// Which elements are ended.
    CancelTask => CancelTaskRequest {
        /// Indices; empty: all.
        #[schema(max_length = 65536)]
        elements: String,
    }
}

asked! {
    /// A task whose price is asked for.
    Quote => QuoteRequest {
        /// Its inputs are not read.
        task: SubmitTask,
        /// `container` or `wasm`: of an image that is named by its digest and not pushed yet; empty: container.
        #[schema(max_length = 16)]
        kind: String,
    }
}

told! {
    /// What became of a task of a graph.
    GraphTaskId <= GraphTaskId {
        /// Name.
        name: String,
        /// Task id.
        task_id: String,
        /// Price cap micro.
        price_cap_micro: Micro,
    }
}

told! {
    /// An accepted graph.
    GraphSubmitted <= SubmitGraphResponse {
        /// In the order of the request.
        tasks: Vec<GraphTaskId>,
        /// Of all together.
        price_cap_micro: Micro,
    }
}

impl ToWire<Option<SubmitTaskRequest>> for SubmitTask {
    fn to_wire(self) -> Option<SubmitTaskRequest> {
        Some(self.to_wire())
    }
}

told! {
    /// An accepted task.
    Submitted <= SubmitTaskResponse {
        /// Its id.
        task_id: String,
        /// What is held for it: the most it can cost.
        price_cap_micro: Micro,
    }
}

impl From<hivemind_client::Submitted> for Submitted {
    fn from(told: hivemind_client::Submitted) -> Self {
        Self { task_id: told.task.to_string(), price_cap_micro: Micro(told.cap.micro()) }
    }
}

/// A stored content.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct StoredContent {
    /// `sha256:HEX` of it.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// Contents that are looked for.
#[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FindContents {
    /// `sha256:HEX`; at most 1000.
    #[schema(max_items = 1000)]
    pub digests: Vec<String>,
}

/// Whether a content is here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct ContentFound {
    /// `sha256:HEX` of it.
    pub digest: String,
    /// The caller may use it as it is.
    pub complete: bool,
    /// Bytes of an upload of the caller that broke off.
    pub received: u64,
}
