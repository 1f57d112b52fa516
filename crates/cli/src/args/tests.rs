use super::*;
use crate::{Refused, parse};
use clap::CommandFactory;
use std::ffi::OsString;

fn judge(line: &str) -> Result<Cli, String> {
    let argv: Vec<OsString> = shell_words::split(line).unwrap().into_iter().map(OsString::from).collect();
    parse(&argv).map_err(|refused| match refused {
        Refused::Clap(error) => error.to_string(),
        Refused::Here(failure) => failure.human(),
    })
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn everything_after_the_image_is_the_tasks() {
    let cli = judge("hivemind run --cpus 2 --memory 512m --timeout 90s bb:1 sh -c 'echo $1' --json -q --help").unwrap();
    let Verb::Run(run) = cli.verb else { panic!("not run") };
    assert_eq!(run.program.image, "bb:1");
    assert_eq!(run.program.command, ["sh", "-c", "echo $1", "--json", "-q", "--help"]);
    assert!(!cli.global.json && !cli.global.quiet);
    assert_eq!((run.options.cpus, run.options.memory.map(|size| size.mib())), (Some(2), Some(512)));
}

#[test]
fn global_options_may_stand_on_both_sides() {
    for line in ["hivemind --json --data /d ps", "hivemind ps --json --data /d"] {
        let cli = judge(line).unwrap();
        assert!(cli.global.json, "{line}");
        assert_eq!(cli.global.data, Some("/d".into()), "{line}");
    }
}

#[test]
fn what_is_understood() {
    for line in [
        "hivemind up",
        "hivemind up --listen 127.0.0.1:0 --runtime fake --cpus 2 --memory 1g --disk 5g",
        "hivemind pool --listen 0.0.0.0:50051 --advertise https://pool.example:50051 --log-format json",
        "hivemind worker --join - --name lab-1",
        "hivemind register ann --password-file -",
        "hivemind submit --priority 10 --gpus 1 --input data:in --input x bb:1",
        "hivemind run -d bb:1",
        "hivemind run --output out bb:1 true",
        "hivemind wait task_1 task_2 --timeout 1h30m",
        "hivemind ps -a --state failed --state running",
        "hivemind logs -f task_1",
        "hivemind fetch task_1 --to dir",
        "hivemind keys create ci --scope tasks:read --scope tasks:write --valid 30d",
        "hivemind keys list",
        "hivemind keys revoke hm_12",
        "hivemind sessions list",
        "hivemind sessions end sess_12",
        "hivemind fetch 'task_1[3]' --list",
        "hivemind fetch task_1 logs/a.txt --to dir --replace",
        "hivemind status task_1 --failures",
        "hivemind cancel task_1 task_2",
        "hivemind cancel 'task_1[1-5]' 12[3]",
        "hivemind cancel task_1 --elements 1-5,9",
        "hivemind retry task_1",
        "hivemind retry task_1 --failed --max-price 2 --wait",
        "hivemind retry 'task_1[1-5]'",
        "hivemind status task_1 --failed --limit 10",
        "hivemind status task_1 --elements 1-10 --state live --state waiting --all",
        "hivemind logs -f 'task_1[3]'",
        "hivemind logs task_1 --elements 3",
        "hivemind fetch task_1 --elements 1-10 --to dir",
        "hivemind submit --array 1-1000000 --max-fails 10 bb:1",
        "hivemind submit --each-line names --wait bb:1 sh -c 'echo $HIVEMIND_ENTRY'",
        "hivemind submit --from-json - bb:1",
        "hivemind submit --after task_1,task_2 --after 3 --after-end 4 --after-each 5 --if-dependency-fails cancel bb:1",
        "hivemind submit --retries 3 --max-wait 1h --max-total 1d --deadline 2026-12-31 --lost-after 5m bb:1",
        "hivemind submit --replicas 3 --quorum 2 --compare numeric --compare-tolerance 1e-6 bb:1",
        "hivemind submit --confidence 0.999 --compare-command 'cmp /task/a /task/b' bb:1",
        "hivemind submit --label a=1 --label b=2 --min-trust trusted --min-isolation sandboxed bb:1",
        "hivemind submit --graph f.toml",
        "hivemind submit --graph - --max-price 5 --wait",
        "hivemind plan --array 1-10 --replicas 3 bb:1",
        "hivemind run --after task_1 --label a=1 --retries 1 bb:1 true",
        "hivemind worker --label location=berlin --label gpu=a100",
        "hivemind up --label location=berlin",
        "hivemind up --web off",
        "hivemind pool --web [::1]:0 --web-cert c.pem --web-key k.pem",
        "hivemind --server https://pool.example:50051 --ca ca.pem master --web 0.0.0.0:443 --web-proxy --gateway-key k",
        "hivemind nodes",
        "hivemind nodes --all",
        "hivemind nodes join-token --valid 5m",
        "hivemind wallet transfer bob 0.25 --id x",
        "hivemind wallet statement",
        "hivemind wallet statement --from 2026-01-01 --to 2026-02-01T00:00:00Z --kind tip --kind hold --account promo",
        "hivemind wallet statement --task task_1 --all --csv",
        "hivemind wallet rewards --node lab-1 --limit 5 --csv",
        "hivemind wallet tip curl 0.25 --message 'thank you' --id x",
        "hivemind project register curl --repository https://example.org/curl",
        "hivemind project list --all",
        "hivemind project tips curl --limit 3",
        "hivemind project collect curl",
        "hivemind project close curl",
        "hivemind plan --max-price 2.5 --min-level gold --cpus 2 bb:1 sh -c 'exit 1'",
        "hivemind submit --max-price 2 bb:1",
        "hivemind run --min-level bronze bb:1 true",
        "hivemind status task_1 --entries",
        "hivemind nodes show lab-1 --all",
        "hivemind nodes cordon lab-1",
        "hivemind nodes uncordon lab-1",
        "hivemind nodes drain lab-1",
        "hivemind nodes drain lab-1 --deadline 1h30m",
        "hivemind nodes ban lab-1 --reason 'it sends wrong results'",
        "hivemind nodes unban lab-1",
        "hivemind ledger verify",
        "hivemind ledger trial-balance --csv",
        "hivemind invite",
        "hivemind invite --uses 10 --valid 2d",
        "hivemind register ann --invitation-file -",
        "hivemind completion bash",
        "hivemind -vv doctor",
    ] {
        assert!(judge(line).is_ok(), "{line}: {:?}", judge(line).err());
    }
}

#[test]
fn what_is_refused_and_how() {
    for (line, part) in [
        ("hivemind", "Usage"),
        ("hivemind stats task_1", "similar subcommand exists: 'status'"),
        ("hivemind run", "<IMAGE>"),
        ("hivemind nodes cordon", "<NODE>"),
        ("hivemind nodes ban lab-1", "--reason <TEXT>"),
        ("hivemind run --cpus 1.5 bb:1", "parts of a core are not lent"),
        ("hivemind run --memory 512 bb:1", "unit is missing"),
        ("hivemind run --timeout 90 bb:1", "unit is missing"),
        ("hivemind run --priority 11 bb:1", "11 is not in 1..=10"),
        ("hivemind run --gpus all bb:1", "invalid digit"),
        ("hivemind run --detach --to o bb:1", "cannot be used with"),
        ("hivemind run --privileged bb:1", "--privileged is not supported"),
        ("hivemind run -v /:/host bb:1", "send files with --input"),
        ("hivemind run -e A=b bb:1", "environment variables"),
        ("hivemind login ann --password x", "unexpected argument '--password'"),
        ("hivemind keys create ci", "--scope <SCOPE>"),
        ("hivemind keys create ci --scope all", "[possible values: tasks:read, tasks:write,"),
        ("hivemind sessions end", "<SESSION>"),
        ("hivemind cancel", "<TASK>"),
        ("hivemind submit", "<IMAGE>"),
        ("hivemind submit --graph f.toml bb:1", "cannot be used with"),
        ("hivemind submit --graph f.toml --cpus 2", "cannot be used with"),
        ("hivemind submit --graph f.toml --array 1-5", "cannot be used with"),
        ("hivemind submit --graph f.toml --after 1", "cannot be used with"),
        ("hivemind submit --graph f.toml --replicas 2", "cannot be used with"),
        ("hivemind pool --advertise 10.0.0.1", "not of the form https://host:port"),
        ("hivemind submit --array 9-1 bb:1", "`9-1` ends before it begins"),
        ("hivemind submit --array 1-5,5 bb:1", "`5` overlaps what stands before it"),
        ("hivemind submit --array -1 bb:1", "neither an index nor a range"),
        ("hivemind submit --label location bb:1", "is not a label"),
        ("hivemind submit --min-trust new bb:1", "[possible values: known"),
        ("hivemind submit --replicas 0 bb:1", "0 is not in 1.."),
        ("hivemind submit --replicas 2 --quorum 0 bb:1", "0 is not in 1.."),
        ("hivemind run --array 1-5 bb:1", "unexpected argument '--array'"),
        ("hivemind retry task_1 --failed --elements 1", "cannot be used with"),
        ("hivemind status task_1 --entries --failed", "cannot be used with"),
        ("hivemind status task_1 --state running", "[possible values: waiting"),
        ("hivemind worker --label location", "is not a label"),
        ("hivemind ps --state done", "[possible values: pending"),
        ("hivemind run --max-price 0 bb:1", "above zero"),
        ("hivemind run --max-price -2 bb:1", "above zero"),
        ("hivemind run --max-price 0.0000001 bb:1", "six places"),
        ("hivemind plan --min-level none bb:1", "[possible values: bronze"),
        ("hivemind plan --privileged bb:1", "--privileged is not supported"),
        ("hivemind plan", "<IMAGE>"),
        ("hivemind wallet statement --from yesterday", "give a day such as"),
        ("hivemind wallet statement --kind genesis", "[possible values: sign_up"),
        ("hivemind wallet statement --account treasury", "[possible values: available"),
        ("hivemind wallet statement --limit 5 --all", "cannot be used with"),
        ("hivemind wallet statement --limit 0", "0 is not in 1..=100000"),
        ("hivemind wallet tip curl", "<AMOUNT>"),
        ("hivemind project register curl", "--repository"),
        ("hivemind project", "Usage"),
        ("hivemind ledger audit", "unrecognized subcommand 'audit'"),
        ("hivemind invite --uses 1001", "1001 is not in 1..=1000"),
        ("hivemind register ann --invitation x", "unexpected argument '--invitation'"),
        ("hivemind -q --json ps", "cannot be used with"),
        ("hivemind up --listen localhost", "invalid socket address"),
        ("hivemind up --web 8080", "it is neither ADDR:PORT nor `off`"),
        ("hivemind up --web-cert c.pem", "--web-key <FILE>"),
        ("hivemind pool --web-proxy --web-cert c.pem --web-key k.pem", "cannot be used with"),
    ] {
        let refusal = judge(line).expect_err(line);
        assert!(refusal.contains(part), "{line}: {refusal}");
    }
}

/// What stands in the documents between the fences of these languages.
fn fenced<'a>(text: &'a str, languages: &[&str]) -> Vec<&'a str> {
    let mut blocks = text.split("```").skip(1).step_by(2);
    blocks
        .by_ref()
        .filter_map(|block| block.split_once('\n').filter(|(name, _)| languages.contains(name)))
        .map(|(_, text)| text)
        .collect()
}

#[test]
fn the_examples_of_the_documents_are_understood() {
    let text = include_str!("../../../../docs/ARRAYS.md");
    let mut lines = 0;
    for line in fenced(text, &["sh"]).into_iter().flat_map(str::lines) {
        let Some(at) = line.find("hivemind ") else { continue };
        let line = line[at..].split(" #").next().unwrap();
        assert!(judge(line).is_ok(), "{line}: {:?}", judge(line).err());
        lines += 1;
    }
    assert!(lines > 20, "{lines} examples were found");
    let graphs = fenced(text, &["toml", "json"]);
    assert_eq!(graphs.len(), 2);
    for graph in graphs {
        assert!(crate::graph::read("example", graph).is_ok(), "{:?}", crate::graph::read("example", graph).err());
    }
}
