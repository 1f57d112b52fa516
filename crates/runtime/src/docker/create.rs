//! The container profile: everything that a job's container may and may not do.
//!
//! [`request`] is a pure function from a job to the daemon's request; its test lists every line
//! of the profile.
//!
//! Invariant: no I/O; no host path, device, socket or host namespace is named here.

use super::image::Image;
use crate::Job;
use crate::volume::USER_ID;
use crate::warm::{EMPTIED, GUEST};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount,
    MountTmpfsOptions, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig, ResourcesUlimits,
};
use hivemind_model::AttemptRef;
use std::collections::HashMap;

/// Label: whose container or volume it is.
pub(super) const LABEL_INSTANCE: &str = "hivemind.instance";
/// Label: for which attempt it was made.
pub(super) const LABEL_ATTEMPT: &str = "hivemind.attempt";
/// Label: for which task it was made.
pub(super) const LABEL_TASK: &str = "hivemind.task";

/// Processes and threads.
const PIDS: i64 = 256;
/// Open files of one process.
const OPEN_FILES: i64 = 4096;
/// /dev/shm; counts as memory of the job.
const SHARED_MEMORY_BYTES: i64 = 64 << 20;
/// /tmp; counts as memory of the job.
const TMP_OPTIONS: &str = "rw,noexec,nosuid,nodev,size=64m,mode=1777";
/// Each folder that an image declares as a volume.
const DECLARED_VOLUME_BYTES: i64 = 16 << 20;
/// The daemon takes no smaller share of a core, in thousandths.
const LEAST_MILLICORES: i64 = 10;

/// Where /task comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskVolume {
    /// Unique on this machine.
    pub(super) name: String,
    /// The block device with a file system of the wanted size; `None`: a plain folder of the
    /// daemon, without a limit.
    pub(super) device: Option<String>,
}

/// The name of the container and of the volume of an attempt.
pub(super) fn name_of(instance: &str, attempt: AttemptRef) -> String {
    format!("hivemind-{instance}-{attempt}")
}

/// What marks everything that is made for an attempt.
pub(super) fn labels_of(instance: &str, attempt: AttemptRef) -> HashMap<String, String> {
    HashMap::from([
        (LABEL_INSTANCE.to_owned(), instance.to_owned()),
        (LABEL_ATTEMPT.to_owned(), attempt.to_string()),
        (LABEL_TASK.to_owned(), attempt.element.task.to_string()),
    ])
}

/// The request that makes `job`'s container.
pub(super) fn request(job: &Job, image: &Image, volume: &TaskVolume, instance: &str) -> ContainerCreateBody {
    let labels = labels_of(instance, job.attempt);
    let user = format!("{USER_ID}:{USER_ID}");
    ContainerCreateBody {
        // By its content, so that a tag that moves in between changes nothing.
        image: Some(image.id.clone()),
        // The image's entry point stays; its own command is used where the job has none.
        cmd: (!job.command.is_empty()).then(|| job.command.clone()),
        user: Some(user),
        working_dir: Some("/task".into()),
        hostname: Some("task".into()),
        env: Some(environment(job)),
        labels: Some(labels.clone()),
        attach_stdin: Some(false),
        open_stdin: Some(false),
        tty: Some(false),
        // A health check would run commands beside the job's own, at the owner's cost.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() }),
        stop_timeout: Some(1),
        host_config: Some(host_config(job, image, volume, labels)),
        ..ContainerCreateBody::default()
    }
}

/// The request that makes a container in which elements like `job` run one after the other: the same
/// profile, with the guest as its first process, which is spoken to through its standard streams.
pub(super) fn warm_request(job: &Job, image: &Image, volume: &TaskVolume, instance: &str) -> ContainerCreateBody {
    let emptied =
        EMPTIED.iter().copied().chain(image.volumes.iter().map(String::as_str).filter(|path| *path != "/task"));
    let entrypoint = [GUEST, "warm"].into_iter().chain(emptied).map(str::to_owned).collect();
    ContainerCreateBody {
        entrypoint: Some(entrypoint),
        cmd: None,
        // What is an element's own comes with its command.
        env: Some(own_environment().into()),
        attach_stdin: Some(true),
        open_stdin: Some(true),
        // When the agent goes away, so does the guest.
        stdin_once: Some(true),
        ..request(job, image, volume, instance)
    }
}

fn environment(job: &Job) -> Vec<String> {
    let ours = job.environment().into_iter().map(|(name, value)| format!("{name}={value}"));
    ours.chain(own_environment()).collect()
}

/// Beside what tells a command which attempt it is.
fn own_environment() -> [String; 2] {
    ["HOME=/task".into(), "TMPDIR=/tmp".into()]
}

fn host_config(job: &Job, image: &Image, volume: &TaskVolume, labels: HashMap<String, String>) -> HostConfig {
    let memory = i64::try_from(job.resources.memory.0).unwrap_or(i64::MAX);
    let limit =
        |name: &str, most: i64| ResourcesUlimits { name: Some(name.into()), soft: Some(most), hard: Some(most) };
    let declares_tmp = image.volumes.iter().any(|path| path == "/tmp");
    HostConfig {
        network_mode: Some("none".into()),
        cap_drop: Some(vec!["ALL".into()]),
        // The default seccomp profile stays in force because none is named.
        security_opt: Some(vec!["no-new-privileges:true".into()]),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        // A folder can be mounted once: an image that declares /tmp gets it as a mount.
        tmpfs: (!declares_tmp).then(|| HashMap::from([("/tmp".to_owned(), TMP_OPTIONS.to_owned())])),
        mounts: Some(mounts(image, volume, labels)),
        memory: Some(memory),
        // Equal to memory: no swap.
        memory_swap: Some(memory),
        oom_kill_disable: Some(false),
        nano_cpus: Some(i64::from(job.resources.cpu.0).max(LEAST_MILLICORES) * 1_000_000),
        pids_limit: Some(PIDS),
        shm_size: Some(SHARED_MEMORY_BYTES),
        ulimits: Some(vec![limit("nofile", OPEN_FILES), limit("core", 0)]),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        ipc_mode: Some("private".into()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        // An init process would start the command itself and turn "no such command" into an
        // exit code, and it costs a process. Zombies count against the pids limit and end with
        // the container.
        init: Some(false),
        auto_remove: Some(false),
        ..HostConfig::default()
    }
}

fn mounts(image: &Image, volume: &TaskVolume, labels: HashMap<String, String>) -> Vec<Mount> {
    let options = volume.device.as_ref().map(|device| {
        // `noinit_itable`: the tables are zero already; the kernel need not write them.
        let options = [("type", "ext4"), ("device", device.as_str()), ("o", "nosuid,nodev,noatime,noinit_itable")];
        options.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect::<HashMap<_, _>>()
    });
    let task = Mount {
        typ: Some(MountType::VOLUME),
        target: Some("/task".into()),
        source: Some(volume.name.clone()),
        read_only: Some(false),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(labels),
            driver_config: Some(MountVolumeOptionsDriverConfig { name: Some("local".into()), options }),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    };
    // Otherwise the daemon would make an anonymous volume without a limit for each. A mount of
    // this type is `noexec,nosuid,nodev` by itself.
    let declared = image.volumes.iter().filter(|path| *path != "/task").map(|path| Mount {
        typ: Some(MountType::TMPFS),
        target: Some(path.clone()),
        tmpfs_options: Some(MountTmpfsOptions {
            size_bytes: Some(DECLARED_VOLUME_BYTES),
            mode: Some(0o1777),
            options: None,
        }),
        ..Mount::default()
    });
    std::iter::once(task).chain(declared).collect()
}

#[cfg(test)]
mod tests;
