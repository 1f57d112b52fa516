use super::*;

#[test]
fn a_refusal_tells_what_fix_and_code() {
    let error = ClientError::Rejected {
        code: "E_INSUFFICIENT_CPT".into(),
        field: String::new(),
        message: "the task may cost 200.00 CPT, and 150.00 CPT are there".into(),
    };
    insta::assert_snapshot!(Failure::from(error).human(), @"
    error: the task may cost 200.00 CPT, and 150.00 CPT are there
      fix: ask for less (--timeout, --cpus, --memory, --gpus set the price cap), or earn with `hivemind worker`
      code: E_INSUFFICIENT_CPT (exit 6)
    ");
}

#[test]
fn programs_get_the_same_as_json() {
    let error = ClientError::Rejected {
        code: "E_INVALID".into(),
        field: "priority".into(),
        message: "priority: 11 is outside 1 to 10".into(),
    };
    insta::assert_snapshot!(Failure::from(error).json().to_string(), @r#"{"code":"E_INVALID","exit_code":2,"field":"priority","fix":"","message":"--priority: 11 is outside 1 to 10","schema":"hivemind.error/1"}"#);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let failure = Failure::new(Exit::Failure, "E_X", "a\u{1b}[2Jb");
    assert_eq!(failure.human(), "error: a?[2Jb\n  code: E_X (exit 1)\n");
}

#[test]
fn nothing_turns_the_direction_of_text_on_the_terminal() {
    for turn in ['\u{61c}', '\u{200f}', '\u{2028}', '\u{202e}', '\u{2066}'] {
        assert_eq!(crate::face::harmless(&format!("1 CPT{turn} TPC 1")), "1 CPT? TPC 1", "{turn:?}");
    }
    assert_eq!(
        crate::face::harmless("\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f469}\u{200d}\u{1f4bb}"),
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f469}\u{200d}\u{1f4bb}"
    );
}

#[test]
fn what_the_economy_refuses_has_its_own_advice() {
    for (code, exit, fix) in [
        ("E_MAX_PRICE", Exit::InsufficientCpt, "raise --max-price"),
        ("E_INVITATION", Exit::Forbidden, "--invitation-file FILE"),
        ("E_FORBIDDEN", Exit::Forbidden, "hivemind login"),
    ] {
        let error = ClientError::Rejected { code: code.into(), field: String::new(), message: "no".into() };
        let failure = Failure::from(error);
        assert_eq!((failure.exit, failure.fix.contains(fix)), (exit, true), "{code}: {}", failure.fix);
    }
    let own = Failure::refusal(Code::MaxPrice, "no");
    assert_eq!((own.exit.number(), own.code.as_str(), own.fix.contains("--max-price")), (6, "E_MAX_PRICE", true));
}
