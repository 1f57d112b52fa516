//! Many elements of one array in one container, one after the other.
//!
//! The container's first process is the guest's `warm` verb ([`hivemind_guest`]). [`Channel`] is the way to
//! it: a command goes in, its output and its end come out. [`Folder`] is what the container knows as `/task`:
//! laid out once, and set back after each element by the agent, from outside. Neither knows which runtime made
//! the container.
//!
//! What an element can rely on, and what not, is written in `docs/WARM.md`.
//!
//! Invariant: nothing that comes through a channel decides about money or about another element: a frame
//! that is out of turn ends the container.

mod channel;
mod folder;

pub use channel::{Broken, Channel, Command, Said};
pub use folder::{Folder, GUEST, HIDDEN};
pub use hivemind_guest::wire::{Ended, How};

use std::io;

/// Folders of every container that the guest empties after each element; where one is not there, nothing.
pub const EMPTIED: [&str; 3] = ["/tmp", "/dev/shm", "/dev/mqueue"];

/// What a container runtime says of a `program` that cannot be executed because of `errno`.
#[must_use]
pub fn why_not_started(program: &str, errno: i32) -> String {
    let error = io::Error::from_raw_os_error(errno);
    let why = match error.kind() {
        io::ErrorKind::NotFound if !program.contains('/') => "executable file not found in $PATH".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => {
            let text = error.to_string();
            // Without the number that follows.
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    };
    format!("exec: \"{program}\": {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_in_any_container() {
        assert_eq!(why_not_started("nope", 2), "exec: \"nope\": executable file not found in $PATH");
        assert_eq!(why_not_started("/nope", 2), "exec: \"/nope\": no such file or directory");
        assert_eq!(why_not_started("/etc/passwd", 13), "exec: \"/etc/passwd\": permission denied");
        assert_eq!(why_not_started("x", 8), "exec: \"x\": exec format error");
    }
}
