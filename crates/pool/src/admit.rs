//! Who is let in before their message is read: a token in the metadata is judged first, and strangers send little, soon, and
//! not much at once.
//!
//! [`Admit`] is a layer around all services. A caller whose token stands in the message alone is a stranger until that
//! was read, so it may only be small; [`BySender`] keeps a service in the two sizes.
//!
//! Invariant: a large message is read only for somebody who has shown a token of this pool, and no stranger's call is waited for
//! without a bound.

use crate::gate;
use crate::scopes;
use crate::server::Peer;
use crate::shared::{Shared, has_bearer};
use futures::future::{BoxFuture, Either, Ready, ready};
use hivemind_limit::Places;
use hivemind_model::network_of;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready as ready_now};
use std::time::Duration;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tower::{Layer, Service};

/// What strangers may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strangers {
    /// Calls that are not answered yet, of one network.
    pub of_one: usize,
    /// Those of all networks together.
    pub all: usize,
    /// Until the answer begins: what they send is small, and the longest work for them is a password's. An upload that takes longer
    /// needs its token in the metadata.
    pub patience: Duration,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { of_one: 1024, all: 8192, patience: Duration::from_secs(60) }
    }
}

/// Whoever sends the request has shown a token that holds.
#[derive(Debug, Clone, Copy)]
struct Known;

/// Refuses requests whose token does not hold, and too many of strangers.
#[derive(Clone)]
pub(crate) struct Admit {
    shared: Arc<Shared>,
    strangers: Places<IpAddr>,
    patience: Duration,
}

impl Admit {
    pub(crate) fn new(shared: Arc<Shared>, Strangers { of_one, all, patience }: Strangers) -> Self {
        Self { shared, strangers: Places::new(of_one, all), patience }
    }
}

impl<S> Layer<S> for Admit {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted { inner, admit: self.clone() }
    }
}

/// See [`Admit`].
#[derive(Clone)]
pub(crate) struct Admitted<S> {
    inner: S,
    admit: Admit,
}

impl<S, B, R> Service<http::Request<B>> for Admitted<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<
        Ready<Result<S::Response, S::Error>>,
        Either<S::Future, BoxFuture<'static, Result<S::Response, S::Error>>>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        if let Err(status) = judge(&self.admit.shared, &mut request) {
            return Either::Left(ready(Ok(status.into_http())));
        }
        let Some(network) = stranger(&request) else { return Either::Right(Either::Left(self.inner.call(request))) };
        let Ok(place) = self.admit.strangers.take(&network) else {
            let busy = "E_BUSY: too many calls without a token wait for their answers; try again";
            return Either::Left(ready(Ok(Status::resource_exhausted(busy).into_http())));
        };
        let (answer, patience) = (self.inner.call(request), self.admit.patience);
        Either::Right(Either::Right(Box::pin(async move {
            let _place = place;
            tokio::time::timeout(patience, answer).await.unwrap_or_else(|_elapsed| {
                let seconds = patience.as_secs();
                let late =
                    format!("E_BUSY: the request did not come, or was not answered, within {seconds} s; what takes longer needs the \
                     token in the metadata, as `authorization: Bearer TOKEN`");
                Ok(Status::deadline_exceeded(late).into_http())
            })
        })))
    }
}

/// From which network a request comes that shows neither a token nor a node's certificate.
fn stranger<B>(request: &http::Request<B>) -> Option<IpAddr> {
    let extensions = request.extensions();
    let is_node = extensions.get::<Peer>().is_some_and(|peer| peer.node.is_some());
    let is_known = extensions.get::<Known>().is_some();
    (!is_node && !is_known).then(|| network_of(gate::origin_of(request.headers())))
}

/// Judges the token in the metadata, where the call takes one and one is there.
fn judge<B>(shared: &Shared, request: &mut http::Request<B>) -> Result<(), Status> {
    if !scopes::takes_token(request.uri().path()) {
        return Ok(());
    }
    let metadata = MetadataMap::from_headers(std::mem::take(request.headers_mut()));
    let judged = if has_bearer(&metadata) { shared.caller("", &metadata).map(Some) } else { Ok(None) };
    *request.headers_mut() = metadata.into_headers();
    if judged?.is_some() {
        request.extensions_mut().insert(Known);
    }
    Ok(())
}

/// One service, as it is for those who are known and for strangers.
#[derive(Debug, Clone)]
pub(crate) struct BySender<S> {
    /// For whoever has shown a token in the metadata.
    pub(crate) known: S,
    /// For everybody else.
    pub(crate) stranger: S,
}

impl<S: NamedService> NamedService for BySender<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<http::Request<B>> for BySender<S>
where
    S: Service<http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready_now!(self.known.poll_ready(context))?;
        self.stranger.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> S::Future {
        match request.extensions().get::<Known>() {
            Some(Known) => self.known.call(request),
            None => self.stranger.call(request),
        }
    }
}
