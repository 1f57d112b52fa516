use super::*;
use hivemind_model::EgressPolicy;
use proptest::prelude::*;

const WHOLE: &str = r#"
[machine]
mode = "pause"
until = "2026-11-21T18:00:00+01:00"
[gpu]
mode = "finish"
stop_percent = 40
[idle]
only = true
start_minutes = 20
resume_minutes = 10
stop_load = 0.6
background_load = 0.2
load_seconds = 60
[suspend]
minutes = 5
[battery]
when = "run"
least_percent = 60
[hours]
monday = ["00:00-08:00", "18:00-24:00"]
sunday = ["22:00-06:00"]
[shares]
cpu_percent = 50
memory_percent = 25
[heat]
stop_celsius = 85
resume_celsius = 70
[programs]
pause_while = ["steam", "obs"]
[network]
egress = ["data.example.net:443"]
mbit_per_second = 10
gib_per_day = 5
[images]
allow = ["python:*"]
[cache]
limit_gib = 20
"#;

#[test]
fn the_whole_file_is_read_and_written_back() {
    let read = Preferences::parse(WHOLE).unwrap();
    assert_eq!(read.machine.at("2026-11-21T16:59:59Z".parse().unwrap()), Mode::Pause);
    assert_eq!(read.machine.at("2026-11-21T17:00:00Z".parse().unwrap()), Mode::Start);
    assert_eq!(read.network.egress, EgressPolicy::parse(&["data.example.net:443"]).unwrap());
    assert_eq!((read.network.bytes_per_second(), read.network.bytes_per_day()), (Some(1_250_000), Some(5 << 30)));
    assert_eq!(read.cache.limit_bytes(), Some(20 << 30));
    assert_eq!(Preferences::parse(&read.to_toml().unwrap()).unwrap(), read);
}

#[test]
fn an_empty_file_gives_the_defaults_and_they_are_those_of_htcondor() {
    let read = Preferences::parse("").unwrap();
    assert_eq!(read, Preferences::default());
    let Idle { only, start_minutes, resume_minutes, stop_load, background_load, load_seconds } = read.idle;
    assert_eq!((only, start_minutes, resume_minutes, load_seconds), (false, 15, 5, 120));
    assert_eq!((stop_load, background_load), (0.5, 0.3));
    assert_eq!(read.suspend.minutes, 10);
    assert_eq!(Preferences::parse(&read.to_toml().unwrap()).unwrap(), read);
}

#[test]
fn what_is_out_of_bounds_is_refused_by_its_name() {
    let long = format!("programs.pause_while = [\"{}\"]", "a".repeat(257));
    let many = format!("images.allow = [{}]", "\"a\",".repeat(257));
    let days = format!("hours.friday = [{}]", "\"08:00-09:00\",".repeat(13));
    for (text, named) in [
        ("machine.until = \"2026-11-21T18:00:00Z\"", "machine.until"),
        ("gpu.until = \"2026-11-21T18:00:00Z\"", "gpu.until"),
        ("gpu.stop_percent = 0", "gpu.stop_percent"),
        ("gpu.stop_percent = 101", "gpu.stop_percent"),
        ("idle.start_minutes = 0", "idle.start_minutes"),
        ("idle.start_minutes = 1441", "idle.start_minutes"),
        ("idle.resume_minutes = 0", "idle.resume_minutes"),
        ("idle.resume_minutes = 16", "idle.resume_minutes"),
        ("idle.stop_load = 1.01", "idle.stop_load"),
        ("idle.stop_load = nan", "idle.stop_load"),
        ("idle.background_load = 0.5", "idle.background_load"),
        ("idle.background_load = -0.1", "idle.background_load"),
        ("idle.load_seconds = 601", "idle.load_seconds"),
        ("suspend.minutes = 1441", "suspend.minutes"),
        ("battery.least_percent = 101", "battery.least_percent"),
        ("shares.cpu_percent = 0", "shares.cpu_percent"),
        ("shares.memory_percent = 101", "shares.memory_percent"),
        ("heat.stop_celsius = 39", "heat.stop_celsius"),
        ("heat.resume_celsius = 39", "heat.resume_celsius"),
        ("heat = { stop_celsius = 80, resume_celsius = 80 }", "heat.resume_celsius"),
        ("programs.pause_while = [\"\"]", "programs.pause_while"),
        ("programs.pause_while = [\"/usr/bin/steam\"]", "programs.pause_while"),
        ("network.mbit_per_second = 0", "network.mbit_per_second"),
        ("network.gib_per_day = 0", "network.gib_per_day"),
        ("images.allow = [\" a\"]", "images.allow"),
        ("cache.limit_gib = 0", "cache.limit_gib"),
        (&long, "programs.pause_while"),
        (&many, "images.allow"),
        (&days, "hours.friday"),
        // The form's own refusals show the line.
        ("idle.start_minuts = 1", "start_minuts"),
        ("sleep = true", "sleep"),
        ("machine.mode = \"stop\"", "machine.mode"),
        ("hours.monday = [\"8-9\"]", "hours.monday"),
        ("hours.mon = []", "mon"),
        ("network.egress = [\"nothing\"]", "network.egress"),
        ("idle.start_minutes = -1", "idle.start_minutes"),
    ] {
        let refused = Preferences::parse(text).expect_err(text).to_string();
        assert!(refused.contains(named), "{text}: {refused}");
    }
}

#[test]
fn images_are_allowed_by_name_or_by_its_beginning() {
    let listed = Preferences::parse("images.allow = [\"python:*\", \"alpine:3\"]").unwrap().images;
    for (name, allowed) in
        [("python:3.12", true), ("python", false), ("alpine:3", true), ("alpine:3.1", false), ("x/python:3", false)]
    {
        assert_eq!(listed.allows(name), allowed, "{name}");
    }
    assert!(Images::default().allows("anything"));
}

#[test]
fn a_file_is_kept_whole_and_absent_ones_are_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("owner.toml");
    assert_eq!(Preferences::load(&path).unwrap(), Preferences::default());
    let mut wanted = Preferences::parse(WHOLE).unwrap();
    wanted.save(&path).unwrap();
    assert_eq!(Preferences::load(&path).unwrap(), wanted);
    let kept = wanted.clone();
    wanted.shares.cpu_percent = 0;
    assert!(wanted.save(&path).unwrap_err().to_string().contains("shares.cpu_percent"));
    assert_eq!(Preferences::load(&path).unwrap(), kept);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::write(&path, "#".repeat(MAX_FILE_BYTES as usize + 1)).unwrap();
    assert!(Preferences::load(&path).unwrap_err().to_string().contains("larger than"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _either = Preferences::parse(&text);
    }

    #[test]
    fn what_is_taken_reads_back(start in 0u32..2000, resume in 0u32..2000, stop in 0f32..1.2, back in 0f32..1.2, cpu in 0u32..120) {
        let mut wanted = Preferences::default();
        wanted.idle = Idle { only: true, start_minutes: start, resume_minutes: resume, stop_load: stop, background_load: back, ..wanted.idle };
        wanted.shares.cpu_percent = cpu;
        if let Ok(text) = wanted.to_toml() {
            prop_assert_eq!(Preferences::parse(&text).unwrap(), wanted);
        }
    }
}
