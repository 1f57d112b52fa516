//! Attacks every promise of a runtime, and tells which held.
//!
//! Start at [`selftest`]. It knows the trait [`Runtime`] only, so it judges every runtime alike. The
//! attackers are containers of the image that [`trial`] packs; what they say is read in `evidence`, and
//! `docs/SELFTEST.md` lists how each promise is kept and attacked.
//!
//! Invariant: an attacker that did not run proves nothing, so its promises fail.

use crate::Runtime;
use evidence::Evidence;
use hivemind_model::spec::Digest;
use hivemind_model::state::Outcome;
use hivemind_model::units::{Bytes, MilliCores, Millis};
use hivemind_model::{Isolation, Kind};
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use trial::{Bench, Ended, Order};

mod around;
mod evidence;
mod promise;
pub(crate) mod trial;

pub use promise::{Line, Promise, Verdict};

/// Longest time that a stop or a time limit may take to show.
const SOON: Duration = Duration::from_secs(20);
/// Longest time that something killed may take to leave the list of processes.
const GONE: Duration = Duration::from_secs(1);
/// The time limit of the command that does not want to end.
const LIMIT: Millis = Millis(3000);
/// Shares of a core that the busy command gets, and from which on it has got more, in thousandths.
const SHARE: u16 = 250;
const TOO_MUCH: u64 = 500;

/// Attacks `runtime`; gives one line per promise, in the order of [`Promise::ALL`]. Each is also handed to
/// `report` as soon as it is known. `scratch` takes the attackers' image meanwhile.
///
/// It opens a port on every address of this machine while it runs, for attackers to knock at.
pub async fn selftest(runtime: &dyn Runtime, scratch: &Path, mut report: impl FnMut(&Line)) -> Vec<Line> {
    let mut evidence = Evidence::default();
    let mut lines: Vec<Line> = Vec::with_capacity(Promise::ALL.len());
    let mut tell = |evidence: &Evidence, promises: &[Promise]| {
        for promise in promises {
            let line = evidence.line(*promise);
            report(&line);
            lines.push(line);
        }
    };
    if !runtime.kinds().has(Kind::Container) {
        for promise in Promise::ALL {
            evidence.skip(promise, "this runtime runs no containers");
        }
        tell(&evidence, &Promise::ALL);
        return lines;
    }
    let bench = match Bench::prepare(runtime, scratch) {
        Ok(bench) => bench,
        Err(why) => {
            evidence.untried(&Promise::ALL, &why);
            tell(&evidence, &Promise::ALL);
            return lines;
        }
    };
    let (alone, limits, ends) = (&Promise::ALL[..11], &Promise::ALL[11..18], &Promise::ALL[18..]);
    confine(&bench, &mut evidence).await;
    neighbours(&bench, &mut evidence).await;
    tell(&evidence, alone);
    forks(&bench, &mut evidence).await;
    memory(&bench, &mut evidence).await;
    cpu(&bench, &mut evidence).await;
    disk(&bench, &mut evidence).await;
    tell(&evidence, limits);
    linger(&bench, &mut evidence).await;
    time_limit(&bench, &mut evidence).await;
    stop(&bench, &mut evidence).await;
    tell(&evidence, ends);
    lines
}

/// True of the archive with the attackers, which every owner's rules let run.
#[must_use]
pub fn is_own_image(digest: &Digest) -> bool {
    use sha2::Digest as _;
    static OWN: OnceLock<Option<Digest>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let mut hash = sha2::Sha256::new();
        // Hashing takes everything; a packing that fails gives a digest that nobody has.
        let packed = trial::pack(&mut HashWriter(&mut hash));
        packed.ok().map(|_| Digest(hash.finalize().into()))
    });
    own.as_ref() == Some(digest)
}

struct HashWriter<'a>(&'a mut sha2::Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        sha2::Digest::update(self.0, data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What one process can try alone.
async fn confine(bench: &Bench<'_>, evidence: &mut Evidence) {
    const TRIED: [Promise; 13] = [
        Promise::HostFiles,
        Promise::Network,
        Promise::HostProcesses,
        Promise::OwnNames,
        Promise::User,
        Promise::Capabilities,
        Promise::Setuid,
        Promise::SystemCalls,
        Promise::ReadOnlyRoot,
        Promise::Tmp,
        Promise::Swap,
        Promise::OpenFiles,
        Promise::OtherTasks,
    ];
    let around = match around::Around::open(&trial::nonce()) {
        Ok(around) => around,
        Err(error) => return evidence.untried(&TRIED, &format!("nothing could be put around the attackers: {error}")),
    };
    let order = Order::new("confine");
    let order = order
        .clone()
        .with("bait", around.bait.path().display())
        .with("addresses", around::addresses())
        .with("port", around.port)
        .with("abstract", &around.name)
        .with("memory", order.resources.memory.0);
    // Other tasks are the next trial's.
    let Some(ended) = complete(bench.run(order).await, evidence, &TRIED[..12]) else { return };
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match ended.fact("hostname") {
        Some(name) => evidence.check(Promise::OwnNames, name != own, || format!("is told the machine's name `{own}`")),
        None => evidence.untried(&[Promise::OwnNames], "the attacker found no host name"),
    }
    if bench.runtime().isolation() == Isolation::Sandboxed {
        evidence.excuse(Promise::SystemCalls, "the container has a kernel of its own, whose calls need no filter");
    }
}

/// The words of an attacker that came to its end, taken into `evidence`; `None`, with `tried` marked, where it did
/// not.
fn complete(ended: Result<Ended, String>, evidence: &mut Evidence, tried: &[Promise]) -> Option<Ended> {
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => {
            evidence.untried(tried, &why);
            return None;
        }
    };
    evidence.hear(&ended.said, &ended.nonce);
    if ended.is_complete() && ended.finished.outcome == (Outcome::Exited { code: 0 }) {
        return Some(ended);
    }
    evidence.untried(tried, &unfinished(&ended));
    None
}

fn unfinished(ended: &Ended) -> String {
    let last = ended.said.lines().last().unwrap_or("nothing").replace(&ended.nonce, "");
    format!("an attacker ended with {:?} and said last: {}", ended.finished.outcome, last.trim())
}

/// Two tasks at once.
async fn neighbours(bench: &Bench<'_>, evidence: &mut Evidence) {
    const TRIED: [Promise; 4] = [Promise::OtherTasks, Promise::OwnNames, Promise::HostProcesses, Promise::Network];
    let secret = trial::nonce();
    let leaving = bench.start(Order::new("leave").with("secret", &secret));
    let (left, stop) = (leaving.watch("left"), leaving.stop.clone());
    let mut leaving = std::pin::pin!(leaving.finish());
    let searching = async {
        match left.told().await {
            true => bench.run(Order::new("search").with("secret", &secret)).await,
            false => Err("the task that leaves a secret did not".to_owned()),
        }
    };
    let (searched, is_over) = tokio::select! {
        biased;
        // Then both did not run at once, whatever the other would say.
        ended = &mut leaving => (Err(ended.map_or_else(|why| why, |ended| unfinished(&ended))), true),
        searched = searching => (searched, false),
    };
    complete(searched, evidence, &TRIED);
    stop.cancel();
    // Whether a stop works is tried by itself; what does not heed it is dropped, and ends by itself.
    if !is_over && tokio::time::timeout(SOON, leaving).await.is_err() {
        tracing::warn!("an attacker of the self-test was stopped and still runs; it ends within a minute");
    }
}

async fn forks(bench: &Bench<'_>, evidence: &mut Evidence) {
    let mut order = Order::new("forks");
    order.resources.memory = Bytes::from_mib(512);
    complete(bench.run(order).await, evidence, &[Promise::Forks]);
}

async fn memory(bench: &Bench<'_>, evidence: &mut Evidence) {
    let mut order = Order::new("memory");
    order.resources.memory = Bytes::from_mib(64);
    let ended = match bench.run(order.with("bytes", Bytes::from_mib(256).0)).await {
        Ok(ended) => ended,
        Err(why) => return evidence.untried(&[Promise::Memory], &why),
    };
    evidence.hear(&ended.said, &ended.nonce);
    if ended.fact("memory").is_none() {
        return evidence.untried(&[Promise::Memory], &unfinished(&ended));
    }
    let outcome = ended.finished.outcome;
    evidence.check(Promise::Memory, outcome == Outcome::OutOfMemory, || format!("the bomb ended with {outcome:?}"));
}

async fn cpu(bench: &Bench<'_>, evidence: &mut Evidence) {
    let mut order = Order::new("cpu");
    order.resources.cpu = MilliCores(SHARE.into());
    let Some(ended) = complete(bench.run(order.with("millis", 1200)).await, evidence, &[Promise::Cpu]) else { return };
    let told = ended.fact("cpu").and_then(|fact| {
        let mut numbers = fact.split(' ').map_while(|word| word.parse::<u64>().ok());
        Some((numbers.next()?, numbers.next().filter(|wall| *wall > 0)?))
    });
    let Some((used, wall)) = told else {
        return evidence.untried(&[Promise::Cpu], "the attacker could not read what it used");
    };
    let share = used * 1000 / wall;
    evidence.check(Promise::Cpu, share <= TOO_MUCH, || {
        format!("used {share} thousandths of a core where {SHARE} were given")
    });
    // The machine's own count, with the start of the container in it.
    let metered = ended.finished.metering.cpu.0 * 1000 / ended.finished.metering.wall.0.max(1);
    evidence.check(Promise::Cpu, metered <= TOO_MUCH * 2, || {
        format!("was metered at {metered} thousandths of a core where {SHARE} were given")
    });
}

async fn disk(bench: &Bench<'_>, evidence: &mut Evidence) {
    let order = Order::new("disk");
    let bytes = order.resources.disk.0;
    complete(bench.run(order.with("bytes", bytes)).await, evidence, &[Promise::Disk, Promise::Inodes]);
}

/// A command that ends and leaves daemons.
async fn linger(bench: &Bench<'_>, evidence: &mut Evidence) {
    let ended = bench.run(Order::new("linger").with("then", "exit")).await;
    if let Some(ended) = complete(ended, evidence, &[Promise::NothingStays]) {
        nothing_runs(&ended.nonce, "its command had ended", evidence).await;
    }
}

/// Looks for what is left of the attacker with `nonce`.
async fn nothing_runs(nonce: &str, when: &str, evidence: &mut Evidence) {
    let begun = Instant::now();
    loop {
        match around::running(nonce) {
            None => return evidence.untried(&[Promise::NothingStays], "the machine's processes cannot be listed"),
            Some(left) if left.is_empty() => return evidence.held(Promise::NothingStays, 1),
            Some(left) if begun.elapsed() > GONE => {
                let left = left.join(", ");
                return evidence.broken(Promise::NothingStays, format!("after {when}, process {left} ran on"));
            }
            // What was killed takes a moment to leave.
            Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A command that ignores what is polite, and runs out of time.
async fn time_limit(bench: &Bench<'_>, evidence: &mut Evidence) {
    let mut order = Order::new("linger");
    order.max_runtime = LIMIT;
    ends_when(bench, order, Promise::TimeLimit, &Outcome::TimedOut, evidence).await;
}

/// A command that ignores what is polite, and is stopped.
async fn stop(bench: &Bench<'_>, evidence: &mut Evidence) {
    ends_when(bench, Order::new("linger"), Promise::Stop, &Outcome::Cancelled, evidence).await;
}

async fn ends_when(bench: &Bench<'_>, order: Order, promise: Promise, wanted: &Outcome, evidence: &mut Evidence) {
    let trial = bench.start(order);
    let (ready, stop, nonce) = (trial.watch("ready"), trial.stop.clone(), trial.nonce.clone());
    let mut running = std::pin::pin!(trial.finish());
    let is_ready = tokio::select! {
        biased;
        ready = ready.told() => ready,
        ended = &mut running => {
            let why = ended.map_or_else(|why| why, |ended| unfinished(&ended));
            return evidence.untried(&[promise], &why);
        }
    };
    if !is_ready {
        return evidence.untried(&[promise], "the attacker did not begin");
    }
    if promise == Promise::Stop {
        stop.cancel();
    }
    // A sandbox shows none of its processes: then their absence says nothing.
    let is_seen = around::running(&nonce).is_some_and(|found| !found.is_empty());
    let patience = SOON + Duration::from_millis(LIMIT.0);
    match tokio::time::timeout(patience, running).await {
        Err(_) => evidence.broken(promise, format!("the command ran on for {} s", patience.as_secs())),
        Ok(Err(why)) => evidence.untried(&[promise], &why),
        Ok(Ok(ended)) => {
            let outcome = ended.finished.outcome;
            evidence.check(promise, outcome == *wanted, || format!("the command ended with {outcome:?}"));
            if is_seen || bench.runtime().isolation() != Isolation::Sandboxed {
                nothing_runs(&nonce, "it was killed", evidence).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeConfig, FakeRuntime};

    /// The fake starts nothing: what it says of endings is no proof.
    #[tokio::test]
    async fn a_runtime_that_runs_nothing_keeps_no_promise() {
        let scratch = tempfile::tempdir().expect("a folder");
        let mut told = Vec::new();
        let lines =
            selftest(&FakeRuntime::new(FakeConfig::default()), scratch.path(), |line| told.push(line.clone())).await;
        assert_eq!(lines.iter().map(|line| line.promise).collect::<Vec<_>>(), Promise::ALL);
        assert_eq!(lines, told);
        for line in lines {
            assert_eq!(line.verdict, Verdict::Fail, "{line}");
            assert!(line.detail.starts_with("could not be tried"), "{line}");
        }
        let left = std::fs::read_dir(scratch.path()).expect("listed").count();
        assert_eq!(left, 0, "files are left");
    }
}
