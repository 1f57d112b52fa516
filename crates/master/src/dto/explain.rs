//! Why a task stands where it stands, and what one would cost.
//!
//! Invariant: nothing here decides; every field is the pool's.

use super::Micro;
use crate::wire::told;

told! {
    /// One thing that is asked for, and how many nodes have it.
    Constraint <= Constraint {
        /// Cores, memory, disk, gpus, level, together.
        name: String,
        /// For people: 64 cores; empty: together.
        asked: String,
        /// Thousandths of a core, bytes, pieces; of a level its place, none 0 to diamond 5.
        asked_amount: i64,
        /// Fail it even when idle.
        nodes_too_small: i64,
        /// Others that fail it by what is free now.
        nodes_busy: i64,
        /// The largest ask that would run, everything else as asked; empty: none.
        largest: String,
        /// As asked_amount.
        largest_amount: i64,
    }
}

told! {
    /// A change of what is asked for.
    AskChange <= AskChange {
        /// Cores, memory, disk, gpus, level.
        name: String,
        /// For people: 64 cores.
        from: String,
        /// To.
        to: String,
        /// As asked_amount.
        from_amount: i64,
        /// To amount.
        to_amount: i64,
    }
}

told! {
    /// A place in the queue.
    QueuePlace <= QueuePlace {
        /// Whose turn comes earlier, as they have used less; at most 10,000 are counted.
        requesters_before: i64,
        /// Elements of one's own that come earlier; at most 10,000 are counted.
        own_before: i64,
    }
}

told! {
    /// What failed through no fault of the task.
    Faults <= Faults {
        /// Attempts that failed through no fault of the task.
        count: u32,
        /// With so many, the task fails.
        most: u32,
        /// When it is tried again; 0: as soon as a node has room.
        not_before_unix_ms: i64,
    }
}

told! {
    /// Where a task runs.
    RunPlace <= RunPlace {
        /// Its name.
        node: String,
        /// Offline, away, online, draining.
        link: String,
        /// Attempt.
        attempt: u32,
        /// Assigned at unix ms.
        assigned_at_unix_ms: i64,
        /// 0: it is being prepared.
        started_at_unix_ms: i64,
        /// What is happening, such as the pull of an image; empty: nothing to say.
        note: String,
    }
}

told! {
    /// Why a task waits, where it runs or how it ended, and the cheapest change that would make it run.
    Explanation <= ExplainResponse {
        /// Task id.
        task_id: String,
        /// Pending, running, completed, failed, cancelled.
        status: String,
        /// Why it stands where it stands; of a failed one: `E_CODE: sentence`.
        reason: String,
        /// What to do; empty: nothing.
        advice: String,
        /// Linked nodes that take work; this and the next six only while it waits.
        nodes_linked: i64,
        /// Those of them that are big enough and of the level.
        nodes_capable: i64,
        /// Those of them that have room now.
        nodes_free: i64,
        /// One for everything that is asked for; the last: all together on one node.
        constraints: Vec<Constraint>,
        /// Together the cheapest change that would make it run; empty: none is needed, or none would.
        changes: Vec<AskChange>,
        /// Unset: it is not in the queue.
        place: Option<QueuePlace>,
        /// A node is kept free for it.
        node_reserved: bool,
        /// Unset: nothing failed through no fault of the task.
        faults: Option<Faults>,
        /// While it is handed out.
        run: Option<RunPlace>,
        /// Submitted at unix ms.
        submitted_at_unix_ms: i64,
        /// 0: not ended.
        ended_at_unix_ms: i64,
        /// Then an open task fails and is refunded; 0: ended.
        hold_expires_at_unix_ms: i64,
        /// The most it can cost.
        price_cap_micro: Micro,
        /// What was paid for it.
        cost_micro: Micro,
        /// What the user can spend on tasks.
        balance_micro: Micro,
        /// What is held for all open tasks of the user.
        held_micro: Micro,
    }
}

told! {
    /// A part of a price cap.
    PriceLine <= PriceLine {
        /// Cores, memory, gpus, minimum.
        what: String,
        /// For people: 2 cores.
        quantity: String,
        /// Of that quantity.
        per_hour_micro: Micro,
        /// For the whole of max_runtime.
        amount_micro: Micro,
    }
}

told! {
    /// What a task would cost and who could run it.
    QuoteAnswer <= QuoteResponse {
        /// The most it can cost: what is held when it is submitted.
        price_cap_micro: Micro,
        /// What it is likely to cost.
        expected_micro: Micro,
        /// How that is known.
        expected_basis: String,
        /// The run time that it stands for.
        expected_wall_ms: i64,
        /// What the price cap is made of; together the cap.
        lines: Vec<PriceLine>,
        /// What the user can spend on tasks.
        balance_micro: Micro,
        /// Linked nodes that are big enough and of the level.
        nodes_capable: i64,
        /// Those of them that have room now.
        nodes_free: i64,
        /// Why it would wait; empty: it would be handed out at once.
        waiting_reason: String,
    }
}
