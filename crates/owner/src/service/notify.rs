//! Words to systemd, as `sd_notify(3)` tells.
//!
//! Invariant: nothing waits for systemd, and where there is none every word is said to nobody.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Longest status, in bytes.
const MAX_STATUS_BYTES: usize = 500;

/// See the module.
#[derive(Debug)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// By what systemd put into the environment of this process. Nobody hears it where it did not.
    ///
    /// # Errors
    /// Where there is an address that cannot be one, or no socket can be made.
    pub fn from_environment() -> io::Result<Self> {
        Self::new(|name| std::env::var_os(name), std::process::id())
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> io::Result<Self> {
        let Some(address) = variable("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Ok(Self { to: None, watchdog: None });
        };
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(&address)?,
            _ => {
                let why = format!("NOTIFY_SOCKET is `{}`, which is no path and no abstract name", address.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let number = |name: &str| variable(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
        // It is said to one process, and inherited by its children.
        let ours = number("WATCHDOG_PID").is_none_or(|wanted| wanted == u64::from(pid));
        let micros = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && ours);
        Ok(Self { to: Some((socket, address)), watchdog: micros.map(Duration::from_micros) })
    }

    /// How often to call [`Self::alive`]: half of what systemd waits. `None` where it does not wait.
    #[must_use]
    pub fn alive_every(&self) -> Option<Duration> {
        self.watchdog.map(|longest| (longest / 2).max(Duration::from_millis(1)))
    }

    /// The worker does what it is for now.
    ///
    /// # Errors
    /// Where systemd does not take it.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.say(&format!("READY=1\n{}", line(status)))
    }

    /// One sentence about what it does, for `systemctl status`.
    ///
    /// # Errors
    /// As above.
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.say(&line(status))
    }

    /// It ends now.
    ///
    /// # Errors
    /// As above.
    pub fn stopping(&self) -> io::Result<()> {
        self.say("STOPPING=1")
    }

    /// It is alive. To be said by the part whose standstill would matter.
    ///
    /// # Errors
    /// As above.
    pub fn alive(&self) -> io::Result<()> {
        self.say("WATCHDOG=1")
    }

    fn say(&self, words: &str) -> io::Result<()> {
        match &self.to {
            Some((socket, address)) => socket.send_to_addr(words.as_bytes(), address).map(drop),
            None => Ok(()),
        }
    }
}

/// A status of several lines would be several words.
fn line(status: &str) -> String {
    let mut text: String = status.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while text.len() > MAX_STATUS_BYTES {
        text.pop();
    }
    format!("STATUS={text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(variables: &[(&str, &str)]) -> io::Result<Notifier> {
        Notifier::new(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()), 7)
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 2000];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn systemd_hears_each_word_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("hivemind-owner-test-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, address) in [(by_path, path.display().to_string()), (by_name, format!("@{name}"))] {
            let systemd = notifier(&[("NOTIFY_SOCKET", &address)]).unwrap();
            systemd.ready("Open: takes work").unwrap();
            assert_eq!(heard(&socket), "READY=1\nSTATUS=Open: takes work");
            systemd.status("a\nSTOPPING=1").unwrap();
            assert_eq!(heard(&socket), "STATUS=a STOPPING=1");
            systemd.status(&"ä".repeat(1000)).unwrap();
            assert!(heard(&socket).len() <= MAX_STATUS_BYTES + 7);
            systemd.alive().unwrap();
            assert_eq!(heard(&socket), "WATCHDOG=1");
            systemd.stopping().unwrap();
            assert_eq!(heard(&socket), "STOPPING=1");
        }
    }

    #[test]
    fn without_systemd_nobody_hears_it() {
        let nobody = notifier(&[("WATCHDOG_USEC", "1000")]).unwrap();
        nobody.ready("a").and(nobody.alive()).and(nobody.stopping()).unwrap();
        assert_eq!(nobody.alive_every(), None);
        assert!(notifier(&[("NOTIFY_SOCKET", "vsock:2:1")]).unwrap_err().to_string().contains("vsock:2:1"));
        let gone = notifier(&[("NOTIFY_SOCKET", "/no such folder/notify")]).unwrap();
        assert!(gone.alive().is_err());
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time() {
        let every = |extra: &[(&str, &str)]| {
            let variables = [&[("NOTIFY_SOCKET", "@a")], extra].concat();
            notifier(&variables).unwrap().alive_every()
        };
        assert_eq!(every(&[("WATCHDOG_USEC", "60000000")]), Some(Duration::from_secs(30)));
        assert_eq!(every(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "7")]), Some(Duration::from_secs(30)));
        assert_eq!(every(&[("WATCHDOG_USEC", "1")]), Some(Duration::from_millis(1)));
        for none in [
            &[("WATCHDOG_USEC", "60"), ("WATCHDOG_PID", "8")][..],
            &[("WATCHDOG_USEC", "0")],
            &[("WATCHDOG_USEC", "x")],
            &[],
        ] {
            assert_eq!(every(none), None, "{none:?}");
        }
    }
}
