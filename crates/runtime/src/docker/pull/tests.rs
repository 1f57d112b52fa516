use super::*;
use bollard::models::ProgressDetail;

fn line(id: &str, status: &str, current: i64, total: i64) -> CreateImageInfo {
    let progress_detail = Some(ProgressDetail { current: Some(current), total: Some(total) });
    CreateImageInfo { id: Some(id.into()), status: Some(status.into()), progress_detail, ..CreateImageInfo::default() }
}

#[test]
fn progress_is_the_sum_over_layers() {
    let mut progress = Progress::default();
    assert_eq!(progress.take(CreateImageInfo::default()), "waiting for the registry");
    assert_eq!(progress.take(line("a", "Downloading", 50, 100)), "50 %");
    assert_eq!(progress.take(line("b", "Downloading", 0, 300)), "12 %");
    assert_eq!(progress.take(line("a", "Extracting", 1, 100)), "12 %");
    assert_eq!(progress.take(line("b", "Downloading", i64::MAX, 300)), "100 %");
}

#[test]
fn an_absent_image_is_told_from_an_absent_registry() {
    let reference = Reference::parse("a/b:1").expect("a reference");
    let server = |status_code, message: &str| Error::DockerResponseServerError { status_code, message: message.into() };
    let stream = |error: &str| Error::DockerStreamError { error: error.into() };
    for bad in [
        server(404, "manifest for a/b:1 not found: manifest unknown: manifest unknown"),
        server(
            404,
            "pull access denied for a/b, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        ),
        stream("no matching manifest for linux/amd64 in the manifest list entries"),
        stream("unauthorized: authentication required"),
    ] {
        assert!(matches!(judge(&reference, &bad), Outcome::BadImage { .. }), "{bad}");
    }
    for fault in [
        server(500, "Get https://registry.example/v2/: dial tcp: lookup registry.example: no such host"),
        server(500, "Get http://127.0.0.1:1/v2/: dial tcp 127.0.0.1:1: connect: connection refused"),
        stream("toomanyrequests: you have reached your pull rate limit"),
        stream("unexpected EOF"),
        Error::RequestTimeoutError,
    ] {
        assert!(matches!(judge(&reference, &fault), Outcome::ImageUnavailable { .. }), "{fault}");
    }
}
