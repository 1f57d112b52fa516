//! How messages come off the wire: weighed first, read then.
//!
//! An entry of a list that says nothing takes two bytes on the wire and hundreds in memory, so that a bound of bytes on
//! the wire bounds nothing. [`Codec`] is the usual one but for this: a request that would take far more memory than it
//! has bytes is refused before any of it is made. What weighs them is in `shapes`.
//!
//! Invariant: only requests are weighed; what a pool answers is as large as it is.

mod shapes;

use prost::bytes::Buf;
use prost::{Message, Name};
use shapes::{SHAPES, TooHeavy};
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// See the module.
#[derive(Debug, Clone)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Decoder<U> {
        Decoder { request: SHAPES.request(&U::full_name()), inner: ProstDecoder::default() }
    }
}

/// Reads messages that are not too heavy.
#[derive(Debug)]
pub struct Decoder<U> {
    /// Where its shape is, of a request.
    request: Option<usize>,
    inner: ProstDecoder<U>,
}

impl<U: Message + Default> tonic::codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if let Some(request) = self.request {
            SHAPES.weigh(request, buf.chunk()).map_err(|TooHeavy| {
                Status::resource_exhausted(
                    "E_TOO_LARGE: the lists of the request have more entries than the pool takes in one message; send \
                     many things in several calls",
                )
            })?;
        }
        self.inner.decode(buf)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.inner.buffer_settings()
    }
}
