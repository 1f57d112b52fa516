//! Tasks as pages show them: grids, groups of failures, timelines, tails of logs, searches.

use crate::support::{DEADLINE, Link, TestPool, User, finished, hello, within};
use hivemind_proto::v1::*;
use hivemind_proto::worker::outcome::Kind;
use hivemind_proto::worker::pool_event::Event as FromPool;
use hivemind_proto::worker::worker_event::Event as FromWorker;
use hivemind_proto::worker::{AttemptFinished, AttemptRef, LogData, Outcome};
use tonic::{Code, Status};

async fn submit(user: &User, indices: &str) -> String {
    let request = SubmitTaskRequest { array: indices.into(), max_runtime: 1, ..user.task("array") };
    let answer = within(user.tasks().submit_task(request)).await.unwrap().into_inner();
    assert!(answer.success, "{}", answer.message);
    answer.task_id
}

async fn cancel(user: &User, task: &str, elements: &str) {
    let request = CancelTaskRequest { token: user.token.clone(), task_id: task.into(), elements: elements.into() };
    within(user.tasks().cancel_task(request)).await.unwrap();
}

/// The next attempt that is handed out.
async fn next(link: &mut Link) -> AttemptRef {
    loop {
        match link.next().await.unwrap() {
            FromPool::Assign(assign) => return assign.attempt.unwrap(),
            FromPool::Stop(_) | FromPool::FinishedAck(_) | FromPool::Beat(_) => {}
            other => panic!("expected an Assign, got {other:?}"),
        }
    }
}

fn index(attempt: &AttemptRef) -> u32 {
    attempt.index
}

fn outcome(kind: Kind, exit_code: i32, reason: &str) -> Outcome {
    Outcome { kind: kind.into(), exit_code, reason: reason.into() }
}

async fn end(link: &mut Link, attempt: AttemptRef, outcome: Outcome, stderr: &'static str) {
    link.started(attempt).await;
    let data = LogData { attempt: Some(attempt), stderr: true, offset: 0, data: stderr.into() };
    if !stderr.is_empty() {
        link.send(FromWorker::Log(data)).await;
    }
    let report = AttemptFinished { outcome: Some(outcome), stderr_bytes: stderr.len() as u64, ..finished(attempt, 0) };
    link.send(FromWorker::Finished(report)).await;
}

async fn grid(user: &User, task: &str, first_index: u32, limit: u32) -> Result<ElementGridResponse, Status> {
    let request = ElementGridRequest { token: user.token.clone(), task_id: task.into(), first_index, limit };
    within(user.tasks().element_grid(request)).await.map(tonic::Response::into_inner)
}

async fn failures(user: &User, task: &str) -> Result<FailureGroupsResponse, Status> {
    let request = FailureGroupsRequest { token: user.token.clone(), task_id: task.into() };
    within(user.tasks().failure_groups(request)).await.map(tonic::Response::into_inner)
}

async fn timeline(user: &User, task: &str, limit: u32) -> Result<TimelineResponse, Status> {
    let request = TimelineRequest { token: user.token.clone(), task_id: task.into(), limit };
    within(user.tasks().timeline(request)).await.map(tonic::Response::into_inner)
}

/// Waits until the grid of the whole task is this.
async fn until_grid(user: &User, task: &str, states: &[u8]) -> ElementGridResponse {
    let reached = async {
        loop {
            let told = grid(user, task, 0, 0).await.unwrap();
            if told.states == states {
                return told;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(DEADLINE, reached).await {
        Ok(told) => told,
        Err(_) => panic!("expected {states:?}, it stays at {:?}", grid(user, task, 0, 0).await),
    }
}

#[tokio::test]
async fn every_way_to_stand_is_in_the_grid_of_an_array_with_gaps() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = submit(&ada, "1-3,50-55").await;
    assert_eq!(grid(&ada, &task, 0, 0).await.unwrap().states, [0; 9][..], "nothing was tried yet");
    cancel(&ada, &task, "55").await;
    assert_eq!(grid(&ada, &task, 0, 0).await.unwrap().states, [0, 0, 0, 0, 0, 0, 0, 0, 4][..]);
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    let attempts = [next(&mut link).await, next(&mut link).await, next(&mut link).await, next(&mut link).await];
    assert_eq!(attempts.each_ref().map(index), [1, 2, 3, 50]);
    end(&mut link, attempts[0], outcome(Kind::Exited, 0, ""), "").await;
    end(&mut link, attempts[1], outcome(Kind::Exited, 3, ""), "").await;
    let told = until_grid(&ada, &task, &[2, 3, 1, 1, 1, 1, 1, 1, 4]).await;
    assert_eq!((told.indices.as_str(), told.next_index, told.total), ("1-3,50-55", None, 9));
    assert_eq!(told.status, "running");
    let part = async |first, limit| {
        let told = grid(&ada, &task, first, limit).await.unwrap();
        (told.indices, told.states.to_vec(), told.next_index)
    };
    assert_eq!(part(0, 2).await, ("1-2".into(), vec![2, 3], Some(3)));
    assert_eq!(part(3, 2).await, ("3,50".into(), vec![1, 1], Some(51)));
    assert_eq!(part(4, 1).await, ("50".into(), vec![1], Some(51)));
    assert_eq!(part(53, 1_000_000).await, ("53-55".into(), vec![1, 1, 4], None));
    assert_eq!(part(56, 0).await, (String::new(), vec![], None));
    let refused = grid(&ada, &task, 0, 1_000_001).await.unwrap_err();
    assert!(refused.message().starts_with("E_INVALID: limit: "), "{refused}");
    cancel(&ada, &task, "").await;
    let told = until_grid(&ada, &task, &[2, 3, 4, 4, 4, 4, 4, 4, 4]).await;
    assert_eq!(told.status, "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_elements_are_one_answer() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = submit(&ada, "1-60000,100000-139999").await;
    cancel(&ada, &task, "1000-60000,100000-139998").await;
    let told = grid(&ada, &task, 0, 0).await.unwrap();
    let wanted: Vec<u8> = (1..=100_000).map(|place| if place < 1000 || place == 100_000 { 0 } else { 4 }).collect();
    assert!(told.states == wanted, "{} states", told.states.len());
    assert_eq!((told.indices.as_str(), told.total), ("1-60000,100000-139999", 100_000));
    // The last of one answer and the first of the next are neighbours in different ranges.
    let first = grid(&ada, &task, 0, 60_000).await.unwrap();
    assert_eq!((first.states.len(), first.next_index), (60_000, Some(100_000)));
    let second = grid(&ada, &task, 100_000, 0).await.unwrap();
    assert_eq!((second.states.len(), second.next_index), (40_000, None));
    assert_eq!(failures(&ada, &task).await.unwrap(), FailureGroupsResponse::default());
}

#[tokio::test]
async fn a_plain_task_is_a_grid_of_one() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let cancelled = ada.submit("cancelled").await;
    until_grid(&ada, &cancelled, &[0]).await;
    cancel(&ada, &cancelled, "").await;
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    let mut ends = vec![(cancelled, 4)];
    for (code, byte) in [(0, 2), (1, 3)] {
        let task = ada.submit("plain").await;
        let attempt = next(&mut link).await;
        until_grid(&ada, &task, &[1]).await;
        end(&mut link, attempt, outcome(Kind::Exited, code, ""), "").await;
        assert_eq!(link.acknowledged().await, "");
        ends.push((task, byte));
    }
    for (task, byte) in ends {
        let told = grid(&ada, &task, 0, 0).await.unwrap();
        assert_eq!((told.indices.as_str(), told.states.to_vec(), told.total), ("0", vec![byte], 1));
        let failed = failures(&ada, &task).await.unwrap();
        assert_eq!((failed.failed, failed.groups.len()), (u32::from(byte == 3), usize::from(byte == 3)));
    }
}

#[tokio::test]
async fn what_failed_alike_is_told_together_with_what_it_said_last() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = submit(&ada, "1-3,7-9,20").await;
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    for _ in 0..7 {
        let attempt = next(&mut link).await;
        let (how, said) = match index(&attempt) {
            1 | 2 | 7 => (outcome(Kind::Exited, 3, ""), "one\nKeyError: \x1b[1m'x'\n\n"),
            3 => (outcome(Kind::Exited, 0, ""), "a warning\n"),
            8 => (outcome(Kind::CannotStart, 0, "exec: \"/task/a\": not found, try 12"), ""),
            9 => (outcome(Kind::CannotStart, 0, "exec: \"/task/b\": not found, try 7"), ""),
            _ => (outcome(Kind::Exited, 4, ""), ""),
        };
        end(&mut link, attempt, how, said).await;
    }
    until_grid(&ada, &task, &[3, 3, 2, 3, 3, 3, 3]).await;
    let told = failures(&ada, &task).await.unwrap();
    assert_eq!((told.failed, told.ungrouped, told.cut), (6, 0, false));
    let groups: Vec<_> = told
        .groups
        .iter()
        .map(|group| (group.signature.as_str(), group.count, group.example_elements.as_str(), group.exit_code))
        .collect();
    let cannot_start = "E_CANNOT_START: command could not be started: exec: <text>: not found, try <n>";
    assert_eq!(
        groups,
        [
            ("E_EXIT: the command ended with exit code 3", 3, "1-2,7", Some(3)),
            (cannot_start, 2, "8-9", None),
            ("E_EXIT: the command ended with exit code 4", 1, "20", Some(4)),
        ]
    );
    assert_eq!((told.groups[0].last_line.as_str(), told.groups[0].last_line_element), ("KeyError: ?[1m'x'", 1));
    assert_eq!((told.groups[2].last_line.as_str(), told.groups[2].last_line_element), ("", 0));
    assert!(told.groups[1].error_message.contains("\"/task/a\""), "{}", told.groups[1].error_message);
}

#[tokio::test]
async fn a_timeline_tells_who_ran_what_and_how_it_ended() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = submit(&ada, "5-7").await;
    assert_eq!(timeline(&ada, &task, 0).await.unwrap().bars, []);
    let (mut link, _) = pool.link(&pool.join(&ada, "lab-1").await, hello("lab-1")).await;
    let attempts = [next(&mut link).await, next(&mut link).await, next(&mut link).await];
    end(&mut link, attempts[0], outcome(Kind::Exited, 0, ""), "").await;
    end(&mut link, attempts[1], outcome(Kind::Infrastructure, 0, "the disk is gone"), "").await;
    let again = next(&mut link).await;
    assert_eq!((index(&again), again.number), (6, 2));
    end(&mut link, again, outcome(Kind::Exited, 9, ""), "").await;
    until_grid(&ada, &task, &[2, 3, 1]).await;
    let told = timeline(&ada, &task, 0).await.unwrap();
    let mut bars: Vec<_> = told.bars.iter().map(|bar| (bar.element, bar.attempt, bar.outcome.as_str())).collect();
    bars.sort_unstable();
    assert_eq!(bars, [(5, 1, "completed"), (6, 1, "fault"), (6, 2, "failed"), (7, 1, "running")]);
    assert!(!told.cut && told.bars.is_sorted_by_key(|bar| bar.from_unix_ms));
    for bar in &told.bars {
        let runs = bar.element == 7;
        assert_eq!(
            (bar.node.as_str(), bar.to_unix_ms == 0, bar.preparing, bar.comparing),
            ("lab-1", runs, runs, false)
        );
        assert!(bar.assigned_at_unix_ms <= bar.from_unix_ms && bar.from_unix_ms <= told.now_unix_ms, "{bar:?}");
        assert!(runs || bar.from_unix_ms <= bar.to_unix_ms, "{bar:?}");
    }
    // What was handed out last is what is told where not all is.
    let newest = timeline(&ada, &task, 1).await.unwrap();
    assert!(newest.cut && (newest.bars[0].element, newest.bars[0].attempt) == (6, 2), "{newest:?}");
    let refused = timeline(&ada, &task, 2001).await.unwrap_err();
    assert!(refused.message().starts_with("E_INVALID: limit: "), "{refused}");
}

#[tokio::test]
async fn a_page_begins_at_the_tail_of_what_was_written() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let (mut link, _) = pool.link(&pool.join(&ada, "one").await, hello("one")).await;
    let task = ada.submit("wordy").await;
    let attempt = next(&mut link).await;
    link.started(attempt).await;
    link.log(attempt, 0, b"0123456789").await;
    let stderr = LogData { attempt: Some(attempt), stderr: true, offset: 0, data: "oh".into() };
    link.send(FromWorker::Log(stderr)).await;
    link.finished(attempt, 10).await;
    assert_eq!(link.acknowledged().await, "");
    let read = async |tail_bytes, stdout_offset, follow| {
        let request = FollowLogsRequest {
            token: ada.token.clone(),
            task_id: task.clone(),
            tail_bytes,
            stdout_offset,
            follow,
            ..Default::default()
        };
        let mut chunks = within(ada.tasks().follow_logs(request)).await?.into_inner();
        let mut found = Vec::new();
        while let Some(chunk) = within(chunks.message()).await? {
            found.push((chunk.offset, String::from_utf8(chunk.data.to_vec()).unwrap()));
        }
        Ok::<_, Status>(found)
    };
    let told = |offset: i64, text: &str| (offset, text.to_owned());
    for follow in [false, true] {
        assert_eq!(read(4, 0, follow).await.unwrap(), [told(6, "6789"), told(0, "oh")]);
        assert_eq!(read(1, 2, follow).await.unwrap(), [told(2, "23456789"), told(1, "h")], "an offset is kept");
        assert_eq!(read(i64::MAX, 0, follow).await.unwrap(), [told(0, "0123456789"), told(0, "oh")]);
        assert_eq!(read(0, 0, follow).await.unwrap(), [told(0, "0123456789"), told(0, "oh")]);
    }
    let refused = read(-1, 0, false).await.unwrap_err();
    assert!(refused.message().starts_with("E_INVALID: tail_bytes: "), "{refused}");
}

#[tokio::test]
async fn tasks_are_found_by_a_part_of_their_name_or_image() {
    let pool = TestPool::start().await;
    let (ada, eve) = (pool.user("ada").await, pool.user("eve").await);
    let mut tasks: Vec<SubmitTaskRequest> = (0..1200).map(|number| ada.task(&format!("filler {number}"))).collect();
    tasks[0].task_name = "Müller's RENDER 100%".into();
    tasks[700].task_name = "render_2".into();
    tasks[1199].docker_image = "example.org/Blender-render:1".to_lowercase();
    for task in &mut tasks {
        task.max_runtime = 1;
    }
    let answers = within(ada.tasks().submit_tasks(ada.bearing(SubmitTasksRequest { tasks, ..Default::default() })))
        .await
        .unwrap();
    let refused = answers.into_inner().tasks.into_iter().find(|answer| !answer.success);
    assert_eq!(refused, None);
    let page = async |user: &User, q: &str, page_size, page_token: String| {
        let (token, status) = (user.token.clone(), Vec::new());
        let request = ListTasksRequest { token, status, page_size, page_token, q: q.into() };
        within(user.tasks().list_tasks(request)).await.map(tonic::Response::into_inner)
    };
    let all = async |user: &User, q: &str, page_size| {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let told = page(user, q, page_size, page_token).await.unwrap();
            assert!(told.tasks.len() <= page_size as usize);
            found.extend(told.tasks.into_iter().map(|task| task.task_name));
            page_token = told.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    };
    for size in [1, 2, 1000] {
        assert_eq!(all(&ada, "Render", size).await, ["filler 1199", "render_2", "Müller's RENDER 100%"], "{size}");
    }
    assert_eq!(all(&ada, " mÜLLER ", 10).await, ["Müller's RENDER 100%"]);
    assert_eq!(all(&ada, "100%", 10).await, ["Müller's RENDER 100%"]);
    assert_eq!(all(&ada, "render%", 10).await, Vec::<String>::new());
    assert_eq!(all(&eve, "render", 10).await, Vec::<String>::new());
    assert_eq!(all(&ada, "", 1000).await.len(), 1200);
    let refused = page(&ada, &"x".repeat(201), 10, String::new()).await.unwrap_err();
    assert!(refused.message().starts_with("E_INVALID: q: "), "{refused}");
}

#[tokio::test]
async fn nobody_else_finds_anything_of_a_task() {
    let pool = TestPool::start().await;
    let ada = pool.user("ada").await;
    let task = submit(&ada, "1-5").await;
    for stranger in [pool.user("eve").await, pool.operator().await] {
        let (token, mut calls) = (stranger.token.clone(), stranger.tasks());
        for id in [task.as_str(), "task_99"] {
            let (task_id, element) = (id.to_owned(), 1);
            let listed = ListFilesRequest { token: token.clone(), task_id: task_id.clone(), element };
            let file =
                ReadFileRequest { token: token.clone(), task_id, element, path: "a".into(), ..Default::default() };
            let refused = [
                grid(&stranger, id, 0, 0).await.unwrap_err(),
                failures(&stranger, id).await.unwrap_err(),
                timeline(&stranger, id, 0).await.unwrap_err(),
                within(calls.list_files(listed)).await.unwrap_err(),
                within(calls.read_file(file)).await.map(drop).unwrap_err(),
            ];
            for status in refused {
                assert_eq!(status.code(), Code::NotFound);
                assert_eq!(status.message(), format!("E_NOT_FOUND: {id} does not exist, or is not yours"));
            }
        }
    }
}
