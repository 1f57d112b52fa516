//! The owner's side of the worker: what their rules say, and what they say themselves.
//!
//! One task looks at the machine again and again, decides by the owner's preferences, tells the loop what to obey, and
//! answers requests of the control socket. Start at [`Owner::begin`], then [`Owner::run`].
//!
//! Invariant: no attempt is known here; what stands still and what starts is the agent's.

use crate::control::{Answer, Asked, Overview, Request};
use crate::event::{Ordered, OwnerOrders};
use crate::run::Order;
use crate::status::Status;
use eyes::{Eyes, Looked};
use hivemind_model::Availability;
use hivemind_owner::{Decision, Mode, Ours, Preferences};
use limits::Limits;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

mod eyes;
mod file;
pub(crate) mod limits;
#[cfg(test)]
pub(crate) mod machine;

/// How long everything that runs may take to end after an emergency stop, before its owner is told how far it is.
const CLEAR_PATIENCE: Duration = Duration::from_secs(10);

/// A moment that moved by less is the same.
const SAME_MOMENT: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Owner {
    eyes: Eyes,
    seen: Looked,
    obeyed: OwnerOrders,
}

/// What it hears and speaks through.
pub(crate) struct Wires {
    pub node: String,
    pub orders: mpsc::Sender<Order>,
    pub asked: mpsc::Receiver<Asked>,
    pub status: watch::Receiver<Status>,
    /// Where the owner's page is, with what opens it; not set where it is off.
    pub page: Arc<OnceLock<String>>,
}

impl Owner {
    /// Reads the preferences in `folder`, made with their defaults where there are none, and looks for the first time at
    /// the machine whose files lie below `root`. Temporary files go into `scratch`. `limits` are set now, and whenever
    /// the preferences change.
    ///
    /// # Errors
    /// The preferences cannot be read: nothing may run against them.
    pub(crate) async fn begin(root: &Path, folder: &Path, scratch: &Path, limits: Limits) -> anyhow::Result<Self> {
        let (root, folder, scratch) = (root.to_owned(), folder.to_owned(), scratch.to_owned());
        let (eyes, seen) = tokio::task::spawn_blocking(move || {
            let mut eyes = Eyes::open(&root, &folder, scratch, limits)?;
            let seen = eyes.look(Ours::default());
            anyhow::Ok((eyes, seen))
        })
        .await??;
        let obeyed = orders_of(&seen, eyes.preferences(), Instant::now());
        Ok(Self { eyes, seen, obeyed })
    }

    /// What was decided at the first look.
    pub(crate) fn first_orders(&self) -> OwnerOrders {
        self.obeyed.clone()
    }

    /// What counts at the start.
    pub(crate) fn preferences(&self) -> &Preferences {
        self.eyes.preferences()
    }

    /// Looks, decides and answers, until the worker ends.
    pub(crate) async fn run(self, mut wires: Wires) {
        let orders = wires.orders.clone();
        if let Err(Lost) = self.go_on(&mut wires).await {
            tracing::error!(
                "the part of the worker that follows the owner's rules failed, which is a bug; everything stands still"
            );
            let reason = "the worker cannot follow the owner's rules any more; start it again".to_owned();
            let halt = Ordered { availability: Availability::Paused { reason }, give_back_at: Some(Instant::now()) };
            let halt = OwnerOrders { machine: halt.clone(), graphics: halt, ..OwnerOrders::default() };
            // Where the loop has ended nothing runs.
            let _ended = orders.send(Order::Obey(halt)).await.is_err();
        }
    }

    async fn go_on(self, wires: &mut Wires) -> Result<(), Lost> {
        let mut this = self;
        loop {
            let look_again = this.seen.decision.look_again;
            let asked = tokio::select! {
                asked = wires.asked.recv() => match asked {
                    Some(asked) => Some(asked),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(look_again) => None,
            };
            this = match asked {
                None => this.look(wires).await?,
                Some(Asked { request, answer }) => {
                    let (next, said) = this.answer(request, wires).await?;
                    // Who asked may have gone.
                    let _gone = answer.send(said).is_err();
                    next
                }
            };
        }
    }

    async fn look(self, wires: &Wires) -> Result<Self, Lost> {
        self.with_eyes(wires, |_| ()).await.map(|(this, ())| this)
    }

    /// Does `what` where that may block, looks after it, and obeys.
    async fn with_eyes<T: Send + 'static>(
        self,
        wires: &Wires,
        what: impl FnOnce(&mut Eyes) -> T + Send + 'static,
    ) -> Result<(Self, T), Lost> {
        let Self { mut eyes, obeyed, .. } = self;
        let ours = ours(&wires.status.borrow());
        let done = tokio::task::spawn_blocking(move || {
            let done = what(&mut eyes);
            let seen = eyes.look(ours);
            (eyes, seen, done)
        });
        let (eyes, seen, done) = done.await.map_err(|_panic| Lost)?;
        let mut this = Self { eyes, seen, obeyed };
        this.obey(wires).await;
        Ok((this, done))
    }

    async fn obey(&mut self, wires: &Wires) {
        let orders = orders_of(&self.seen, self.eyes.preferences(), Instant::now());
        if is_same(&orders, &self.obeyed) {
            return;
        }
        if orders.machine.availability != self.obeyed.machine.availability {
            tracing::info!("{}", self.seen.decision.sentence());
        }
        self.obeyed = orders.clone();
        // Where the loop has ended nothing runs.
        let _ended = wires.orders.send(Order::Obey(orders)).await.is_err();
    }

    async fn answer(self, request: Request, wires: &Wires) -> Result<(Self, Answer), Lost> {
        let clears = request == Request::StopNow;
        if request == Request::Preferences {
            let answer = self.eyes.show();
            return Ok((self, answer));
        }
        let (this, done) = self.with_eyes(wires, move |eyes| eyes.apply(request)).await?;
        if let Err(refusal) = done {
            return Ok((this, *refusal));
        }
        if clears {
            // The pause is obeyed already, so that nothing starts after this.
            let _ended = wires.orders.send(Order::Clear).await.is_err();
            let mut status = wires.status.clone();
            let empty = status.wait_for(|status| status.jobs == 0);
            if tokio::time::timeout(CLEAR_PATIENCE, empty).await.is_err() {
                tracing::warn!("not everything has ended within {} s of the owner's stop", CLEAR_PATIENCE.as_secs());
            }
        }
        let overview = this.overview(wires).await;
        Ok((this, Answer::Status(Box::new(overview))))
    }

    async fn overview(&self, wires: &Wires) -> Overview {
        let (to, running) = oneshot::channel();
        let shown = wires.orders.send(Order::Show(to)).await.is_ok();
        // A loop that has ended runs nothing.
        let running = if shown { running.await.unwrap_or_default() } else { Vec::new() };
        let status = wires.status.borrow().clone();
        let Looked { decision, steady, hand, .. } = &self.seen;
        let give_back_in = decision.give_back_at.filter(|_| status.jobs > 0).map(|at| at.saturating_sub(*steady));
        Overview {
            node: wires.node.clone(),
            linked: status.linked,
            state: decision.availability.as_str().into(),
            sentence: decision.sentence(),
            gpu_state: decision.gpu.as_str().into(),
            gpu_reason: decision.gpu.reason().into(),
            mode: mode_word(hand.mode).into(),
            mode_until_unix_ms: hand.until.map(|until| until.as_millisecond()),
            give_back_in_ms: give_back_in.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            draining: status.draining,
            running,
            waiting: status.backlog,
            undelivered: status.attempts.saturating_sub(status.backlog).saturating_sub(status.jobs as usize),
            last_error: status.last_error,
            preferences_fault: self.eyes.fault().map(str::to_owned),
            share_fault: self.eyes.share_fault(),
            page: wires.page.get().cloned(),
        }
    }
}

/// The thread that looks has panicked.
struct Lost;

/// Reads the preferences of the worker in `folder`, made with their defaults where there are none.
///
/// # Errors
/// They cannot be understood, or the disk refuses.
pub(crate) fn preferences(folder: &Path, scratch: &Path) -> anyhow::Result<Preferences> {
    file::PreferencesFile::open(folder, scratch.to_owned()).map(|(_, preferences)| preferences)
}

fn ours(status: &Status) -> Ours {
    Ours { cpu: status.cpu_used, cgroup: String::new(), working: status.jobs > 0, gpu: status.gpu_jobs > 0 }
}

/// The word of a choice by hand.
const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Start => "start",
        Mode::Finish => "finish",
        Mode::Pause => "pause",
    }
}

fn orders_of(seen: &Looked, preferences: &Preferences, now: Instant) -> OwnerOrders {
    let Decision { availability, give_back_at, gpu, gpu_give_back_at, .. } = &seen.decision;
    let at = |steady: Duration| now + steady.saturating_sub(seen.steady);
    OwnerOrders {
        machine: Ordered { availability: availability.clone(), give_back_at: give_back_at.map(at) },
        graphics: Ordered { availability: gpu.clone(), give_back_at: gpu_give_back_at.map(at) },
        images: preferences.images.allow.clone(),
    }
}

/// Moments are computed anew at every look, and are the same then but for how long the look took; a machine that slept
/// makes them others.
fn is_same(a: &OwnerOrders, b: &OwnerOrders) -> bool {
    let near = |a: Option<Instant>, b: Option<Instant>| match (a, b) {
        (Some(a), Some(b)) => a.max(b) - a.min(b) < SAME_MOMENT,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let same = |a: &Ordered, b: &Ordered| a.availability == b.availability && near(a.give_back_at, b.give_back_at);
    a.images == b.images && same(&a.machine, &b.machine) && same(&a.graphics, &b.graphics)
}

#[cfg(test)]
mod tests;
