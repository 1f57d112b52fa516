//! The worker's loop: one task that hears everything, in batches, and never waits for a disk or
//! a network.
//!
//! Start at [`run`].
//!
//! Invariant: a deadline is looked at only after what had arrived before it, so an answer that
//! is here already counts.

use crate::agent::OWNER_STOPPED;
use crate::event::{Event, OwnerOrders};
use crate::job::Signal;
use crate::link::{INCOMING, LinkEvent};
use crate::pulse::Pulse;
use crate::shell::Shell;
use crate::status::Running;
use anyhow::bail;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// Signals taken at once.
const BATCH: usize = 1024;

/// How long an orderly stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What the owner wants.
#[derive(Debug)]
pub(crate) enum Order {
    /// No more work.
    Drain,
    /// The end.
    Stop,
    /// What the rules let the machine do from now on.
    Obey(OwnerOrders),
    /// The end of everything that runs; the worker goes on.
    Clear,
    /// To see what runs.
    Show(oneshot::Sender<Vec<Running>>),
}

/// Where the loop hears from.
pub(crate) struct Ears {
    pub link: Receiver<LinkEvent>,
    pub signals: UnboundedReceiver<Signal>,
    pub orders: Receiver<Order>,
}

/// Runs until the owner stops the worker or the pool refuses it.
///
/// # Errors
/// What the pool said where it refused this node; a disk that does not take results.
pub(crate) async fn run(mut shell: Shell, mut ears: Ears) -> anyhow::Result<()> {
    let mut heard = Vec::with_capacity(BATCH);
    let mut stop_at = None;
    let mut link_ends = false;
    let mut orders_end = false;
    let mut pulse = Pulse::from_environment();
    let mut alarm = pin!(sleep_until(Instant::now()));
    loop {
        shell.flush();
        shell.publish();
        let beat_at = pulse.beat(Instant::now());
        // Everything was delivered all the same; a new start finds whether the disk works again.
        if shell.spool_is_broken && shell.agent.len() == 0 && shell.is_flushed() {
            bail!("results cannot be stored on this machine's disk; free some space and start the worker again");
        }
        if shell.refused.is_some() && stop_at.is_none() {
            stop_at = Some(Instant::now() + STOP_PATIENCE);
        }
        if let Some(stop_at) = stop_at
            && is_over(&mut shell, stop_at)
        {
            return shell.refused.take().map_or(Ok(()), |why| bail!(why));
        }
        let wake = shell.wake_at(Instant::now());
        let wake = [stop_at, beat_at].into_iter().flatten().fold(wake, Instant::min);
        if alarm.deadline() != wake {
            alarm.as_mut().reset(wake);
        }
        tokio::select! {
            biased;
            order = ears.orders.recv(), if !orders_end => match order {
                Some(order) => take(&mut shell, order, &mut stop_at),
                None => orders_end = true,
            },
            event = ears.link.recv(), if !link_ends => match event {
                Some(event) => shell.on_link(event),
                None if shell.refused.is_none() => bail!("the part of the worker that keeps the link has ended, which is a bug"),
                None => link_ends = true,
            },
            _ = ears.signals.recv_many(&mut heard, BATCH) => heard.drain(..).for_each(|signal| shell.on_signal(signal)),
            () = shell.room(), if shell.blocked => {}
            () = &mut alarm => {}
        }
        hear_the_rest(&mut shell, &mut ears);
        if Instant::now() >= wake {
            shell.tick();
        }
    }
}

fn take(shell: &mut Shell, order: Order, stop_at: &mut Option<Instant>) {
    match order {
        Order::Drain => shell.tell(Event::OwnerDrains),
        Order::Stop => {
            tracing::info!("stopping: {OWNER_STOPPED}");
            shell.tell(Event::OwnerStops);
            stop_at.get_or_insert(Instant::now() + STOP_PATIENCE);
        }
        Order::Obey(orders) => shell.tell(Event::OwnerDecides { orders }),
        Order::Clear => shell.tell(Event::OwnerClears),
        Order::Show(to) => {
            // Who asked may have gone.
            let _gone = to.send(shell.running()).is_err();
        }
    }
}

/// Takes what else has arrived, with a bound.
fn hear_the_rest(shell: &mut Shell, ears: &mut Ears) {
    for _ in 0..INCOMING {
        let Ok(event) = ears.link.try_recv() else { break };
        shell.on_link(event);
    }
    for _ in 0..BATCH {
        let Ok(signal) = ears.signals.try_recv() else { break };
        shell.on_signal(signal);
    }
}

/// True where nothing is left to do before the end, or no time to do it.
fn is_over(shell: &mut Shell, stop_at: Instant) -> bool {
    if shell.agent.is_settled() && shell.is_flushed() {
        return true;
    }
    let late = Instant::now() >= stop_at;
    if late {
        let (jobs, left) = (shell.agent.jobs(), shell.agent.len());
        shell.warn(format!("not all was done within {} s: {jobs} jobs still run and are removed by the helper or at the next start, {left} attempts are not acknowledged", STOP_PATIENCE.as_secs()));
    }
    late
}

#[cfg(test)]
mod tests;
