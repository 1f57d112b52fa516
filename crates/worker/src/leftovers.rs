//! What an earlier process left on disk: is it all there?
//!
//! Start at [`recheck`].
//!
//! Invariant: no report is offered to the pool that claims what this disk has lost.

use crate::agent::attempt::no_fault;
use crate::capture::Capture;
use crate::folders::Folders;
use hivemind_model::rows::Report;
use hivemind_model::{AttemptRef, Bytes};
use std::fs;
use std::io;
use std::sync::Arc;

/// The streams that `report` claims, and the report as it can still be kept: where a part of what
/// it names is gone, one that says so.
///
/// # Errors
/// Where a file is there and cannot be opened.
pub(crate) fn recheck(
    folders: &Folders,
    attempt: AttemptRef,
    report: Arc<Report>,
) -> io::Result<(AttemptRef, Capture, Arc<Report>)> {
    let capture = Capture::open(&folders.logs, attempt)?;
    let (stdout, stderr) = capture.lens();
    let logs_there = Bytes(stdout) >= report.logs.stdout && Bytes(stderr) >= report.logs.stderr;
    let output_there = report
        .output
        .is_none_or(|blob| fs::metadata(folders.output(attempt)).is_ok_and(|file| Bytes(file.len()) == blob.size));
    if logs_there && output_there {
        return Ok((attempt, capture, report));
    }
    tracing::warn!(
        "the disk has lost a part of what {attempt} left; it is reported as failed through no fault of its own"
    );
    let lost = no_fault("a part of the result was lost with the node's disk");
    Ok((attempt, capture, Arc::new(lost)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::rows::LogLengths;
    use hivemind_model::spec::{BlobRef, Digest};
    use hivemind_model::{ElementRef, Metering, Outcome, TaskId};

    #[test]
    fn a_report_whose_files_are_gone_becomes_a_failure_of_the_node() {
        let data = tempfile::tempdir().unwrap();
        let (folders, _lock) = Folders::lock(data.path()).unwrap();
        let attempt = ElementRef::only(TaskId(1)).attempt(1);
        let logs = LogLengths { stdout: Bytes(3), ..LogLengths::default() };
        let output = Some(BlobRef { digest: Digest([0; 32]), size: Bytes(2) });
        let report = Report {
            outcome: Outcome::Exited { code: 0 },
            metering: Metering::default(),
            logs,
            image_id: String::new(),
            output,
            digest: None,
        };
        let report = Arc::new(report);
        let kept = || recheck(&folders, attempt, Arc::clone(&report)).unwrap().2.outcome.is_success();
        assert!(!kept());
        fs::write(folders.logs.join("att_1.0.1.out"), "abc").unwrap();
        assert!(!kept());
        fs::write(folders.output(attempt), "ab").unwrap();
        assert!(kept());
        fs::write(folders.logs.join("att_1.0.1.out"), "ab").unwrap();
        assert!(!kept());
    }
}
