//! Requests, changed files and what follows, with a loop and a machine that the test makes up.

use super::file::FILE;
use super::*;
use crate::cache::{FIRST_WAIT, InputCache};
use crate::control::Part;
use crate::share::HeldShare;
use hivemind_model::Bytes;
use hivemind_owner::Capacity;
use hivemind_owner::preferences::Shares;
use std::fs;
use std::sync::Arc;

/// An owner whose loop is the test.
struct Rig {
    data: tempfile::TempDir,
    orders: mpsc::Receiver<Order>,
    asked: mpsc::Sender<Asked>,
    status: watch::Sender<Status>,
    first: OwnerOrders,
    cache: Arc<InputCache>,
    _running: tokio::task::JoinHandle<()>,
}

/// What is kept of inputs where the preferences do not say.
const USUAL: Bytes = Bytes(5);

async fn rig_with(file: Option<&str>) -> anyhow::Result<Rig> {
    rig_within(file, None).await
}

async fn rig_within(file: Option<&str>, share: Option<HeldShare>) -> anyhow::Result<Rig> {
    let data = tempfile::tempdir()?;
    let path = |name: &str| data.path().join(name);
    fs::create_dir(path("machine"))?;
    fs::create_dir(path("scratch"))?;
    fs::create_dir(path("cache"))?;
    if let Some(text) = file {
        fs::write(path(FILE), text)?;
    }
    let cache = Arc::new(InputCache::open(&path("cache"), USUAL, FIRST_WAIT)?);
    let limits = Limits { share, cache: Arc::clone(&cache), usual: USUAL };
    let owner = Owner::begin(&path("machine"), data.path(), &path("scratch"), limits).await?;
    let first = owner.first_orders();
    let (orders_in, orders) = mpsc::channel(8);
    let (asked, asked_in) = mpsc::channel(8);
    let (status, status_in) = watch::channel(Status::default());
    let wires = Wires { node: "n".into(), orders: orders_in, asked: asked_in, status: status_in, page: Arc::default() };
    Ok(Rig { data, orders, asked, status, first, cache, _running: tokio::spawn(owner.run(wires)) })
}

async fn rig() -> Rig {
    rig_with(None).await.unwrap()
}

impl Rig {
    /// The answer, and what the loop was told before it: `open`, `clear`, ...
    async fn ask(&mut self, request: Request) -> (Answer, Vec<String>) {
        let (answer, mut answered) = oneshot::channel();
        self.asked.send(Asked { request, answer }).await.unwrap();
        let mut told = Vec::new();
        loop {
            tokio::select! {
                answer = &mut answered => return (answer.unwrap(), told),
                order = self.orders.recv() => told.extend(self.word(order.unwrap())),
            }
        }
    }

    fn word(&self, order: Order) -> Option<String> {
        match order {
            Order::Obey(orders) => Some(orders.machine.availability.as_str().to_owned()),
            Order::Clear => {
                self.status.send_modify(|status| status.jobs = 0);
                Some("clear".to_owned())
            }
            Order::Show(to) => {
                to.send(Vec::new()).unwrap();
                None
            }
            Order::Drain | Order::Stop => panic!("{order:?}"),
        }
    }

    async fn status(&mut self, request: Request) -> (Overview, Vec<String>) {
        match self.ask(request).await {
            (Answer::Status(overview), told) => (*overview, told),
            (other, _) => panic!("{other:?}"),
        }
    }

    fn file(&self) -> String {
        fs::read_to_string(self.data.path().join(FILE)).unwrap()
    }
}

const PAUSE: Request = Request::Pause { part: Part::Machine, for_ms: None };
const START: Request = Request::Start { part: Part::Machine };

#[tokio::test]
async fn a_first_start_is_open_and_leaves_a_file_to_change() {
    let rig = rig().await;
    assert_eq!(rig.first, OwnerOrders::default());
    let text = rig.file();
    assert!(text.starts_with("# What this machine may do"), "{text}");
    for (table, _) in file::COMMENTS {
        assert!(text.contains(&format!("\n[{table}]\n")), "{table} is missing in {text}");
    }
    assert_eq!(Preferences::parse(&text).unwrap(), Preferences::default());
    assert_eq!(fs::read_dir(rig.data.path().join("scratch")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_chosen_by_hand_counts_before_the_answer_and_lasts() {
    let mut rig = rig().await;
    let (overview, told) = rig.status(PAUSE).await;
    assert_eq!((overview.state.as_str(), overview.mode.as_str(), told), ("paused", "pause", vec!["paused".into()]));
    assert!(overview.sentence.contains("the owner paused it"), "{}", overview.sentence);
    let (overview, told) = rig.status(Request::Status).await;
    assert_eq!((overview.state.as_str(), told), ("paused", vec![]));
    let text = rig.file();
    let later = rig_with(Some(&text)).await.unwrap();
    assert_eq!(later.first.machine.availability.as_str(), "paused");
    let (overview, told) = rig.status(Request::Finish { part: Part::Machine, for_ms: Some(60_000) }).await;
    assert_eq!((overview.state.as_str(), told), ("finishing", vec!["finishing".into()]));
    assert!(overview.mode_until_unix_ms.is_some());
    assert_eq!(rig.status(START).await.1, ["open"]);
}

#[tokio::test]
async fn graphics_processors_are_paused_alone() {
    let mut rig = rig().await;
    let (overview, _) = rig.status(Request::Pause { part: Part::Gpu, for_ms: None }).await;
    assert_eq!((overview.state.as_str(), overview.gpu_state.as_str()), ("open", "paused"));
    let (overview, _) = rig.status(Request::Start { part: Part::Gpu }).await;
    assert_eq!(overview.gpu_state, "open");
}

#[tokio::test]
async fn an_emergency_stop_pauses_clears_and_says_when_nothing_runs() {
    let mut rig = rig().await;
    rig.status.send_modify(|status| status.jobs = 3);
    let (overview, told) = rig.status(Request::StopNow).await;
    assert_eq!(told, ["paused", "clear"]);
    assert_eq!((overview.state.as_str(), overview.undelivered), ("paused", 0));
}

#[tokio::test]
async fn other_preferences_are_taken_whole_or_not_at_all() {
    let mut rig = rig().await;
    let set = |toml: &str| Request::SetPreferences { toml: toml.into() };
    let before = rig.file();
    for bad in ["[idle]\nonly = 1", "[idle]\nolny = true", "[suspend]\nminutes = 100000", "nonsense"] {
        let (answer, told) = rig.ask(set(bad)).await;
        assert!(matches!(&answer, Answer::Refused { code, .. } if code == "E_INVALID"), "{bad}: {answer:?}");
        assert!(told.is_empty());
    }
    assert_eq!(rig.file(), before);
    rig.status(set("[suspend]\nminutes = 7")).await;
    let (answer, _) = rig.ask(Request::Preferences).await;
    let Answer::Preferences { path, toml } = answer else { panic!("{answer:?}") };
    assert_eq!(Preferences::parse(&toml).unwrap().suspend.minutes, 7);
    assert_eq!(toml, fs::read_to_string(path).unwrap());
    for for_ms in [0, u64::MAX] {
        let (answer, _) = rig.ask(Request::Pause { part: Part::Machine, for_ms: Some(for_ms) }).await;
        assert!(matches!(answer, Answer::Refused { .. }), "{for_ms}");
    }
}

#[tokio::test]
async fn a_changed_file_counts_and_one_that_is_broken_does_not() {
    let mut rig = rig().await;
    let path = rig.data.path().join(FILE);
    fs::write(&path, "[machine]\nmode = \"finish\"").unwrap();
    // Seen at the next look, which a request makes.
    assert_eq!(rig.status(Request::Status).await.0.state, "finishing");
    fs::write(&path, "[machine]\nmood = \"start\"").unwrap();
    let (overview, _) = rig.status(Request::Status).await;
    assert_eq!(overview.state, "finishing");
    assert!(overview.preferences_fault.unwrap().contains("mood"));
    // By hand it goes on all the same, and what the owner has written stays for them to mend.
    assert_eq!(rig.status(PAUSE).await.0.state, "paused");
    assert!(rig.file().contains("mood"));
    fs::write(&path, "[suspend]\nminutes = 3").unwrap();
    let (overview, _) = rig.status(Request::Status).await;
    assert_eq!((overview.state.as_str(), overview.preferences_fault), ("paused", None));
    let saved = Preferences::parse(&rig.file()).unwrap();
    assert_eq!((saved.suspend.minutes, saved.machine.mode), (3, Mode::Pause));
}

#[tokio::test]
async fn nothing_begins_against_preferences_that_cannot_be_read() {
    let refused = rig_with(Some("[machine]\nmood = 1")).await.err().unwrap();
    let text = format!("{refused:#}");
    assert!(text.contains("owner.toml is not usable") && text.contains("mood"), "{text}");
}

#[test]
fn a_moment_is_the_same_until_the_machine_slept() {
    let now = Instant::now() + Duration::from_secs(100);
    let at = |at: Instant| OwnerOrders {
        machine: Ordered { availability: Availability::Paused { reason: "r".into() }, give_back_at: Some(at) },
        ..OwnerOrders::default()
    };
    assert!(is_same(&at(now), &at(now + Duration::from_millis(900))));
    assert!(!is_same(&at(now), &at(now - Duration::from_secs(30))));
    assert!(!is_same(&at(now), &OwnerOrders::default()));
}

/// The share of a machine with eight processors that a test makes up, made by the defaults.
fn share_of(machine: &machine::Machine) -> HeldShare {
    let capacity = Capacity { cores: 8, memory_bytes: 8 << 30 };
    HeldShare::of(machine.root.path(), "a", &Shares::default(), capacity)
}

#[tokio::test]
async fn other_preferences_change_the_share_and_the_cache_at_once() {
    let machine = machine::with_groups("a");
    let share = share_of(&machine);
    let text = "[shares]\ncpu_percent = 50\n[cache]\nlimit_gib = 2";
    let mut rig = rig_within(Some(text), Some(share)).await.unwrap();
    let read = |file: &str| fs::read_to_string(machine.group.join(file)).unwrap();
    assert_eq!((read("cpu.max"), rig.cache.most()), ("400000 100000".into(), Bytes(2 << 30)));
    let set = |toml: &str| Request::SetPreferences { toml: toml.into() };
    let (overview, _) = rig.status(set("[shares]\ncpu_percent = 25\nmemory_percent = 50")).await;
    assert_eq!((read("cpu.max"), read("memory.max")), ("200000 100000".into(), (4u64 << 30).to_string()));
    assert_eq!((rig.cache.most(), overview.share_fault), (USUAL, None));
    // By the file, too; and what is chosen by hand changes no limit.
    fs::write(rig.data.path().join(FILE), "[cache]\nlimit_gib = 3").unwrap();
    rig.status(Request::Status).await;
    assert_eq!((read("cpu.max"), rig.cache.most()), ("max 100000".into(), Bytes(3 << 30)));
    rig.status(PAUSE).await;
    assert_eq!((read("cpu.max"), rig.cache.most()), ("max 100000".into(), Bytes(3 << 30)));
}

#[tokio::test]
async fn a_share_that_is_not_held_is_shown_to_its_owner() {
    let machine = machine::with_groups("a");
    let share = share_of(&machine);
    let mut rig = rig_within(None, Some(share)).await.unwrap();
    assert_eq!(rig.status(Request::Status).await.0.share_fault, None);
    fs::remove_file(machine.group.join("cpu.max")).unwrap();
    let (overview, _) = rig.status(Request::SetPreferences { toml: "[shares]\ncpu_percent = 1".into() }).await;
    assert!(overview.share_fault.is_some_and(|why| why.contains("cpu.max")));
    // Work that begins has it looked at again.
    fs::write(machine.group.join("cpu.max"), "").unwrap();
    rig.status.send_modify(|status| status.jobs = 1);
    assert_eq!(rig.status(Request::Status).await.0.share_fault, None);
    assert_eq!(fs::read_to_string(machine.group.join("cpu.max")).unwrap(), "8000 100000");
}

#[test]
fn what_the_share_counts_is_ours() {
    let machine = machine::with_groups("a");
    let data = tempfile::tempdir().unwrap();
    let cache = Arc::new(InputCache::open(data.path(), USUAL, FIRST_WAIT).unwrap());
    let told = |cpu: Option<u64>| Ours { cpu: cpu.map(Duration::from_secs), working: true, ..Ours::default() };
    let without = Limits { share: None, cache, usual: USUAL };
    assert_eq!(without.ours(told(Some(7))), told(Some(7)));
    let limits = Limits { share: Some(share_of(&machine)), ..without };
    let within = |cpu| Ours { cgroup: "hivemind_a.slice".into(), ..told(Some(cpu)) };
    assert_eq!(limits.ours(told(None)), within(0));
    fs::write(machine.group.join("cpu.stat"), "usage_usec 4500000\n").unwrap();
    assert_eq!(limits.ours(told(Some(2))), within(3));
    assert_eq!(limits.ours(told(Some(9))), within(9));
}
