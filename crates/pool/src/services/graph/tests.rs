use super::*;

fn graph(tasks: &[(&str, &[&str])]) -> Result<Vec<usize>, Rejection> {
    let wire = |(name, after): &(&str, &[&str])| v1::GraphTask {
        name: (*name).into(),
        task: Some(SubmitTaskRequest {
            after: after
                .iter()
                .map(|name| v1::Dependency { task_id: (*name).into(), ..v1::Dependency::default() })
                .collect(),
            ..SubmitTaskRequest::default()
        }),
    };
    edges(tasks.iter().map(wire).collect()).map(|(_, graph)| graph.order)
}

#[test]
fn a_graph_is_put_into_an_order() {
    assert_eq!(graph(&[("c", &["a", "b"]), ("b", &["a"]), ("a", &["task_7"])]), Ok(vec![2, 1, 0]));
}

#[test]
fn refusals_name_the_task_and_what_is_wrong() {
    let long = "x".repeat(201);
    for (tasks, field, part) in [
        (&[][..], "tasks", "empty"),
        (&[("", &[][..])], "tasks[0].name", "200 bytes"),
        (&[(long.as_str(), &[])], "tasks[0].name", "200 bytes"),
        (&[("a\n", &[])], "tasks[0].name", "printable"),
        (&[("task_1", &[])], "tasks[0].name", "ambiguous"),
        (&[("a", &[]), ("a", &[])], "tasks[1].name", "tasks[0]"),
        (&[("a", &[]), ("b", &["c"])], "tasks[1].after", "`c` is neither"),
        (&[("a", &[]), ("b", &["a", "a"])], "tasks[1].after", "named twice"),
        (&[("a", &["a"])], "tasks[0].after", "`a` > `a`"),
        (&[("z", &["c"]), ("c", &["a"]), ("b", &["c"]), ("a", &["b"])], "tasks[1].after", "`c` > `a` > `b` > `c`"),
    ] {
        let refused = graph(tasks).unwrap_err();
        assert!(refused.field == field && refused.text.contains(part), "{tasks:?}: {refused}");
    }
}

#[test]
fn a_refusal_of_one_task_is_told_from_the_graph() {
    let refused = at(3, Rejection::invalid("array", "is empty"));
    assert_eq!((refused.field.as_str(), refused.text.as_str()), ("tasks[3].array", "tasks[3].array: is empty"));
    let refused = at(0, Rejection::new(Code::Busy, "later"));
    assert_eq!((refused.field.as_str(), refused.text.as_str()), ("tasks[0]", "tasks[0]: later"));
}

#[test]
fn answers_come_in_the_order_of_the_request() {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let accepted = [(TaskId(7), Cpt::from_micro(1)), (TaskId(8), Cpt::from_micro(2))];
    let told = answer(names, &[1, 0], &accepted);
    let ids: Vec<(&str, &str)> = told.tasks.iter().map(|task| (task.name.as_str(), task.task_id.as_str())).collect();
    assert_eq!((ids, told.price_cap_micro), (vec![("a", "task_8"), ("b", "task_7")], 3));
}
