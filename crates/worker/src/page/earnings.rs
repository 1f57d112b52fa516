//! What this machine earned, and where it stands, as its pool says.
//!
//! The pool is asked with the machine's own certificate. Start at [`Asking::ask`].
//!
//! Invariant: however many pages ask, the pool is asked once in a while.

use crate::membership::Membership;
use hivemind_client::{Client, ClientError};
use hivemind_http::Problem;
use hivemind_proto::v1::{OwnStandingResponse, RewardLine};
use http::StatusCode;
use serde::Serialize;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// An answer is good for so long.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// How long the pool may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a machine stands. Amounts are in micro-CPT, as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Earnings {
    /// none, bronze, silver, gold, platinum, diamond.
    pub level: String,
    /// Alive in its whole life.
    pub runtime_ms: i64,
    /// What is missing to the next level; zero: there is none.
    pub next_level_ms: i64,
    /// new, known, trusted, proven.
    pub trust: String,
    /// In a row without an error.
    pub verified_results: u32,
    /// In its whole life.
    pub wrong_results: u32,
    /// Attempts it may still be given today, while it is new.
    pub quota_left: u32,
    /// It failed too often in a row and gets no work until then; `None`: it does.
    pub resting_until_unix_ms: Option<i64>,
    /// in service, cordoned, draining, banned.
    pub service: String,
    /// Of banned.
    pub service_reason: String,
    /// Earned by what runs now, not yet paid.
    pub pending_micro: String,
    /// Since midnight UTC: for work that was paid, and rewards.
    pub earned_today_micro: String,
    /// In the machine's whole life in this pool.
    pub earned_total_micro: String,
    /// Of that, for work.
    pub work_today_micro: String,
    /// Of that, for work.
    pub work_total_micro: String,
    /// The last rewards, the newest first.
    pub rewards: Vec<Reward>,
}

/// What the machine was rewarded for one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reward {
    /// The period's beginning.
    pub from_unix_ms: i64,
    /// Its end.
    pub to_unix_ms: i64,
    /// How long the machine was alive in it.
    pub alive_ms: i64,
    /// Attempts that ended.
    pub attempts_ended: u32,
    /// Attempts that were accepted.
    pub attempts_completed: u32,
    /// For being there.
    pub base_micro: String,
    /// For work.
    pub performance_micro: String,
    /// For staying.
    pub stability_micro: String,
    /// For work without faults.
    pub quality_micro: String,
    /// Then.
    pub level: String,
    /// Of the level, in tenths.
    pub multiplier_tenths: u32,
    /// All together.
    pub total_micro: String,
}

impl From<RewardLine> for Reward {
    fn from(line: RewardLine) -> Self {
        Self {
            from_unix_ms: line.from_unix_ms,
            to_unix_ms: line.to_unix_ms,
            alive_ms: line.alive_ms,
            attempts_ended: line.attempts_ended,
            attempts_completed: line.attempts_completed,
            base_micro: line.base_micro.to_string(),
            performance_micro: line.performance_micro.to_string(),
            stability_micro: line.stability_micro.to_string(),
            quality_micro: line.quality_micro.to_string(),
            level: line.level,
            multiplier_tenths: line.multiplier_tenths,
            total_micro: line.total_micro.to_string(),
        }
    }
}

impl From<OwnStandingResponse> for Earnings {
    fn from(standing: OwnStandingResponse) -> Self {
        let node = standing.node.unwrap_or_default();
        let sum = |a: i64, b: i64| a.saturating_add(b).to_string();
        Self {
            level: node.level,
            runtime_ms: node.runtime_ms,
            next_level_ms: node.next_level_ms,
            trust: node.trust,
            verified_results: node.verified_results,
            wrong_results: node.wrong_results,
            quota_left: node.quota_left,
            resting_until_unix_ms: Some(node.resting_until_unix_ms).filter(|until| *until > 0),
            service: node.service,
            service_reason: node.service_reason,
            pending_micro: node.pending_micro.to_string(),
            earned_today_micro: sum(standing.work_today_micro, standing.rewards_today_micro),
            earned_total_micro: sum(standing.work_total_micro, standing.rewards_total_micro),
            work_today_micro: standing.work_today_micro.to_string(),
            work_total_micro: standing.work_total_micro.to_string(),
            rewards: standing.rewards.into_iter().map(Reward::from).collect(),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Asking(Mutex<Option<(Instant, Result<Earnings, Problem>)>>);

impl Asking {
    /// What the pool says, as it said it a moment ago at most. Who asks meanwhile waits for the same answer.
    ///
    /// # Errors
    /// 502 `E_UNREACHABLE` where the pool does not answer, or does not tell.
    pub(super) async fn ask(&self, membership: &Membership) -> Result<Earnings, Problem> {
        let mut last = self.0.lock().await;
        if let Some((at, said)) = &*last
            && at.elapsed() < GOOD_FOR
        {
            return said.clone();
        }
        let asked = async {
            let client = Client::connect(&membership.target(), None).await?;
            client.own_standing().await
        };
        let said = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(standing)) => Ok(standing.into()),
            Ok(Err(why)) => Err(untold(&why)),
            Err(_elapsed) => {
                let detail = format!("the pool did not answer within {} s; try again", PATIENCE.as_secs());
                Err(Problem::new(StatusCode::BAD_GATEWAY, "E_UNREACHABLE", detail))
            }
        };
        *last = Some((Instant::now(), said.clone()));
        said
    }
}

fn untold(why: &ClientError) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "E_UNREACHABLE", format!("the pool does not tell: {why}"))
}
