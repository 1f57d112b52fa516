//! Several runtimes as one: each kind of program runs on the first that runs such.
//!
//! Invariant: nothing is run here; a job goes to one runtime and stays there.

use crate::{Check, Control, Finished, Job, Runtime, Sink};
use async_trait::async_trait;
use hivemind_model::state::{Metering, Outcome};
use hivemind_model::{Isolation, Kind, Kinds};
use std::path::Path;
use std::sync::Arc;

/// See the module.
#[derive(Clone)]
pub struct Together {
    first: Arc<dyn Runtime>,
    others: Vec<Arc<dyn Runtime>>,
    name: &'static str,
}

impl Together {
    /// `first` and `others` as one runtime that is called `name`.
    #[must_use]
    pub fn new(name: &'static str, first: Arc<dyn Runtime>, others: Vec<Arc<dyn Runtime>>) -> Self {
        Self { first, others, name }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Runtime>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn of(&self, kind: Kind) -> Option<&Arc<dyn Runtime>> {
        self.all().find(|runtime| runtime.kinds().has(kind))
    }
}

#[async_trait]
impl Runtime for Together {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kinds(&self) -> Kinds {
        self.others.iter().fold(self.first.kinds(), |kinds, other| kinds.or(other.kinds()))
    }

    /// What containers are told; where there are none, what modules are told.
    fn no_network(&self) -> Option<String> {
        self.of(Kind::Container).unwrap_or(&self.first).no_network()
    }

    /// The lowest of all: a task that asks for a tier may be of any kind.
    fn isolation(&self) -> Isolation {
        self.others.iter().fold(self.first.isolation(), |lowest, other| lowest.min(other.isolation()))
    }

    async fn run(&self, job: Job, sink: Arc<dyn Sink>, control: Control, scratch: &Path) -> Finished {
        match self.of(job.kind) {
            Some(runtime) => runtime.run(job, sink, control, scratch).await,
            None => Finished {
                outcome: Outcome::Infrastructure { reason: format!("this node runs no {} programs", job.kind) },
                metering: Metering::default(),
                image_id: String::new(),
                output: None,
            },
        }
    }

    async fn sweep(&self) -> Result<usize, String> {
        let mut swept = 0;
        for runtime in self.all() {
            swept += runtime.sweep().await?;
        }
        Ok(swept)
    }

    async fn health(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for runtime in self.all() {
            checks.extend(runtime.health().await);
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stop;
    use hivemind_model::units::Millis;
    use hivemind_model::{Egress, ElementRef, Resources, TaskId};

    /// Runs one kind, and says its name as the image that ran.
    struct Only(&'static str, Kinds, Isolation);

    #[async_trait]
    impl Runtime for Only {
        fn name(&self) -> &'static str {
            self.0
        }
        fn kinds(&self) -> Kinds {
            self.1
        }
        fn no_network(&self) -> Option<String> {
            (self.1 == Kinds::WASM).then(|| "modules have none".into())
        }
        fn isolation(&self) -> Isolation {
            self.2
        }
        async fn run(&self, _: Job, _: Arc<dyn Sink>, _: Control, _: &Path) -> Finished {
            let (outcome, metering) = (Outcome::Exited { code: 0 }, Metering::default());
            Finished { outcome, metering, image_id: self.0.into(), output: None }
        }
        async fn sweep(&self) -> Result<usize, String> {
            Ok(2)
        }
        async fn health(&self) -> Vec<Check> {
            Vec::new()
        }
    }

    struct Deaf;

    impl Sink for Deaf {
        fn note(&self, _: &str) {}
        fn started(&self) {}
        fn output(&self, _: crate::Stream, _: &[u8]) {}
        fn progress(&self, _: u8) {}
        fn usage(&self, _: crate::Usage) {}
    }

    fn containers() -> Arc<dyn Runtime> {
        Arc::new(Only("c", Kinds::CONTAINER, Isolation::Basic))
    }

    fn modules() -> Arc<dyn Runtime> {
        Arc::new(Only("m", Kinds::WASM, Isolation::Sandboxed))
    }

    async fn run(runtime: &Together, kind: Kind) -> Finished {
        let job = Job {
            attempt: ElementRef::only(TaskId(1)).attempt(1),
            kind,
            image: "any:1".into(),
            command: Vec::new(),
            env: Vec::new(),
            files: Vec::new(),
            outputs: Vec::new(),
            egress: Egress::default(),
            warm: false,
            max_runtime: Millis(1),
            resources: Resources::default(),
        };
        runtime.run(job, Arc::new(Deaf), Control::stopping(Stop::new()), Path::new("/")).await
    }

    #[tokio::test]
    async fn each_kind_runs_where_it_can() {
        let both = Together::new("c+m", containers(), vec![modules()]);
        assert_eq!((both.kinds(), both.isolation(), both.no_network()), (Kinds::ALL, Isolation::Basic, None));
        assert_eq!(run(&both, Kind::Container).await.image_id, "c");
        assert_eq!(run(&both, Kind::Wasm).await.image_id, "m");
        assert_eq!(both.sweep().await, Ok(4));
        let one = Together::new("m", modules(), Vec::new());
        assert!(one.no_network().is_some());
        let refused = run(&one, Kind::Container).await.outcome;
        assert!(matches!(&refused, Outcome::Infrastructure { reason } if reason.contains("container")), "{refused:?}");
    }
}
