use super::*;

fn read(text: &str) -> String {
    Reference::parse(text).map_or_else(|_| "refused".into(), |reference| reference.to_string())
}

#[test]
fn references_are_read_into_their_short_form() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    for (text, short) in [
        ("python", "python:latest"),
        ("python:3.12", "python:3.12"),
        ("docker.io/library/python:3.12", "python:3.12"),
        ("index.docker.io/a/b", "a/b:latest"),
        ("library/python", "python:latest"),
        ("library/a/b", "library/a/b:latest"),
        ("example.org/library/python", "example.org/library/python:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"),
        ("a__b--c.d_e", "a__b--c.d_e:latest"),
        (&format!("python@{digest}"), &format!("python@{digest}")),
        (&format!("python:3.12@{digest}"), &format!("python:3.12@{digest}")),
    ] {
        assert_eq!(read(text), short, "{text}");
    }
}

#[test]
fn what_is_no_reference_is_refused() {
    for text in [
        "",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "../a",
        "a/./b",
        "A",
        "a:",
        "a:b:c",
        "a@sha256:12",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a:.b",
        "a b",
        "a?b",
        "a.b:99999/x",
        ".x/y",
    ] {
        assert_eq!(read(text), "refused", "{text}");
    }
}

#[test]
fn only_the_very_name_and_tag_match() {
    let tags = ["bb:1".to_owned(), "docker.io/library/python:3".to_owned()];
    let tagged = |text: &str| Reference::parse(text).expect("a reference").is_tagged(&tags);
    assert!(tagged("bb:1") && tagged("docker.io/library/bb:1") && tagged("python:3"));
    assert!(
        !tagged("bb") && !tagged("bb:2") && !tagged("b:1") && !tagged("f9c10bfdbe9b") && !tagged("example.org/bb:1")
    );
}

#[test]
fn a_digest_matches_the_id_or_what_a_registry_calls_it() {
    let digest = |n: &str| format!("sha256:{}", n.repeat(64));
    let image = ImageInspect {
        id: Some(digest("a")),
        repo_digests: Some(vec![format!("x@{}", digest("b"))]),
        ..ImageInspect::default()
    };
    assert!(has_digest(&image, &digest("a")) && has_digest(&image, &digest("b")));
    assert!(!has_digest(&image, &digest("c")));
}

#[test]
fn declared_volumes_are_cleaned_or_refused() {
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    assert_eq!(declared_volumes(paths(&["/data/", "//data", "/a/./b"])), Ok(paths(&["/a/b", "/data"])));
    for bad in ["/", "", "data", "/proc/x", "/sys", "/dev/shm", "/a/../b"] {
        assert!(declared_volumes(paths(&[bad])).is_err(), "{bad} was taken");
    }
    let many: Vec<String> = (0..17).map(|n| format!("/v{n}")).collect();
    assert!(declared_volumes(many).is_err());
}
