use super::*;
use hivemind_proto::v1::TaskSummary;

fn end(status: &str, error: &str, exit_code: Option<i32>) -> Result<u8, (u8, String)> {
    let task = TaskSummary {
        task_id: "task_1".into(),
        status: status.into(),
        error_message: error.into(),
        exit_code,
        ..TaskSummary::default()
    };
    let answer = TaskStatusResponse {
        success: true,
        status: status.into(),
        error_message: error.into(),
        task: Some(task),
        ..TaskStatusResponse::default()
    };
    ending(TaskId(1), answer).map(Exit::number).map_err(|failure| (failure.exit.number(), failure.code))
}

#[test]
fn the_tasks_end_is_ours() {
    let err = |number: u8, code: &str| Err((number, code.to_owned()));
    for (status, error, code, wanted) in [
        ("completed", "", Some(0), Ok(0)),
        ("failed", "E_EXIT: the command ended with exit code 7", Some(7), Ok(7)),
        ("failed", "E_EXIT: the command ended with exit code 256", Some(256), Ok(1)),
        ("failed", "E_OUT_OF_MEMORY: more", None, err(137, "E_OUT_OF_MEMORY")),
        ("failed", "E_TIMED_OUT: longer", None, err(8, "E_TIMED_OUT")),
        ("failed", "E_BAD_IMAGE: docker_image: none", None, err(125, "E_BAD_IMAGE")),
        ("failed", "E_CANNOT_START: none", None, err(125, "E_CANNOT_START")),
        ("failed", "E_INFRASTRUCTURE: lost", None, err(125, "E_INFRASTRUCTURE")),
        ("cancelled", "E_CANCELLED: cancelled by its requester", None, err(1, "E_CANCELLED")),
    ] {
        assert_eq!(end(status, error, code), wanted, "{status} {error}");
    }
}
