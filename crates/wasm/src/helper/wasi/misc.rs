//! Words, clocks, chance, and what is not there.
//!
//! The clock begins at a fixed moment and is the fuel used since then: a module that waits uses fuel
//! instead of time. So it is never late, and reads the same on every machine.
//!
//! Invariant: no clock and no chance of this machine is asked.

use super::Call;
use super::fds::Thing;
use crate::helper::errno::{Answer, Errno, Fail};
use crate::profile::{FUEL_PER_NANO, START_NANOS};

/// Most things that a module waits for at once.
const MOST_SUBSCRIPTIONS: i32 = 4096;
/// Bytes of a subscription, and of an event.
const SUBSCRIPTION: i32 = 48;
const EVENT: i32 = 32;

fn put_words(call: &mut Call<'_>, words: &[String], mut at: i32, mut text: i32) -> Answer<()> {
    for word in words {
        call.put_u32(at, text.cast_unsigned())?;
        call.put(text, word.as_bytes())?;
        let length = i32::try_from(word.len()).map_err(|_| Errno::Fault)?;
        call.put(text.wrapping_add(length), &[0])?;
        text = text.wrapping_add(length).wrapping_add(1);
        at = at.wrapping_add(4);
    }
    Ok(())
}

fn put_sizes(call: &mut Call<'_>, words: &[String], count: i32, bytes: i32) -> Answer<()> {
    let total: usize = words.iter().map(|word| word.len() + 1).sum();
    call.put_u32(count, u32::try_from(words.len()).map_err(|_| Errno::Fault)?)?;
    call.put_u32(bytes, u32::try_from(total).map_err(|_| Errno::Fault)?)
}

/// Lends what is kept in the state to `act`, beside the call.
fn with<T>(
    call: &mut Call<'_>,
    which: impl Fn(&mut super::State) -> &mut Vec<String>,
    act: impl FnOnce(&mut Call<'_>, &[String]) -> T,
) -> T {
    let words = std::mem::take(which(call.state));
    let result = act(call, &words);
    *which(call.state) = words;
    result
}

pub(super) fn args_get(call: &mut Call<'_>, at: i32, text: i32) -> Answer<()> {
    with(call, |state| &mut state.words, |call, words| put_words(call, words, at, text))
}

pub(super) fn args_sizes_get(call: &mut Call<'_>, count: i32, bytes: i32) -> Answer<()> {
    with(call, |state| &mut state.words, |call, words| put_sizes(call, words, count, bytes))
}

pub(super) fn environ_get(call: &mut Call<'_>, at: i32, text: i32) -> Answer<()> {
    with(call, |state| &mut state.environment, |call, words| put_words(call, words, at, text))
}

pub(super) fn environ_sizes_get(call: &mut Call<'_>, count: i32, bytes: i32) -> Answer<()> {
    with(call, |state| &mut state.environment, |call, words| put_sizes(call, words, count, bytes))
}

/// Nanoseconds since the start.
fn elapsed(call: &Call<'_>) -> u64 {
    call.state.fuel.saturating_sub(call.fuel) / FUEL_PER_NANO
}

/// What the clock shows: the first tells the date, the others the time since the start.
fn now(call: &Call<'_>, clock: u32) -> Answer<u64> {
    match clock {
        0 => Ok(START_NANOS + elapsed(call)),
        1..=3 => Ok(elapsed(call)),
        _ => Err(Errno::Inval.into()),
    }
}

pub(super) fn clock_res_get(call: &mut Call<'_>, clock: i32, out: i32) -> Answer<()> {
    now(call, clock.cast_unsigned())?;
    call.put_u64(out, 1)
}

pub(super) fn clock_time_get(call: &mut Call<'_>, clock: i32, _precision: i64, out: i32) -> Answer<()> {
    let now = now(call, clock.cast_unsigned())?;
    call.put_u64(out, now)
}

/// One thing that a module waits for.
enum Wait {
    /// Until the clock has run so far from now.
    Time { nanos: u64 },
    /// Nothing: it is so already, or cannot be.
    Now { kind: u8, error: u16 },
}

fn subscription(call: &Call<'_>, at: i32) -> Answer<Wait> {
    let kind = call.bytes(at.wrapping_add(8), 1)?[0];
    let number = call.get_u32(at.wrapping_add(16))?;
    match kind {
        0 => {
            let timeout = call.get_u64(at.wrapping_add(24))?;
            let is_moment = call.bytes(at.wrapping_add(40), 1)?[0] & 1 != 0;
            match now(call, number) {
                Ok(now) if is_moment => Ok(Wait::Time { nanos: timeout.saturating_sub(now) }),
                Ok(_) => Ok(Wait::Time { nanos: timeout }),
                Err(Fail::Errno(errno)) => Ok(Wait::Now { kind, error: errno as u16 }),
                Err(halt @ Fail::Halt(_)) => Err(halt),
            }
        }
        1 | 2 => {
            let error = if call.state.fds.get(number.cast_signed()).is_ok() { 0 } else { Errno::Badf as u16 };
            Ok(Wait::Now { kind, error })
        }
        _ => Err(Errno::Inval.into()),
    }
}

pub(super) fn poll_oneoff(call: &mut Call<'_>, subscriptions: i32, events: i32, count: i32, out: i32) -> Answer<()> {
    if !(1..=MOST_SUBSCRIPTIONS).contains(&count) {
        return Err(Errno::Inval.into());
    }
    call.spend(u64::from(count.cast_unsigned()) * 100)?;
    let mut waits = Vec::new();
    for index in 0..count {
        let at = subscriptions.wrapping_add(index.wrapping_mul(SUBSCRIPTION));
        waits.push((call.get_u64(at)?, subscription(call, at)?));
    }
    let first = waits.iter().map(|(_, wait)| match wait {
        Wait::Time { nanos } => *nanos,
        Wait::Now { .. } => 0,
    });
    let passed = first.min().unwrap_or(0);
    call.spend(passed.saturating_mul(FUEL_PER_NANO))?;
    let mut happened = 0;
    for (userdata, wait) in waits {
        let (kind, error) = match wait {
            Wait::Time { nanos } if nanos <= passed => (0, 0),
            Wait::Time { .. } => continue,
            Wait::Now { kind, error } => (kind, error),
        };
        let mut event = [0; EVENT as usize];
        event[..8].copy_from_slice(&userdata.to_le_bytes());
        event[8..10].copy_from_slice(&error.to_le_bytes());
        event[10] = kind;
        call.put(events.wrapping_add(happened * EVENT), &event)?;
        happened += 1;
    }
    call.put_u32(out, happened.cast_unsigned())
}

/// There are no signals.
pub(super) fn proc_raise(_: &mut Call<'_>, _signal: i32) -> Answer<()> {
    Err(Errno::Nosys.into())
}

/// There is nobody else.
pub(super) fn sched_yield(_: &mut Call<'_>) -> Answer<()> {
    Ok(())
}

pub(super) fn random_get(call: &mut Call<'_>, at: i32, length: i32) -> Answer<()> {
    let length = length.cast_unsigned();
    call.bytes(at, length)?;
    call.spend(u64::from(length) * 8)?;
    let begin = at.cast_unsigned() as usize;
    let into = call.memory.get_mut(begin..begin.saturating_add(length as usize)).ok_or(Errno::Fault)?;
    call.state.random.fill(into);
    Ok(())
}

/// There are no sockets; what is no socket is no descriptor, or something else.
fn no_socket(call: &Call<'_>, fd: i32) -> Answer<()> {
    match call.state.fds.get(fd)?.thing {
        Thing::Stdin | Thing::Stdout | Thing::Stderr | Thing::File { .. } | Thing::Folder { .. } => {
            Err(Errno::Notsock.into())
        }
    }
}

pub(super) fn sock_accept(call: &mut Call<'_>, fd: i32, _: i32, _: i32) -> Answer<()> {
    no_socket(call, fd)
}

pub(super) fn sock_recv(call: &mut Call<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32, _: i32) -> Answer<()> {
    no_socket(call, fd)
}

pub(super) fn sock_send(call: &mut Call<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32) -> Answer<()> {
    no_socket(call, fd)
}

pub(super) fn sock_shutdown(call: &mut Call<'_>, fd: i32, _: i32) -> Answer<()> {
    no_socket(call, fd)
}
