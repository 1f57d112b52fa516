//! Who is let in before their message is read: a token in the metadata is judged first, and strangers send little.
//!
//! [`Admit`] is a layer around all services. A caller whose token stands in the message alone is a stranger until that
//! was read, so it may only be small; [`BySender`] keeps a service in the two sizes.
//!
//! Invariant: a large message is read only for somebody who has shown a token of this pool.

use crate::scopes;
use crate::shared::{Shared, has_bearer};
use futures::future::{Either, Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll, ready as ready_now};
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tower::{Layer, Service};

/// Whoever sends the request has shown a token that holds.
#[derive(Debug, Clone, Copy)]
struct Known;

/// Refuses requests whose token does not hold.
#[derive(Clone)]
pub(crate) struct Admit(pub(crate) Arc<Shared>);

impl<S> Layer<S> for Admit {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted { inner, shared: self.0.clone() }
    }
}

/// See [`Admit`].
#[derive(Clone)]
pub(crate) struct Admitted<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<http::Request<B>> for Admitted<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<S::Response, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        match judge(&self.shared, &mut request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(status) => Either::Left(ready(Ok(status.into_http()))),
        }
    }
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
