//! A hundred thousand random operations of 32 clients at once, honest, clumsy and hostile.
//!
//! Start at the test. A [`Client`] knows what it was answered; afterwards the pool's books must say the same. Which
//! operations a client makes depends on nothing but the seed and its answers.

use crate::support::{DEADLINE, TestPool, User, finished, within};
use hivemind_model::{Millis, Policy};
use hivemind_pki::NodeIdentity;
use hivemind_pool::Tuning;
use hivemind_proto::v1::project_service_client::ProjectServiceClient;
use hivemind_proto::v1::{
    AuditRequest, BalanceRequest, CancelTaskRequest, CloseProjectRequest, RegisterProjectRequest, StatementLine,
    StatementRequest, SubmitTaskRequest, SubmitTasksRequest, TipRequest, TransferManyRequest, TransferRequest,
    TransferResponse, TrialBalanceRequest,
};
use hivemind_proto::worker::pool_event::Event as FromPool;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::worker_service_client::WorkerServiceClient;
use hivemind_proto::worker::{AttemptStarted, Hello, NodeOffer, WorkerEvent, WorkerMessage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

const SEED: u64 = 0x5707;
const CLIENTS: usize = 32;
const OPERATIONS: usize = 100_000;
const WORKERS: usize = 4;
const SUPPLY_MICRO: i64 = 1_000_000_000_000_000_000;
/// The last of them is closed before the storm.
const PROJECTS: usize = 4;
/// Most lines of a page.
const PAGE: i32 = 1_000;

fn name(client: usize) -> String {
    format!("client-{client}")
}

fn project(number: usize) -> String {
    format!("project-{number}")
}

/// What must be answered.
enum Expect {
    /// It is new: made, or refused for want of money. The place of its record.
    New(usize),
    /// What was answered before.
    Same(usize),
    /// A refusal with this code.
    Refused(&'static str),
}

/// A transfer with an id, and what was answered to it.
struct Sent {
    request: TransferRequest,
    answer: Option<TransferResponse>,
}

struct Client {
    number: usize,
    user: User,
    random: StdRng,
    sent: Vec<Sent>,
    ids: u64,
    tasks: Vec<String>,
    /// Operations that were answered.
    done: usize,
    /// Transfers that were accepted: to whom, micro-CPT.
    paid: Vec<(String, i64)>,
    /// Tips that were accepted: to which project, micro-CPT.
    tipped: Vec<(String, i64)>,
    /// How often which answer came, for the sum at the end.
    answers: BTreeMap<&'static str, usize>,
}

impl Client {
    fn new(number: usize, user: User) -> Self {
        let random = StdRng::seed_from_u64(SEED + number as u64);
        let (sent, tasks, paid, tipped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { number, user, random, sent, ids: 0, tasks, done: 0, paid, tipped, answers: BTreeMap::new() }
    }

    fn count(&mut self, answer: &'static str) {
        self.done += 1;
        *self.answers.entry(answer).or_default() += 1;
    }

    async fn storm(mut self) -> Self {
        while self.done < OPERATIONS / CLIENTS {
            match self.random.random_range(0..100) {
                0..45 => self.transfer_many().await,
                45..55 => self.race().await,
                55..65 => self.transfer().await,
                65..75 => self.tip().await,
                75..83 => self.submit().await,
                83..90 => self.cancel().await,
                90..95 => self.balance().await,
                _ => self.read_statement().await,
            }
        }
        self
    }

    fn fresh_id(&mut self) -> String {
        self.ids += 1;
        format!("{}-{}", self.number, self.ids)
    }

    fn other(&mut self) -> String {
        name((self.number + self.random.random_range(1..CLIENTS)) % CLIENTS)
    }

    /// Mostly small change; now and then more than most have.
    fn micro(&mut self) -> i64 {
        if self.random.random_ratio(1, 20) {
            self.random.random_range(20_000_000..200_000_000)
        } else {
            self.random.random_range(1..300_000)
        }
    }

    /// A transfer of any kind, and what must be answered to it.
    fn any_transfer(&mut self) -> (TransferRequest, Expect) {
        let (micro, to_username, transfer_id) = (self.micro(), self.other(), self.fresh_id());
        let (amount, amount_micro) = (micro / 1_000_000, micro % 1_000_000);
        let good = TransferRequest { token: String::new(), to_username, amount, transfer_id, amount_micro };
        let before = (!self.sent.is_empty()).then(|| self.random.random_range(0..self.sent.len()));
        match (self.random.random_range(0..100), before) {
            (0..12, Some(place)) => (self.sent[place].request.clone(), Expect::Same(place)),
            (12..18, Some(place)) => {
                let before = self.sent[place].request.clone();
                let amount_micro = (before.amount_micro + 1) % 1_000_000;
                (TransferRequest { amount: before.amount + 1, amount_micro, ..before }, Expect::Refused("E_ID_REUSED"))
            }
            (18..22, _) => {
                (TransferRequest { to_username: name(self.number), ..good }, Expect::Refused("E_INVALID: to_username"))
            }
            (22..25, _) => (TransferRequest { to_username: "nobody".into(), ..good }, Expect::Refused("E_NOT_FOUND")),
            (25..30, _) => {
                let bad = [(0, 0), (-1, 0), (0, -1), (0, 1_000_000), (i64::MAX, 0), (i64::MIN, i64::MIN)];
                let (amount, amount_micro) = bad[self.random.random_range(0..bad.len())];
                (TransferRequest { amount, amount_micro, ..good }, Expect::Refused("E_INVALID: amount"))
            }
            _ => {
                self.sent.push(Sent { request: good.clone(), answer: None });
                (good, Expect::New(self.sent.len() - 1))
            }
        }
    }

    fn answered(&mut self, expect: &Expect, answer: TransferResponse) {
        let seed = SEED;
        match *expect {
            Expect::New(place) => {
                let TransferRequest { to_username, amount, amount_micro, .. } = self.sent[place].request.clone();
                if answer.success {
                    assert!(answer.new_balance_micro >= 0, "seed {seed}: {answer:?}");
                    self.paid.push((to_username, amount * 1_000_000 + amount_micro));
                    self.count("made");
                } else {
                    assert!(answer.message.starts_with("E_INSUFFICIENT_CPT"), "seed {seed}: {answer:?}");
                    self.count("too little");
                }
                self.sent[place].answer = Some(answer);
            }
            Expect::Same(place) => {
                assert_eq!(
                    Some(&answer),
                    self.sent[place].answer.as_ref(),
                    "seed {seed}: another answer to the same id"
                );
                self.count("the same again");
            }
            Expect::Refused(code) => {
                assert!(!answer.success && answer.message.starts_with(code), "seed {seed}: {code}: {answer:?}");
                self.count("refused");
            }
        }
    }

    async fn send(&self, transfers: Vec<TransferRequest>) -> Vec<TransferResponse> {
        let request = TransferManyRequest { token: self.user.token.clone(), transfers };
        within(self.user.money().transfer_many(request)).await.unwrap().into_inner().transfers
    }

    fn batch(&mut self) -> (Vec<TransferRequest>, Vec<Expect>) {
        (0..self.random.random_range(20..120)).map(|_| self.any_transfer()).unzip()
    }

    async fn transfer_many(&mut self) {
        let (requests, expected) = self.batch();
        let answers = self.send(requests).await;
        assert_eq!(answers.len(), expected.len());
        for (expect, answer) in expected.iter().zip(answers) {
            self.answered(expect, answer);
        }
    }

    /// The same batch twice at the same time: each transfer is made once, and both hear the same of it.
    async fn race(&mut self) {
        let (requests, expected) = self.batch();
        let (one, other) = tokio::join!(self.send(requests.clone()), self.send(requests));
        assert_eq!(one, other, "seed {SEED}: two answers to the same id");
        for (expect, answer) in expected.iter().zip(one) {
            self.answered(expect, answer);
        }
        for (expect, answer) in expected.into_iter().zip(other) {
            let again = if let Expect::New(place) = expect { Expect::Same(place) } else { expect };
            self.answered(&again, answer);
        }
    }

    async fn transfer(&mut self) {
        let (request, expect) = self.any_transfer();
        let request = TransferRequest { token: self.user.token.clone(), ..request };
        let answer = within(self.user.money().transfer(request)).await.unwrap().into_inner();
        self.answered(&expect, answer);
    }

    async fn tip(&mut self) {
        let number = self.random.random_range(0..PROJECTS);
        let micro = self.micro();
        let request = TipRequest {
            token: self.user.token.clone(),
            project: project(number),
            amount: micro / 1_000_000,
            amount_micro: micro % 1_000_000,
            message: "thanks".into(),
            tip_id: self.fresh_id(),
        };
        let mut projects = projects(&self.user);
        let first = within(projects.tip(request.clone())).await.unwrap().into_inner();
        let refusal = first.message.split(':').next().unwrap_or_default();
        match (first.success, refusal) {
            (true, _) => {
                assert!(
                    number != self.number && number + 1 != PROJECTS,
                    "seed {SEED}: a tip to one's own or a closed project"
                );
                self.tipped.push((project(number), micro));
                self.count("tipped");
            }
            (false, "E_INVALID") if number == self.number => self.count("refused"),
            (false, "E_CONFLICT") if number + 1 == PROJECTS => self.count("refused"),
            (false, "E_INSUFFICIENT_CPT") => self.count("too little"),
            (false, _) => panic!("seed {SEED}: {first:?}"),
        }
        if self.random.random_ratio(1, 3) {
            let again = within(projects.tip(request)).await.unwrap().into_inner();
            assert_eq!(again, first, "seed {SEED}: another answer to the same tip");
            self.count("the same again");
        }
    }

    async fn submit(&mut self) {
        let task = SubmitTaskRequest {
            token: self.user.token.clone(),
            task_name: "storm".into(),
            docker_image: "bb:1".into(),
            command: "true".into(),
            max_runtime: 10,
            required_memory: 6,
            required_disk_mb: 4,
            required_cpu_cores: 1,
            ..SubmitTaskRequest::default()
        };
        let tasks = vec![task; self.random.random_range(1..12)];
        let request = SubmitTasksRequest { token: self.user.token.clone(), tasks };
        for answer in within(self.user.tasks().submit_tasks(request)).await.unwrap().into_inner().tasks {
            if answer.success {
                self.tasks.push(answer.task_id);
                self.count("submitted");
            } else {
                assert!(answer.message.starts_with("E_INSUFFICIENT_CPT"), "seed {SEED}: {}", answer.message);
                self.count("too little");
            }
        }
    }

    /// Cancels one of its tasks, or tries to cancel one that never was.
    async fn cancel(&mut self) {
        let known = (!self.tasks.is_empty()).then(|| self.random.random_range(0..self.tasks.len()));
        let task_id = known.map_or_else(|| "task_999999999".into(), |place| self.tasks[place].clone());
        let request = CancelTaskRequest { token: self.user.token.clone(), task_id, ..Default::default() };
        let answer = within(self.user.tasks().cancel_task(request)).await;
        assert_eq!(answer.is_ok(), known.is_some(), "seed {SEED}: {answer:?}");
        self.count(if known.is_some() { "cancelled" } else { "refused" });
    }

    async fn balance(&mut self) {
        let request = BalanceRequest { token: self.user.token.clone() };
        let has = within(self.user.money().balance(request)).await.unwrap().into_inner();
        let parts = [has.balance_micro, has.held_micro, has.promo_micro, has.pending_micro, has.vesting_micro];
        assert!(parts.iter().all(|part| *part >= 0), "seed {SEED}: {has:?}");
        assert!(has.transferable_micro <= has.balance_micro, "seed {SEED}: {has:?}");
        self.count("read");
    }

    async fn read_statement(&mut self) {
        let (lines, _) = page(&self.user, String::new(), 100).await;
        assert_running(&lines);
        self.count("read");
    }
}

fn projects(user: &User) -> ProjectServiceClient<Channel> {
    ProjectServiceClient::new(user.channel.clone())
}

async fn page(user: &User, page_token: String, page_size: i32) -> (Vec<StatementLine>, String) {
    let request = StatementRequest { token: user.token.clone(), page_size, page_token, ..StatementRequest::default() };
    let page = within(user.money().statement(request)).await.unwrap().into_inner();
    (page.lines, page.next_page_token)
}

/// Newest first, each balance must follow from the one before it on the same account, and none is below zero.
fn assert_running(lines: &[StatementLine]) {
    let mut newer: BTreeMap<&str, &StatementLine> = BTreeMap::new();
    for line in lines {
        assert!(line.balance_micro >= 0, "seed {SEED}: {line:?}");
        if let Some(newer) = newer.insert(&line.account, line) {
            assert_eq!(
                newer.balance_micro,
                line.balance_micro + newer.amount_micro,
                "seed {SEED}: {line:?}, {newer:?}"
            );
        }
    }
}

/// What the journal says that the user gave: by transfers, by tips.
fn given(lines: &[StatementLine], kind: &str) -> Vec<(String, i64)> {
    let mut entries: BTreeMap<i64, (String, i64)> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.kind == kind && line.amount_micro < 0) {
        entries.entry(line.entry).or_insert_with(|| (line.counterparty.clone(), 0)).1 -= line.amount_micro;
    }
    sorted(entries.into_values().collect())
}

fn sorted(mut all: Vec<(String, i64)>) -> Vec<(String, i64)> {
    all.sort_unstable();
    all
}

/// A worker that ends every attempt as soon as it hears of it.
async fn work(pool: &TestPool, identity: NodeIdentity, offer: NodeOffer) {
    let channel = within(hivemind_client::connect(&pool.target(Some(identity)))).await.unwrap();
    let (sender, receiver) = mpsc::channel(1024);
    let say = |event| WorkerMessage { events: vec![WorkerEvent { event: Some(event) }] };
    sender.send(say(FromWorker::Hello(Hello { offer: Some(offer), holds: Vec::new() }))).await.unwrap();
    let link = within(WorkerServiceClient::new(channel).link(ReceiverStream::new(receiver))).await;
    let mut link = link.unwrap().into_inner();
    tokio::spawn(async move {
        // Ends with the pool.
        while let Ok(Some(message)) = link.message().await {
            for event in message.events {
                let Some(FromPool::Assign(assign)) = event.event else { continue };
                let attempt = assign.attempt.unwrap();
                let started = FromWorker::Started(AttemptStarted { attempt: Some(attempt) });
                for event in [started, FromWorker::Finished(finished(attempt, 0))] {
                    if sender.send(say(event)).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
}

/// The operator's own proof: the journal replayed, the stored books beside it, and the sums of all accounts.
async fn assert_balanced(pool: &TestPool) {
    let operator = pool.operator().await;
    let token = || operator.token.clone();
    let audit = within(operator.pool().audit(AuditRequest { token: token() })).await.unwrap().into_inner();
    assert!(audit.balanced && audit.bad_entry == 0, "seed {SEED}: {audit:?}");
    assert_eq!(audit.supply_micro, SUPPLY_MICRO);
    let trial =
        within(operator.pool().trial_balance(TrialBalanceRequest { token: token() })).await.unwrap().into_inner();
    assert_eq!((trial.supply_micro, trial.expected_supply_micro), (SUPPLY_MICRO, SUPPLY_MICRO));
    assert!(trial.lines.iter().all(|line| line.balance_micro >= 0), "seed {SEED}: {trial:?}");
    assert_eq!(trial.lines.iter().map(|line| line.balance_micro).sum::<i64>(), SUPPLY_MICRO);
}

/// The journal says of every client what the client was told.
async fn assert_same_books(clients: &[Client]) {
    let (mut received, mut paid, mut settled) = (0, 0, 0);
    for client in clients {
        let (mut lines, mut token) = page(&client.user, String::new(), PAGE).await;
        while !token.is_empty() {
            let (more, next) = page(&client.user, token, PAGE).await;
            lines.extend(more);
            token = next;
        }
        assert_running(&lines);
        assert_eq!(given(&lines, "transfer"), sorted(client.paid.clone()), "seed {SEED}: {}", name(client.number));
        assert_eq!(given(&lines, "tip"), sorted(client.tipped.clone()), "seed {SEED}: {}", name(client.number));
        received += lines.iter().filter(|line| line.kind == "transfer" && line.amount_micro > 0).count();
        paid += client.paid.len();
        settled += lines.iter().filter(|line| line.kind == "settlement").count();
    }
    assert!(settled > 0, "seed {SEED}: no task was paid");
    assert_eq!(received, paid, "seed {SEED}: a transfer has no other side");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_operations_leave_true_books() {
    // The workers say nothing while they have nothing to say.
    let policy = Policy { lost_after: Millis::from_secs(20 * DEADLINE.as_secs()), ..Policy::default() };
    let pool = TestPool::start_with(policy, Tuning::default()).await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(Client::new(number, pool.user(&name(number)).await));
    }
    for (number, Client { user, .. }) in clients.iter().enumerate().take(PROJECTS) {
        let repository = "https://example.org/project".into();
        let request = RegisterProjectRequest { token: user.token.clone(), name: project(number), repository };
        within(projects(user).register_project(request)).await.unwrap();
        if number + 1 == PROJECTS {
            let request = CloseProjectRequest { token: user.token.clone(), project: project(number) };
            within(projects(user).close_project(request)).await.unwrap();
        }
    }
    for (number, client) in clients.iter().enumerate().take(WORKERS) {
        let node = format!("node-{number}");
        let identity = pool.join(&client.user, &node).await;
        let offer = NodeOffer { cpu_millicores: 64_000, memory_bytes: 64 << 30, ..crate::support::offer(&node) };
        work(&pool, identity, offer).await;
    }
    let mut running = tokio::task::JoinSet::new();
    for client in clients {
        running.spawn(client.storm());
    }
    let mut clients = running.join_all().await;
    clients.sort_unstable_by_key(|client| client.number);
    assert_balanced(&pool).await;
    assert_same_books(&clients).await;
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for (answer, count) in clients.iter().flat_map(|client| &client.answers) {
        *answers.entry(answer).or_default() += count;
    }
    println!("{answers:?}");
    for answer in ["made", "too little", "the same again", "refused", "tipped", "submitted", "cancelled", "read"] {
        assert!(answers.contains_key(answer), "seed {SEED}: the storm has no `{answer}`: {answers:?}");
    }
    assert!(answers.values().sum::<usize>() >= OPERATIONS, "{answers:?}");
    // What is stored is what was lived through.
    assert_balanced(&pool.restart().await).await;
}
