//! `image push`: an image, a module or a program that is sent once and then named by its digest.
//!
//! Invariant: what is printed is what the pool has when this returns.

use super::{Context, request};
use crate::args::ImageVerb;
use crate::exit::Exit;
use crate::failure::Done;
use crate::image::{Local, What};
use crate::show::Word;
use hivemind_model::Bytes;

/// Does what is asked about images.
///
/// # Errors
/// The file is no image, or the pool does not take it.
pub async fn image(ctx: &mut Context, verb: &ImageVerb) -> Done {
    match verb {
        ImageVerb::Push { file } => {
            let local = Local::read(file)?;
            let architectures = local.architectures().await?;
            let client = ctx.user().await?;
            let uploaded = request::push(&client, &local, &mut ctx.face).await?;
            let what = match local.what {
                What::Module => "a WebAssembly module",
                What::Program => "a program, packed into an image",
                What::Archive => "an archive of an image",
            };
            let on =
                if architectures.is_empty() { String::new() } else { format!(", for {}", architectures.join(", ")) };
            ctx.face.say(&format!("{what} of {}{on}", Bytes(uploaded.blob.size.0)));
            let word = Word::new("image", uploaded.blob.digest.to_string())
                .with("kind", local.kind())
                .with("bytes", uploaded.blob.size.0)
                .with("sent_bytes", uploaded.sent)
                .with("architectures", architectures);
            ctx.face.show(&word)?;
            Ok(Exit::Ok)
        }
    }
}
