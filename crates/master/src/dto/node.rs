//! Nodes, and the pool as a whole.
//!
//! Invariant: nothing here decides; every field is the pool's.

use super::Micro;
use crate::wire::{asked, told};

told! {
    /// A node.
    NodeSummary <= NodeSummary {
        /// Name.
        node_id: String,
        /// Owner.
        owner: String,
        /// Online, draining, silent, offline.
        state: String,
        /// Cpu millicores.
        cpu_millicores: i32,
        /// Memory mb.
        memory_mb: i64,
        /// Disk mb.
        disk_mb: i64,
        /// Gpus.
        gpus: i32,
        /// Gpu info.
        gpu_info: String,
        /// Active attempts.
        active_attempts: i32,
        /// Seen at unix ms.
        seen_at_unix_ms: i64,
        /// Percent.
        cpu_usage: f64,
        /// Memory usage.
        memory_usage: f64,
        /// Disk usage.
        disk_usage: f64,
        /// Gpu usage.
        gpu_usage: f64,
        /// Docker, ...
        runtime: String,
        /// Free cpu millicores.
        free_cpu_millicores: i32,
        /// Free memory mb.
        free_memory_mb: i64,
        /// None, bronze, silver, gold, platinum, diamond.
        level: String,
        /// Alive in its whole life.
        runtime_ms: i64,
        /// What is missing to the next level; 0: there is none.
        next_level_ms: i64,
        /// Earned by what runs there now, not yet paid.
        pending_micro: Micro,
        /// In service, cordoned, draining, banned: whether its owner and the operators let it have work.
        service: String,
        /// Of draining: what runs then is tried elsewhere; else 0.
        service_until_unix_ms: i64,
        /// Of banned.
        service_reason: String,
        /// Key=value, as its owner says.
        labels: Vec<String>,
        /// Basic, rootless, sandboxed.
        isolation: String,
        /// New, known, trusted, proven: what its verified work has shown.
        trust: String,
        /// In a row without an error.
        verified_results: u32,
        /// In its whole life.
        wrong_results: u32,
        /// Attempts it may still be given today, while it is new.
        quota_left: u32,
        /// It failed too often in a row and gets no work until then; 0: it does.
        resting_until_unix_ms: i64,
        /// `container` or `wasm`: what it runs.
        kinds: Vec<String>,
        /// What its owner lets tasks reach; "public": all that is public; empty: nothing.
        network: Vec<String>,
        /// Open, finishing, paused: whether its owner lets it work now.
        available: String,
        /// Of the others.
        available_reason: String,
        /// Of one core against the pool's mean node, as the pool measured it; 0: not yet.
        speed: f64,
        /// The same from real tasks; 0: too few.
        speed_in_tasks: f64,
        /// The hottest sensor; 0: unknown.
        temperature_celsius: f64,
    }
}

asked! {
    /// Whether a node gets work.
    SetNode => SetNodeRequest {
        /// Cordon: no new work, what runs goes on. uncordon: takes work again. drain: as cordon, and what runs at the deadline is tried elsewhere. Operators only: ban: out for good, what runs is tried elsewhere at once; unban.
        #[schema(max_length = 16)]
        change: String,
        /// Of drain: 1 to 2592000; 0: 600.
        #[schema(minimum = 0, maximum = 2_592_000)]
        deadline_seconds: i64,
        /// Of ban, for its owner: 1 to 200 bytes.
        #[schema(max_length = 200)]
        reason: String,
    }
}

told! {
    /// What a node did in a part of the time.
    NodeSample <= NodeSample {
        /// The middle of its part.
        at_unix_ms: i64,
        /// Percent of the machine.
        cpu_usage: f64,
        /// Percent.
        memory_usage: f64,
        /// Percent.
        disk_usage: f64,
        /// Percent.
        gpu_usage: f64,
        /// Received bytes per second.
        received_bytes_per_second: i64,
        /// Sent bytes per second.
        sent_bytes_per_second: i64,
        /// Temperature celsius.
        temperature_celsius: f64,
        /// Running.
        attempts: f64,
    }
}

told! {
    /// What a node did over time.
    NodeHistory <= NodeHistoryResponse {
        /// Oldest first; a part of the time in which nothing was heard has none.
        samples: Vec<NodeSample>,
    }
}

asked! {
    /// A token with which a machine joins.
    MakeJoinToken => CreateJoinTokenRequest {
        /// 1 to 900; 0: 900.
        #[schema(minimum = 0, maximum = 900)]
        valid_seconds: i32,
    }
}

told! {
    /// A one-time token with which a machine joins.
    JoinToken <= CreateJoinTokenResponse {
        /// Carries the pool's address and the hash of its CA.
        join_token: String,
        /// When it ends.
        expires_at_unix_ms: i64,
    }
}

told! {
    /// The pool in figures.
    PoolInfo <= InfoResponse {
        /// Version.
        version: String,
        /// Nodes online.
        nodes_online: i64,
        /// Tasks pending.
        tasks_pending: i64,
        /// Tasks running.
        tasks_running: i64,
        /// Core hour micro.
        core_hour_micro: Micro,
        /// Gib hour micro.
        gib_hour_micro: Micro,
        /// Gpu hour micro.
        gpu_hour_micro: Micro,
        /// Started at unix ms.
        started_at_unix_ms: i64,
        /// Open, guarded.
        economy: String,
        /// It is reachable from other machines.
        listens_outside: bool,
        /// To register.
        invitation_needed: bool,
        /// Reward period ms.
        reward_period_ms: i64,
        /// Meter interval ms.
        meter_interval_ms: i64,
    }
}

told! {
    /// What a replay of the journal found.
    AuditReport <= AuditResponse {
        /// Balanced.
        balanced: bool,
        /// The first thing wrong; empty where balanced.
        finding: String,
        /// Entries.
        entries: i64,
        /// Accounts.
        accounts: i64,
        /// Supply micro.
        supply_micro: Micro,
        /// Held micro.
        held_micro: Micro,
        /// Treasury micro.
        treasury_micro: Micro,
        /// Number of the first journal entry that cannot be true; 0: none.
        bad_entry: i64,
    }
}

told! {
    /// The accounts of one kind.
    TrialLine <= TrialLine {
        /// Treasury, available, promo, held, pending, owner, reward, project.
        kind: String,
        /// Accounts.
        accounts: i64,
        /// All of the kind together.
        balance_micro: Micro,
    }
}

told! {
    /// The open holds of one age.
    HoldsByAge <= HoldsByAge {
        /// Such as "under 1 hour".
        age: String,
        /// Holds.
        holds: i64,
        /// Amount micro.
        amount_micro: Micro,
    }
}

told! {
    /// What the accounts have together.
    TrialBalance <= TrialBalanceResponse {
        /// Lines.
        lines: Vec<TrialLine>,
        /// All accounts together.
        supply_micro: Micro,
        /// What there must be.
        expected_supply_micro: Micro,
        /// Of the journal.
        entries: i64,
        /// Hexadecimal, of the newest entry.
        last_hash: String,
        /// Youngest first.
        holds: Vec<HoldsByAge>,
    }
}
