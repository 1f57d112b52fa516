use super::*;

fn egress(texts: &[&str]) -> Egress {
    Egress::parse(texts).expect("endpoints")
}

fn rules(policy: &[&str]) -> Rules {
    Rules { policy: EgressPolicy::parse(policy).expect("a policy"), ..Rules::default() }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

#[test]
fn both_the_task_and_the_owner_say_yes() {
    let asked = egress(&["data.example.net:443", "*.example.org:443", "192.0.2.1:53", "[2001:db8::1]:443"]);
    for (policy, host, port, expected) in [
        (&["public"][..], "data.example.net", 443, Ok(())),
        (&["public"], "Data.Example.NET", 443, Ok(())),
        (&["public"], "data.example.net", 80, Err(Refusal::NotAsked)),
        (&["public"], "a.data.example.net", 443, Err(Refusal::NotAsked)),
        (&["public"], "a.b.example.org", 443, Ok(())),
        (&["public"], "example.org", 443, Err(Refusal::NotAsked)),
        (&["public"], "192.0.2.1", 53, Ok(())),
        (&["public"], "192.0.2.2", 53, Err(Refusal::NotAsked)),
        (&["public"], "[2001:db8::1]", 443, Ok(())),
        (&["public"], "[2001:DB8::1]", 443, Ok(())),
        (&[], "data.example.net", 443, Err(Refusal::NotAllowed)),
        (&["data.example.net:443"], "data.example.net", 443, Ok(())),
        (&["data.example.net:80"], "data.example.net", 443, Err(Refusal::NotAllowed)),
        (&["*.example.org:443"], "x.example.org", 443, Ok(())),
        (&["*.example.org:443"], "data.example.net", 443, Err(Refusal::NotAllowed)),
        // A task's wildcard reaches of it what the owner names.
        (&["a.example.org:443"], "a.example.org", 443, Ok(())),
        (&["a.example.org:443"], "b.example.org", 443, Err(Refusal::NotAllowed)),
    ] {
        let target = target(host, port).expect(host);
        assert_eq!(rules(policy).permits(&asked, &target), expected, "{policy:?} {host}:{port}");
    }
}

#[test]
fn a_task_without_wishes_reaches_nothing() {
    let target = target("data.example.net", 443).expect("a target");
    assert_eq!(rules(&["public"]).permits(&Egress::default(), &target), Err(Refusal::NotAsked));
}

#[test]
fn only_names_and_usual_addresses_are_targets() {
    for host in [
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "127.0.0.01",
        "127.0.0.256",
        "example.org.",
        "example.org..",
        "*.example.org",
        "exa mple.org",
        "user@example.org",
        "example.org:80",
        "example.org/",
        "ex\u{430}mple.org",
        "[::1",
        "::1",
        "[fe80::1%eth0]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:7f00:1]",
        "",
        ".",
        "a..b",
        "\u{0}",
    ] {
        assert!(matches!(target(host, 80), Err(Refusal::NoTarget(_))), "{host}");
    }
    assert!(target("a.org", 0).is_err());
    for host in ["a.org", "A.org", "1.2.3.4", "[::1]", "[2001:DB8::1]", "[::ffff:127.0.0.1]", "localhost", "a_b.org"] {
        assert!(target(host, 80).is_ok(), "{host}");
    }
}

fn own(texts: &[(&str, u32)]) -> Vec<Own> {
    texts.iter().map(|(text, bits)| Own::new(text.parse().expect(text), *bits)).collect()
}

#[test]
fn one_bad_address_spoils_them_all() {
    let own = own(&[("81.2.3.4", 24), ("81.2.3.77", 32), ("2a01::7", 64)]);
    let check = |texts: &[&str]| rules(&["public"]).check(&addresses(texts), 443, &own);
    let good = check(&["93.184.215.14", "::ffff:1.1.1.1"]).expect("public ones");
    assert_eq!(good, ["93.184.215.14:443".parse().expect("one"), "1.1.1.1:443".parse().expect("one")]);
    for (texts, shown) in [
        (&["93.184.215.14", "127.0.0.1"][..], "127.0.0.1 is a loopback address"),
        (&["10.0.0.1"], "10.0.0.1 is a private address"),
        (&["81.2.3.4"], "81.2.3.4 is an address of this machine"),
        (&["2a01::7"], "2a01::7 is an address of this machine"),
        (&["81.2.3.77"], "81.2.3.77 is an address of this machine"),
        (&["81.2.3.1"], "81.2.3.1 is an address in this machine's own network"),
        (&["2a01::bad:1"], "2a01::bad:1 is an address in this machine's own network"),
        (&["::ffff:81.2.3.4"], "::ffff:81.2.3.4 is an address of this machine"),
        (&["64:ff9b::81.2.3.4"], "64:ff9b::5102:304 is an address of this machine"),
        (&["2002:5102:304::1"], "2002:5102:304::1 is an address of this machine"),
        (&[], "its name leads nowhere: it has no address"),
    ] {
        assert_eq!(check(texts).expect_err("refused").to_string(), shown);
    }
    assert!(check(&["1.1.1.1"; MOST_ADDRESSES + 1]).is_err());
}

#[test]
fn a_loosened_rule_is_one_address_and_one_port() {
    let mut rules = rules(&["public"]);
    rules.loosened.reach = vec!["127.0.0.1:8080".parse().expect("one")];
    let check = |text: &str, port| rules.check(&addresses(&[text]), port, &own(&[("127.0.0.1", 8)]));
    assert!(check("127.0.0.1", 8080).is_ok() && check("::ffff:127.0.0.1", 8080).is_ok());
    assert!(check("127.0.0.1", 8081).is_err() && check("127.0.0.2", 8080).is_err() && check("::1", 8080).is_err());
}

#[test]
fn lines_tell_rules_from_faults() {
    assert_eq!(
        Refusal::Address([10, 0, 0, 1].into(), "a private address").line("example.org:443"),
        "refused example.org:443 (10.0.0.1 is a private address)"
    );
    assert_eq!(
        Refusal::Unreached("no answer within 10 s".into()).line("a.org:1"),
        "could not reach a.org:1 (no answer within 10 s)"
    );
}
