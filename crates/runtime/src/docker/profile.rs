//! What this machine and its owner add to the profile of every container: the runtime that makes it, the control group that
//! it is made in, and in tests one broken promise.
//!
//! Start at [`Profile::applied`].
//!
//! Invariant: without a sandbox, a group and sabotage the request stays as `create` made it.

use super::parent::Parent;
use crate::selftest::Promise;
use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig,
    ResourcesUlimits,
};
use std::collections::HashMap;

/// What is added.
#[derive(Debug, Clone, Default)]
pub(super) struct Profile {
    /// The runtime that makes the containers; `None`: the daemon's own choice.
    pub(super) runtime: Option<String>,
    /// The group that all of them are in together; `None`: the daemon's own.
    pub(super) parent: Option<Parent>,
    /// The promise that is broken on purpose.
    pub(super) sabotage: Option<Promise>,
    /// Names what is shared where that is the sabotage.
    pub(super) instance: String,
}

impl Profile {
    /// `request` for a container within the agent's share of the machine.
    pub(super) fn placed(&self, mut request: ContainerCreateBody) -> ContainerCreateBody {
        if let Some(parent) = &self.parent {
            request.host_config.get_or_insert_default().cgroup_parent = Some(parent.as_str().to_owned());
        }
        request
    }

    /// `request` for a job's container, with what is added.
    pub(super) fn applied(&self, request: ContainerCreateBody) -> ContainerCreateBody {
        let mut request = self.placed(request);
        let host = request.host_config.get_or_insert_default();
        if let Some(runtime) = &self.runtime {
            host.runtime = Some(runtime.clone());
        }
        match self.sabotage {
            None => {}
            Some(Promise::User) => request.user = Some("0:0".into()),
            Some(promise) => broken(host, promise, &self.instance),
        }
        request
    }
}

/// Breaks `promise` and, as far as one can, no other.
fn broken(host: &mut HostConfig, promise: Promise, instance: &str) {
    match promise {
        Promise::HostFiles => host.binds = Some(vec!["/tmp:/host:ro".into()]),
        Promise::Network => host.network_mode = Some("host".into()),
        Promise::HostProcesses => host.pid_mode = Some("host".into()),
        Promise::OwnNames => host.ipc_mode = Some("host".into()),
        Promise::Capabilities => host.cap_drop = None,
        Promise::Setuid => host.security_opt = None,
        Promise::SystemCalls => host.security_opt.get_or_insert_default().push("seccomp=unconfined".into()),
        Promise::ReadOnlyRoot => host.readonly_rootfs = Some(false),
        Promise::Tmp => {
            let options = "rw,exec,nosuid,nodev,size=512m,mode=1777";
            host.tmpfs = Some(HashMap::from([("/tmp".to_owned(), options.to_owned())]));
        }
        Promise::Forks => host.pids_limit = None,
        Promise::Memory => (host.memory, host.memory_swap) = (None, None),
        Promise::Swap => host.memory_swap = Some(-1),
        Promise::Cpu => host.nano_cpus = None,
        Promise::Disk => stand_on_memory(host, "size=256m,nr_inodes=1000,mode=1777"),
        Promise::Inodes => stand_on_memory(host, "size=16m,nr_inodes=0,mode=1777"),
        Promise::OpenFiles => {
            let many = Some(20_000);
            let files = ResourcesUlimits { name: Some("nofile".into()), soft: many, hard: many };
            let others = host.ulimits.take().unwrap_or_default().into_iter();
            host.ulimits = Some(others.filter(|limit| limit.name != files.name).chain([files.clone()]).collect());
        }
        Promise::OtherTasks => host.mounts.get_or_insert_default().push(Mount {
            typ: Some(MountType::VOLUME),
            source: Some(format!("hivemind-{instance}-shared")),
            target: Some("/shared".into()),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(true),
                labels: Some(HashMap::from([(super::create::LABEL_INSTANCE.to_owned(), instance.to_owned())])),
                driver_config: Some(in_memory("size=1m,mode=1777")),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        }),
        // The first is no part of a container's host; the others no request can break.
        Promise::User | Promise::NothingStays | Promise::TimeLimit | Promise::Stop => {}
    }
}

/// /task on memory, with these options instead of those that were promised.
fn stand_on_memory(host: &mut HostConfig, options: &str) {
    let task = host.mounts.iter_mut().flatten().find(|mount| mount.target.as_deref() == Some("/task"));
    if let Some(task) = task.and_then(|task| task.volume_options.as_mut()) {
        task.driver_config = Some(in_memory(options));
    }
}

fn in_memory(options: &str) -> MountVolumeOptionsDriverConfig {
    let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", options)];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    MountVolumeOptionsDriverConfig { name: Some("local".into()), options: Some(options) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ContainerCreateBody {
        ContainerCreateBody { user: Some("1:1".into()), ..ContainerCreateBody::default() }
    }

    #[test]
    fn without_anything_to_add_nothing_is_added() {
        let plain = ContainerCreateBody { host_config: Some(HostConfig::default()), ..request() };
        assert_eq!(Profile::default().applied(plain.clone()), plain);
    }

    #[test]
    fn what_is_made_is_in_the_share() {
        let parent = Parent::of("hivemind_a.slice", &bollard::models::SystemInfo::default()).expect("a name");
        let profile = Profile { parent: Some(parent), ..Profile::default() };
        for made in [profile.applied(request()), profile.placed(request())] {
            let parent = made.host_config.as_ref().and_then(|host| host.cgroup_parent.as_deref());
            assert_eq!((parent, made.user.as_deref()), (Some("/hivemind_a.slice"), Some("1:1")));
        }
    }

    #[test]
    fn a_sandbox_is_named_in_the_request() {
        let profile = Profile { runtime: Some("runsc".into()), ..Profile::default() };
        let made = profile.applied(request());
        assert_eq!(made.host_config.and_then(|host| host.runtime).as_deref(), Some("runsc"));
    }
}
