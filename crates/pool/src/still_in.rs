//! Whether somebody who may look on for long is still in: streams end with the login that opened them.
//!
//! What a session or a key has opened goes on while it lives, also past the end of the access token that was shown at
//! the beginning; what a login has opened, until its token expires. Start at [`StillIn::guard`].
//!
//! Invariant: nothing is sent to whom the pool already knows to be out.

use crate::shared::Shared;
use crate::status;
use crate::tokens::Caller;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use hivemind_model::{Millis, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;

/// The longest time to a look at the clock: it may be set, and the machine may have slept.
const LOOK_AGAIN: Millis = Millis::from_secs(30);

/// See the module.
pub(crate) struct StillIn {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    ends: watch::Receiver<()>,
}

impl StillIn {
    /// Watches over what `caller` opens.
    pub(crate) fn of(shared: &Arc<Shared>, caller: &Arc<Caller>) -> Self {
        Self { shared: shared.clone(), caller: caller.clone(), ends: shared.live.sessions.ends() }
    }

    /// The stream until it ends, or until its caller is out: then it ends as the refusal of a call does.
    pub(crate) fn guard<T: Send + 'static>(
        self,
        stream: BoxStream<'static, Result<T, Status>>,
    ) -> BoxStream<'static, Result<T, Status>> {
        let out = Box::pin(self.out());
        let guarded = stream::unfold(Some((stream, out)), async |state| {
            let (mut stream, mut out) = state?;
            tokio::select! {
                biased;
                status = &mut out => Some((Err(status), None)),
                item = stream.next() => item.map(|item| (item, Some((stream, out)))),
            }
        });
        Box::pin(guarded)
    }

    /// Waits until the caller is out; gives what they are told.
    async fn out(mut self) -> Status {
        loop {
            let until = match self.until() {
                Ok(until) => until,
                Err(status) => return status,
            };
            let left = until.since(self.shared.clock.now()).0.clamp(1, LOOK_AGAIN.0);
            tokio::select! {
                changed = self.ends.changed() => {
                    // The sender lives as long as `shared`, which is held here.
                    if changed.is_err() {
                        return status::unauthenticated("the pool no longer knows who is logged in; log in again");
                    }
                }
                () = tokio::time::sleep(Duration::from_millis(left)) => {}
            }
        }
    }

    /// Until when the caller is in, as it stands.
    fn until(&self) -> Result<Timestamp, Status> {
        let (until, why) = match self.caller.session {
            Some(id) => {
                let row = self.shared.live.sessions.get(id).filter(|row| row.user == self.caller.id);
                let row = row.ok_or_else(|| {
                    status::unauthenticated("the session or key that opened this stream has ended; log in again")
                })?;
                (row.expires_at, "the session or key that opened this stream has expired; log in again")
            }
            None => (self.caller.expires_at, "the token that opened this stream has expired; log in again"),
        };
        if until <= self.shared.clock.now() { Err(status::unauthenticated(why)) } else { Ok(until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PoolConfig;
    use hivemind_model::rows::Role;
    use hivemind_model::{Policy, Scopes};

    #[tokio::test]
    async fn a_stream_ends_with_the_time_of_the_token_that_opened_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = PoolConfig {
            data: folder.path().join("pool"),
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            names: Vec::new(),
            policy: Policy::default(),
            reflection: false,
        };
        let pool = crate::start(config).await.unwrap();
        let shared = pool.shared.clone();
        let id = shared.store.user_by_name("operator").await.unwrap().unwrap().id;
        let caller = |life| Caller {
            id,
            name: "operator".into(),
            role: Role::Operator,
            expires_at: shared.clock.now().after(Millis(life)),
            scopes: Scopes::ALL,
            session: None,
        };
        // One thing comes, and then nothing.
        let endless = || stream::iter([Ok(1)]).chain(stream::pending()).boxed();
        let begun = StillIn::of(&shared, &Arc::new(caller(200))).guard(endless());
        let told = tokio::time::timeout(Duration::from_secs(30), begun.collect::<Vec<_>>()).await.unwrap();
        assert_eq!(told.len(), 2);
        let end = told[1].as_ref().unwrap_err();
        assert!(end.code() == tonic::Code::Unauthenticated && end.message().contains("expired"), "{end}");
        // One that ends by itself ends without a refusal; one whose time is over tells nothing at all.
        let short = StillIn::of(&shared, &Arc::new(caller(60_000))).guard(stream::iter([Ok(1)]).boxed());
        assert_eq!(short.filter_map(async |item| item.ok()).collect::<Vec<_>>().await, [1]);
        let late: Vec<_> = StillIn::of(&shared, &Arc::new(caller(0))).guard(endless()).collect().await;
        assert!(late.len() == 1 && late[0].is_err());
        drop(shared);
        pool.shutdown().await.unwrap();
    }
}
