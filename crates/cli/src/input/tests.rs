use super::*;

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("data/deep")).unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("data/b.txt"), "b").unwrap();
    fs::write(dir.path().join("data/deep/a.txt"), "aa").unwrap();
    fs::write(dir.path().join("big.bin"), vec![0; 65 << 10]).unwrap();
    fs::write(dir.path().join("odd:name"), "x").unwrap();
    std::os::unix::fs::symlink("big.bin", dir.path().join("link")).unwrap();
    dir
}

fn dests(dir: &tempfile::TempDir, args: &[&str]) -> Result<Vec<(String, Way)>, String> {
    let args: Vec<String> = args.iter().map(|arg| format!("{}/{arg}", dir.path().display())).collect();
    gather(&args)
        .map(|found| found.into_iter().map(|input| (input.dest, input.way)).collect())
        .map_err(|failure| failure.what)
}

#[test]
fn files_and_folders_get_their_places() {
    let dir = tree();
    let one = |dest: &str, way: Way| (dest.to_owned(), way);
    for (args, wanted) in [
        (vec!["data"], vec![one("data/b.txt", Way::Inline), one("data/deep/a.txt", Way::Inline)]),
        (vec!["data:."], vec![one("b.txt", Way::Inline), one("deep/a.txt", Way::Inline)]),
        (vec!["data:in/x/"], vec![one("in/x/b.txt", Way::Inline), one("in/x/deep/a.txt", Way::Inline)]),
        (vec!["big.bin"], vec![one("big.bin", Way::Upload)]),
        (vec!["big.bin:in/", "data/b.txt:c"], vec![one("in/big.bin", Way::Upload), one("c", Way::Inline)]),
        (vec!["odd:name"], vec![one("odd:name", Way::Inline)]),
    ] {
        assert_eq!(dests(&dir, &args), Ok(wanted), "{args:?}");
    }
}

#[test]
fn what_cannot_go_is_refused_by_name() {
    let dir = tree();
    for (args, part) in [
        (vec!["none"], "does not exist"),
        (vec!["link"], "symbolic link"),
        (vec!["empty"], "holds no files"),
        (vec!["data/b.txt:../x"], "leaves /task"),
        (vec!["data/b.txt:/x"], "is absolute"),
        (vec!["data/b.txt:x", "big.bin:x"], "both become /task/x"),
    ] {
        let refusal = dests(&dir, &args).unwrap_err();
        assert!(refusal.contains(part), "{args:?}: {refusal}");
    }
}

#[test]
fn small_files_beyond_the_budget_are_uploaded() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..20 {
        fs::write(dir.path().join(format!("{n:02}")), vec![0; 60 << 10]).unwrap();
    }
    let found = gather(&[dir.path().display().to_string() + ":."]).unwrap();
    let inline: u64 = found.iter().filter(|input| input.way == Way::Inline).map(|input| input.bytes).sum();
    assert!(inline <= INLINE_TOTAL_BYTES);
    assert!(found.iter().any(|input| input.way == Way::Upload));
}
