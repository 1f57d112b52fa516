//! Invitation codes: how they are made and how they are read.
//!
//! A code is random and known to the pool by its SHA-256 only. People type it, so case, blanks and
//! hyphens do not count. Start at [`make`].
//!
//! Invariant: a code is neither stored nor logged.

use hivemind_model::Rejection;
use sha2::{Digest as _, Sha256};

/// The characters of a code: none of them looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
/// Characters of a code, 5 bits each: 140 bits.
const CHARS: usize = 28;
/// Characters between hyphens.
const GROUP: usize = 4;
/// Longest text that is read as a code, in bytes.
const MAX_BYTES: usize = 128;

/// A new code as it is shown, and its digest.
pub(crate) fn make() -> (String, [u8; 32]) {
    let bytes: [u8; CHARS] = rand::random();
    let mut code = String::with_capacity(CHARS + CHARS / GROUP);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % GROUP == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    let digest = digest_of(&code);
    (code, digest)
}

/// The digest of a code as somebody typed it; `None` where they gave none.
///
/// # Errors
/// A text that is too long to be one.
pub(crate) fn digest(typed: &str) -> Result<Option<[u8; 32]>, Rejection> {
    if typed.len() > MAX_BYTES {
        return Err(Rejection::invalid("invitation", "is too long to be a code of this pool; check what you copied"));
    }
    if typed.trim().is_empty() {
        return Ok(None);
    }
    Ok(Some(digest_of(typed)))
}

fn digest_of(code: &str) -> [u8; 32] {
    let plain = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let plain: String = plain.map(|c| c.to_ascii_lowercase()).collect();
    Sha256::digest(plain).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let (code, known) = make();
        assert_eq!(code.split('-').map(str::len).collect::<Vec<_>>(), [GROUP; CHARS / GROUP]);
        for typed in [code.clone(), code.to_uppercase(), code.replace('-', " "), format!(" {} ", code.replace('-', ""))]
        {
            assert_eq!(digest(&typed), Ok(Some(known)), "{typed}");
        }
        assert_ne!(digest("abcd"), Ok(Some(known)));
        assert_eq!((digest(""), digest("  ")), (Ok(None), Ok(None)));
        assert!(digest(&"a".repeat(MAX_BYTES + 1)).is_err());
        assert_ne!(make().0, code);
    }
}
