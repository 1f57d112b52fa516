//! What the pool's operator decides: prices, defaults, bounds, times.
//!
//! Invariant: the only place where such a number has its default.

use crate::churn::{Backlog, Brake, Rest};
use crate::economy::Economy;
use crate::rejection::{Code, Rejection};
use crate::resources::Resources;
use crate::spec::TaskSpec;
use crate::units::{Bytes, Cpt, MilliCores, Millis};
use serde::{Deserialize, Serialize};

/// Highest price or grant: a billion CPT.
const MAX_POLICY_MICRO: i64 = 1_000_000_000_000_000;
/// Longest time that something is kept, unless it is for ever: 100 years.
const MAX_KEEP_MILLIS: u64 = 100 * 365 * 24 * 3_600_000;
/// Least time that a content is kept, so that what was just sent can still be submitted.
const MIN_KEEP_CONTENT_MILLIS: u64 = 3_600_000;
/// Longest of the pool's own times: 30 days.
const MAX_POLICY_MILLIS: u64 = 30 * 24 * 3_600_000;

/// Prices of resources, charged for the time they are reserved and used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// One core for one hour.
    pub core_hour: Cpt,
    /// One GiB of memory for one hour.
    pub gib_hour: Cpt,
    /// One GPU for one hour.
    pub gpu_hour: Cpt,
    /// The least that a paid attempt costs.
    pub minimum: Cpt,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            core_hour: Cpt::from_micro(2_000_000),
            gib_hour: Cpt::from_micro(500_000),
            gpu_hour: Cpt::from_micro(20_000_000),
            minimum: Cpt::from_micro(1),
        }
    }
}

impl Prices {
    /// The price of `resources` for `time`, rounded up to a micro-CPT, at least `minimum`.
    ///
    /// (cores x core_hour + GiB x gib_hour + GPUs x gpu_hour) x hours, in exact integers. It grows
    /// with `time`, so the price of a part is never above the price of the whole. `None` where
    /// it does not fit in 64 bits.
    #[must_use]
    pub fn price(&self, resources: &Resources, time: Millis) -> Option<Cpt> {
        const MILLIS_PER_HOUR: i128 = 3_600_000;
        const GIB: i128 = 1 << 30;
        // Numerators over the common denominator 1000 x GIB.
        let core = i128::from(resources.cpu.0) * i128::from(self.core_hour.micro()) * GIB;
        let memory =
            i128::from(resources.memory.0).checked_mul(i128::from(self.gib_hour.micro()))?.checked_mul(1000)?;
        let gpu = i128::from(resources.gpus) * i128::from(self.gpu_hour.micro()) * 1000 * GIB;
        let per_hour = core.checked_add(memory)?.checked_add(gpu)?;
        let exact = per_hour.checked_mul(i128::from(time.0))?;
        let divisor = MILLIS_PER_HOUR * 1000 * GIB;
        let rounded_up = exact.checked_add(divisor - 1)? / divisor;
        let micro = i64::try_from(rounded_up).ok()?;
        Some(Cpt::from_micro(micro.max(self.minimum.micro())))
    }
}

/// Bounds on what one submission may ask for, and what it gets where it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// `max_runtime` where none was given.
    pub default_runtime: Millis,
    /// Memory where none was given.
    pub default_memory: Bytes,
    /// Disk where none was given.
    pub default_disk: Bytes,
    /// Longest `max_runtime`.
    pub max_runtime: Millis,
    /// Least memory; below it no container starts.
    pub min_memory: Bytes,
    /// Least disk; below it no file system can be made.
    pub min_disk: Bytes,
    /// Most of everything.
    pub max_resources: Resources,
    /// All input files of one task together.
    pub max_input_bytes: Bytes,
    /// The archive of an image, or a module, that a requester pushes.
    pub max_image_bytes: Bytes,
    /// Open tasks of one user; more are refused as busy.
    pub max_open_tasks_per_user: u32,
    /// Elements of all open tasks of one user; more are refused as busy.
    pub max_open_elements_per_user: u64,
    /// Elements of one array.
    pub max_array_elements: u32,
    /// Nodes of one owner.
    pub max_nodes_per_owner: u32,
    /// How long after its end the logs and the output of a task are kept; zero: for ever.
    pub keep_results: Millis,
    /// How long after its last use a content is kept for the user who sent it; zero: for ever.
    pub keep_content: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            default_runtime: Millis::from_secs(3600),
            default_memory: Bytes::from_mib(512),
            default_disk: Bytes::from_gib(1),
            max_runtime: Millis::from_secs(30 * 24 * 3600),
            min_memory: Bytes::from_mib(6),
            min_disk: Bytes::from_mib(4),
            max_resources: Resources {
                cpu: MilliCores::from_cores(1024),
                memory: Bytes::from_gib(16 << 10),
                disk: Bytes::from_gib(16 << 10),
                gpus: 64,
            },
            max_input_bytes: Bytes::from_gib(64),
            max_image_bytes: Bytes::from_gib(8),
            max_open_tasks_per_user: 1_000_000,
            max_open_elements_per_user: 10_000_000,
            max_array_elements: 1_000_000,
            max_nodes_per_owner: 100_000,
            keep_results: Millis::from_secs(30 * 24 * 3600),
            keep_content: Millis::from_secs(30 * 24 * 3600),
        }
    }
}

/// How requesters share the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scheduling {
    /// The time after which what a requester has used counts half.
    pub half_life: Millis,
    /// How long an element waits for room before a node is kept free for it.
    pub reserve_after: Millis,
}

impl Default for Scheduling {
    fn default() -> Self {
        Self { half_life: Millis::from_secs(24 * 3600), reserve_after: Millis::from_secs(600) }
    }
}

/// What an operator decides about trust. The weights of votes are not here: the bound on wrong results
/// rests on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustPolicy {
    /// Attempts a day that a fresh node may take, for each of its cores.
    pub first_quota: u32,
    /// Most that the quota grows to, for each core.
    pub most_quota: u32,
    /// Least that errors make of it, for each core.
    pub least_quota: u32,
    /// How long a wrong result of one node weighs on all nodes of its owner.
    pub memory: Millis,
    /// Least chance of a spot check, in millionths.
    pub spot_floor: u32,
}

impl Default for TrustPolicy {
    fn default() -> Self {
        Self {
            first_quota: 100,
            most_quota: 102_400,
            least_quota: 10,
            memory: Millis::from_secs(30 * 24 * 3600),
            spot_floor: 50_000,
        }
    }
}

/// Everything the engine lets itself be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Prices.
    pub prices: Prices,
    /// Bounds and defaults of submissions.
    pub limits: Limits,
    /// Given to every new user, as free credit.
    pub signup_grant: Cpt,
    /// How requesters share the pool.
    pub scheduling: Scheduling,
    /// Trust in nodes, and how results are checked.
    pub trust: TrustPolicy,
    /// Metering, holds, rewards and what free credit is good for.
    pub economy: Economy,
    /// Silence after which a node is lost and its attempts go elsewhere.
    pub lost_after: Millis,
    /// When the pool suspects itself rather than its nodes.
    pub brake: Brake,
    /// How long an attempt that was given up with its lost node may still win over its replacement.
    pub remember_lost: Millis,
    /// How often a worker sends a heartbeat.
    pub heartbeat_every: Millis,
    /// How often an element may fail through no fault of its own before the task is failed.
    pub max_infrastructure_failures: u32,
    /// Once it has failed so, or brought them down, on as many different nodes, the element is tried no further.
    pub poison_nodes: u32,
    /// How nodes rest that fail everything.
    pub rest: Rest,
    /// What nodes are handed in advance.
    pub backlog: Backlog,
    /// How often an element's image may fail to be fetched before the task is failed.
    pub max_image_failures: u32,
    /// Wait before the first new try after such a failure reported by a node; doubles each time.
    pub retry_delay: Millis,
    /// Longest such wait.
    pub max_retry_delay: Millis,
    /// A live node that has not ended an attempt this long after `max_runtime` has lost it.
    pub overdue_after: Millis,
    /// What stands still for so long because the owner of its node wants that is tried elsewhere.
    pub most_pause: Millis,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            prices: Prices::default(),
            limits: Limits::default(),
            signup_grant: Cpt::from_micro(150_000_000),
            scheduling: Scheduling::default(),
            trust: TrustPolicy::default(),
            economy: Economy::default(),
            lost_after: Millis::from_secs(10),
            brake: Brake::default(),
            remember_lost: Millis::from_secs(3600),
            heartbeat_every: Millis::from_secs(1),
            max_infrastructure_failures: 10,
            poison_nodes: 3,
            rest: Rest::default(),
            backlog: Backlog::default(),
            max_image_failures: 3,
            retry_delay: Millis(500),
            max_retry_delay: Millis::from_secs(60),
            overdue_after: Millis::from_secs(600),
            most_pause: Millis::from_secs(3600),
        }
    }
}

impl Policy {
    /// The most that a task can cost: the price of its resources for all of `max_runtime`, for each
    /// element and each attempt of it that may have to be paid.
    ///
    /// # Errors
    /// [`Code::TooLarge`] where that is more money than there is.
    pub fn cap(&self, spec: &TaskSpec) -> Result<Cpt, Rejection> {
        let price = self.prices.price(&spec.resources, spec.max_runtime);
        let attempts = spec.paid_attempts().checked_mul(spec.elements().into());
        let cap = price.zip(attempts.and_then(|attempts| i64::try_from(attempts).ok()));
        cap.and_then(|(price, attempts)| price.micro().checked_mul(attempts)).map(Cpt::from_micro).ok_or_else(|| {
            Rejection::field(
                Code::TooLarge,
                "max_runtime",
                "the price of these resources for so long, and for so many elements, is more money than there is; ask for less",
            )
        })
    }

    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// [`crate::Code::Invalid`] of the first key that does not, as it is written in a policy file.
    pub fn check(&self) -> Result<(), Rejection> {
        let (prices, limits) = (&self.prices, &self.limits);
        let amounts = [
            ("prices.core_hour", prices.core_hour, 0),
            ("prices.gib_hour", prices.gib_hour, 0),
            ("prices.gpu_hour", prices.gpu_hour, 0),
            ("prices.minimum", prices.minimum, 1),
            ("signup_grant", self.signup_grant, 0),
        ];
        for (key, amount, least) in amounts {
            if !(least..=MAX_POLICY_MICRO).contains(&amount.micro()) {
                let micro = amount.micro();
                return Err(Rejection::invalid(
                    key,
                    format!("{micro} is outside {least} to {MAX_POLICY_MICRO} micro-CPT"),
                ));
            }
        }
        let least_content = if limits.keep_content == Millis(0) { 0 } else { MIN_KEEP_CONTENT_MILLIS };
        let ordered = [
            ("limits.default_runtime", 1000, limits.default_runtime.0, limits.max_runtime.0),
            ("limits.default_memory", limits.min_memory.0, limits.default_memory.0, limits.max_resources.memory.0),
            ("limits.default_disk", limits.min_disk.0, limits.default_disk.0, limits.max_resources.disk.0),
            ("limits.max_resources.cpu", 1000, limits.max_resources.cpu.0.into(), u32::MAX.into()),
            ("lost_after", self.heartbeat_every.0.saturating_mul(2), self.lost_after.0, MAX_POLICY_MILLIS),
            ("heartbeat_every", 1, self.heartbeat_every.0, MAX_POLICY_MILLIS),
            ("retry_delay", 0, self.retry_delay.0, self.max_retry_delay.0),
            ("max_retry_delay", 0, self.max_retry_delay.0, MAX_POLICY_MILLIS),
            ("limits.keep_results", 0, limits.keep_results.0, MAX_KEEP_MILLIS),
            ("limits.keep_content", least_content, limits.keep_content.0, MAX_KEEP_MILLIS),
            ("limits.max_runtime", 1000, limits.max_runtime.0, 12 * MAX_POLICY_MILLIS),
            ("scheduling.half_life", 60_000, self.scheduling.half_life.0, 12 * MAX_POLICY_MILLIS),
            ("scheduling.reserve_after", 0, self.scheduling.reserve_after.0, MAX_POLICY_MILLIS),
            ("trust.first_quota", 1, self.trust.first_quota.into(), self.trust.most_quota.into()),
            ("trust.memory", 0, self.trust.memory.0, 12 * MAX_POLICY_MILLIS),
            ("trust.spot_floor", 0, self.trust.spot_floor.into(), 1_000_000),
            ("overdue_after", 0, self.overdue_after.0, 12 * MAX_POLICY_MILLIS),
            ("most_pause", 0, self.most_pause.0, 12 * MAX_POLICY_MILLIS),
            ("max_infrastructure_failures", 1, self.max_infrastructure_failures.into(), u32::MAX.into()),
            ("remember_lost", 0, self.remember_lost.0, MAX_POLICY_MILLIS),
            ("poison_nodes", 2, self.poison_nodes.into(), u32::MAX.into()),
            ("max_image_failures", 1, self.max_image_failures.into(), u32::MAX.into()),
        ];
        for (key, least, value, most) in ordered {
            if !(least..=most).contains(&value) {
                return Err(Rejection::invalid(key, format!("{value} is outside {least} to {most}")));
            }
        }
        self.brake.check()?;
        self.rest.check()?;
        self.backlog.check()?;
        self.economy.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(cores: u32, mib: u64, gpus: u32) -> Resources {
        Resources { cpu: MilliCores::from_cores(cores), memory: Bytes::from_mib(mib), disk: Bytes(0), gpus }
    }

    #[test]
    fn prices_follow_the_documented_rates() {
        let hour = Millis::from_secs(3600);
        for (resources, time, micro) in [
            (need(1, 0, 0), hour, 2_000_000),
            (need(0, 1024, 0), hour, 500_000),
            (need(0, 0, 1), hour, 20_000_000),
            (need(1, 512, 0), hour, 2_250_000),
            (need(1, 512, 0), Millis::from_secs(1), 625),
            (need(1, 512, 0), Millis(0), 1),
            (need(1, 512, 0), Millis(1), 1),
            (need(1, 512, 0), Millis(2), 2),
        ] {
            assert_eq!(
                Prices::default().price(&resources, time),
                Some(Cpt::from_micro(micro)),
                "{resources} for {time:?}"
            );
        }
    }

    #[test]
    fn a_price_that_does_not_fit_is_none() {
        let huge = Resources { memory: Bytes(u64::MAX), ..need(u32::MAX, 0, u32::MAX) };
        assert_eq!(Prices::default().price(&huge, Millis(u64::MAX)), None);
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_refused_by_its_key() {
        let refused = |change: fn(&mut Policy)| {
            let mut policy = Policy::default();
            change(&mut policy);
            policy.check().err().map_or_else(|| "taken".into(), |rejection| rejection.field)
        };
        assert_eq!(refused(|_| ()), "taken");
        assert_eq!(refused(|p| p.prices.gpu_hour = Cpt::ZERO), "taken");
        assert_eq!(refused(|p| p.prices.core_hour = Cpt::from_micro(-3)), "prices.core_hour");
        assert_eq!(refused(|p| p.prices.gib_hour = Cpt::from_micro(i64::MAX)), "prices.gib_hour");
        assert_eq!(refused(|p| p.prices.minimum = Cpt::ZERO), "prices.minimum");
        assert_eq!(refused(|p| p.signup_grant = Cpt::from_micro(-1)), "signup_grant");
        assert_eq!(refused(|p| p.lost_after = Millis(1500)), "lost_after");
        assert_eq!(refused(|p| p.heartbeat_every = Millis(0)), "heartbeat_every");
        assert_eq!(refused(|p| p.limits.default_memory = Bytes(1)), "limits.default_memory");
        assert_eq!(refused(|p| p.limits.max_runtime = Millis(u64::MAX)), "limits.max_runtime");
        assert_eq!(refused(|p| p.max_image_failures = 0), "max_image_failures");
        assert_eq!(refused(|p| p.poison_nodes = 1), "poison_nodes");
        assert_eq!(refused(|p| p.brake.share_percent = 101), "brake.share_percent");
        assert_eq!(refused(|p| p.brake.hold = Millis(0)), "taken");
        assert_eq!(refused(|p| p.rest.first = Millis(0)), "rest.first");
        assert_eq!(refused(|p| p.rest.longest = Millis(1)), "rest.first");
        assert_eq!(refused(|p| p.backlog.depth_per_core = 2000), "backlog.depth_per_core");
        assert_eq!(refused(|p| p.backlog.ahead = Millis(60_001)), "backlog.ahead");
        assert_eq!(refused(|p| p.backlog.short = Millis(0)), "backlog.short");
    }
}
