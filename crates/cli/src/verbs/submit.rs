//! `submit`: a task, an array, or a whole graph of them.
//!
//! Start at [`submit`].
//!
//! Invariant: nothing is sent before everything that can be judged here was judged, all tasks of a
//! graph included.

use super::request::{self, Asked, Prepared};
use super::{Context, wait};
use crate::args::SubmitArgs;
use crate::args::task::Program;
use crate::exit::Exit;
use crate::failure::{Done, Failure};
use crate::graph::{self, Node};
use crate::show::graph::Graph;
use crate::show::{Amount, Word};
use hivemind_client::{Client, Submitted};
use hivemind_model::Cpt;
use hivemind_model::array::MAX_ENTRIES_BYTES;
use hivemind_proto::v1::{GraphTask, InputFile, SubmitGraphRequest};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file of a graph.
const MAX_GRAPH_BYTES: u64 = 32 << 20;

/// Hands a task, an array or a graph in and prints its id.
///
/// # Errors
/// Something in it is wrong, or the pool refuses it or does not answer.
pub async fn submit(ctx: &mut Context, args: SubmitArgs) -> Done {
    if let Some(file) = &args.graph {
        return submit_graph(ctx, file, args.options.max_price, args.wait).await;
    }
    let program = Program { image: args.program.image.unwrap_or_default(), command: args.program.command };
    let asked = Asked { options: &args.options, array: &args.array, conditions: &args.conditions, program: &program };
    let prepared = request::prepare(asked, Path::new(""))?;
    let client = ctx.user().await?;
    let request = request::send(&client, prepared, &mut ctx.face).await?;
    let submitted = client.submit(request).await?;
    told(ctx, &client, submitted, args.wait).await
}

/// Prints the id of what was handed in; with `wait` also follows it to its end.
///
/// # Errors
/// With `wait`: the pool stays away.
pub async fn told(ctx: &mut Context, client: &Client, submitted: Submitted, wait: bool) -> Done {
    if wait {
        ctx.face.say(&format!("{}: at most {}", submitted.task, Amount::of(submitted.cap.micro())));
        return wait::to_the_end(ctx, client, vec![submitted.task], None).await;
    }
    let cap = serde_json::to_value(Amount::of(submitted.cap.micro())).unwrap_or_default();
    ctx.face.show(&Word::new("task", submitted.task.to_string()).with("price_cap", cap))?;
    Ok(Exit::Ok)
}

async fn submit_graph(ctx: &mut Context, file: &Path, max_price: Option<Cpt>, wait: bool) -> Done {
    let shown = if file.as_os_str() == "-" { "standard input".into() } else { file.display().to_string() };
    let nodes = graph::read(&shown, &content(file, &shown)?)?;
    let base = file.parent().unwrap_or_else(|| Path::new(""));
    let prepared = prepare(&shown, &nodes, base)?;
    let client = ctx.user().await?;
    let mut tasks = Vec::with_capacity(nodes.len());
    let mut uploaded = BTreeMap::new();
    for (node, prepared) in nodes.iter().zip(prepared) {
        let task = upload(&client, prepared, &mut uploaded, ctx).await.map_err(|why| within(&node.name, why))?;
        tasks.push(GraphTask { name: node.name.clone(), task: Some(task) });
    }
    let request = SubmitGraphRequest {
        token: String::new(),
        tasks,
        max_price_micro: max_price.map_or(0, Cpt::micro),
        request_id: String::new(),
    };
    let submitted = client.submit_graph(request).await.map_err(|why| placed(why.into(), &shown, &nodes))?;
    let ids = submitted.tasks.iter().map(|(_, task)| task.task).collect();
    let graph = Graph::from(submitted);
    if wait {
        for task in &graph.tasks {
            ctx.face.say(&format!("{} is {}", task.task, crate::face::harmless(&task.name)));
        }
        return wait::to_the_end(ctx, &client, ids, None).await;
    }
    ctx.face.show(&graph)?;
    Ok(Exit::Ok)
}

fn content(file: &Path, shown: &str) -> Done<String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("--graph: {shown} does not exist")),
        std::io::ErrorKind::InvalidData => Failure::usage(format!("--graph: {shown} is not UTF-8 text")),
        _ => Failure::io(format!("--graph: {shown} cannot be read"), &error),
    };
    let mut text = String::new();
    match file.as_os_str() == "-" {
        true => std::io::stdin().lock().take(MAX_GRAPH_BYTES + 1).read_to_string(&mut text),
        false => File::open(file).and_then(|file| file.take(MAX_GRAPH_BYTES + 1).read_to_string(&mut text)),
    }
    .map_err(cannot)?;
    if text.len() as u64 > MAX_GRAPH_BYTES {
        return Err(Failure::usage(format!("--graph: {shown} has more than {MAX_GRAPH_BYTES} bytes"))
            .fix("make one array of tasks that differ only in their input"));
    }
    Ok(text)
}

/// Every task of a graph, judged and read.
fn prepare(shown: &str, nodes: &[Node], base: &Path) -> Done<Vec<Prepared>> {
    let mut left = MAX_ENTRIES_BYTES;
    let mut all = Vec::with_capacity(nodes.len());
    for node in nodes {
        let asked =
            Asked { options: &node.options, array: &node.array, conditions: &node.conditions, program: &node.program };
        let at = |why: Failure| within(&node.name, why).at(shown);
        let mut prepared = request::prepare(asked, base).map_err(at)?;
        prepared.request.after.clone_from(&node.after);
        // The graph has an id for all of it.
        prepared.request.request_id.clear();
        let bytes = prepared.entries.as_ref().map_or(0, |entries| entries.text.len() as u64);
        left = left.checked_sub(bytes).ok_or_else(|| {
            at(Failure::usage(format!("all entries of the graph are more than {MAX_ENTRIES_BYTES} bytes")))
        })?;
        all.push(prepared);
    }
    Ok(all)
}

/// Uploads the files of one task, each file of the graph once; the message would grow too large with them inside.
async fn upload(
    client: &Client,
    prepared: Prepared,
    uploaded: &mut BTreeMap<PathBuf, String>,
    ctx: &mut Context,
) -> Done<hivemind_proto::v1::SubmitTaskRequest> {
    let Prepared { mut request, inputs, entries, image } = prepared;
    if let Some(local) = image {
        request.docker_image = match uploaded.get(&local.path) {
            Some(digest) => digest.clone(),
            None => {
                let digest = request::push(client, &local, &mut ctx.face).await?.blob.digest.to_string();
                uploaded.insert(local.path, digest.clone());
                digest
            }
        };
    }
    for input in inputs {
        let digest = match uploaded.get(&input.source) {
            Some(digest) => digest.clone(),
            None => {
                let digest = request::upload(client, &input.source, &mut ctx.face).await?;
                uploaded.insert(input.source, digest.clone());
                digest
            }
        };
        request.inputs.push(InputFile { path: input.dest, digest });
    }
    if let Some(entries) = entries {
        request.entries_digest = request::upload_entries(client, entries, &ctx.face).await?;
    }
    Ok(request)
}

fn within(name: &str, failure: Failure) -> Failure {
    failure.at(&format!("task `{}`", crate::face::harmless(name)))
}

/// A refusal of `tasks[N].field` with the file, the name of that task and the option of that field.
fn placed(failure: Failure, shown: &str, nodes: &[Node]) -> Failure {
    let found = failure.field.strip_prefix("tasks[").and_then(|rest| {
        let (place, rest) = rest.split_once(']')?;
        let name = nodes.get(place.parse::<usize>().ok()?).map(|node| node.name.clone())?;
        let why = failure.what.strip_prefix(&failure.field)?.strip_prefix(": ")?;
        let field = rest.trim_start_matches('.');
        let why = if field.is_empty() { why.to_owned() } else { format!("{field}: {why}") };
        Some((name, crate::flags::reworded(field, &why)))
    });
    match found {
        Some((name, why)) => within(&name, Failure { what: why, ..failure }).at(shown),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hivemind_model::Code;

    #[test]
    fn a_refused_task_of_a_graph_is_named() {
        let nodes = graph::read("g", r#"[{"name": "a", "image": "b"}, {"name": "merge", "image": "b"}]"#).unwrap();
        let told = |field: &str| {
            let failure = Failure::refusal(Code::Invalid, format!("{field}: is wrong"));
            placed(Failure { field: field.into(), ..failure }, "g", &nodes).what
        };
        assert_eq!(told("tasks[1].quorum"), "g: task `merge`: --quorum: is wrong");
        assert_eq!(told("tasks[0]"), "g: task `a`: is wrong");
        assert_eq!(told("tasks[7].quorum"), "tasks[7].quorum: is wrong");
        assert_eq!(told("after"), "after: is wrong");
    }

    #[test]
    fn files_of_a_graph_lie_beside_it_and_what_is_wrong_is_placed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("names"), "x\ny\n").unwrap();
        let judge = |rest: &str| {
            let nodes = graph::read("g.toml", &format!("[[task]]\nname = \"a\"\nimage = \"b\"\n{rest}")).unwrap();
            prepare("g.toml", &nodes, dir.path()).map_err(|failure| failure.what)
        };
        let prepared = judge("each-line = \"names\"\ninput = \"names:in\"\nafter = \"7\"").unwrap().remove(0);
        assert_eq!((prepared.request.array.as_str(), prepared.inputs[0].dest.as_str()), ("1-2", "in"));
        assert_eq!(prepared.request.after[0].task_id, "task_7");
        assert_eq!(judge("each-line = \"none\"").unwrap_err(), "g.toml: task `a`: --each-line: none does not exist");
        assert!(judge("max-fails = 1").unwrap_err().starts_with("g.toml: task `a`: --max-fails is about arrays"));
    }
}
