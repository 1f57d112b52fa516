//! SOCKS5 (RFC 1928): its CONNECT, without passwords.
//!
//! Start at [`asked`].
//!
//! Invariant: nothing is read beyond the request, and no reply says more than its one byte.

use crate::rules::Refusal;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// First byte of every message.
pub(crate) const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;

/// The one byte that a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reply {
    Done = 0,
    NotAllowed = 2,
    HostUnreachable = 4,
    NoSuchCommand = 7,
    NoSuchAddress = 8,
}

impl Reply {
    pub(crate) fn of(refusal: &Refusal) -> Self {
        if refusal.is_rule() { Self::NotAllowed } else { Self::HostUnreachable }
    }
}

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To be connected to this host, an IPv6 address in brackets, and port.
    Connect(String, u16),
    /// Something else; it has been answered.
    Other(&'static str),
}

/// Reads a client's greeting and request.
///
/// # Errors
/// Where the client goes away or does not speak SOCKS5.
pub(crate) async fn asked(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Asked> {
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let [version, count] = read::<2>(client).await?;
    if version != VERSION {
        return Err(bad("not SOCKS5"));
    }
    let mut methods = vec![0; count.into()];
    client.read_exact(&mut methods).await?;
    if !methods.contains(&NO_PASSWORD) {
        client.write_all(&[VERSION, NO_METHOD]).await?;
        return Ok(Asked::Other("it wants a password for the proxy, which has none"));
    }
    client.write_all(&[VERSION, NO_PASSWORD]).await?;
    let [version, command, reserved, kind] = read::<4>(client).await?;
    if version != VERSION || reserved != 0 {
        return Err(bad("not a request of SOCKS5"));
    }
    let host = match kind {
        1 => Ipv4Addr::from(read::<4>(client).await?).to_string(),
        3 => {
            let [length] = read::<1>(client).await?;
            let mut name = vec![0; length.into()];
            client.read_exact(&mut name).await?;
            // What is no text is no name either, and is refused as such.
            String::from_utf8_lossy(&name).into_owned()
        }
        4 => format!("[{}]", Ipv6Addr::from(read::<16>(client).await?)),
        _ => {
            reply(client, Reply::NoSuchAddress).await?;
            return Ok(Asked::Other("an unknown kind of address"));
        }
    };
    let port = u16::from_be_bytes(read::<2>(client).await?);
    if command != CONNECT {
        reply(client, Reply::NoSuchCommand).await?;
        return Ok(Asked::Other("only connections of TCP to a host are made"));
    }
    Ok(Asked::Connect(host, port))
}

/// Answers a request.
pub(crate) async fn reply(client: &mut (impl AsyncWrite + Unpin), reply: Reply) -> io::Result<()> {
    // The address that follows is the proxy's side of the connection: nobody's business.
    client.write_all(&[VERSION, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

async fn read<const N: usize>(client: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(bytes: &[u8]) -> (io::Result<Asked>, Vec<u8>) {
        let (mut near, mut far) = tokio::io::duplex(1024);
        far.write_all(bytes).await.expect("written");
        far.shutdown().await.expect("ended");
        let asked = asked(&mut near).await;
        drop(near);
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.expect("read");
        (asked, answer)
    }

    #[tokio::test]
    async fn hosts_come_as_names_and_as_addresses() {
        let greeting = [5, 1, 0];
        let mut name = [&greeting[..], &[5, 1, 0, 3, 5], b"a.org", &[1, 187]].concat();
        let long = [&greeting[..], &[5, 1, 0, 4], &Ipv6Addr::LOCALHOST.octets(), &[0, 80]].concat();
        for (bytes, host, port) in [
            (name.as_slice(), "a.org", 443),
            (&[5, 2, 2, 0, 5, 1, 0, 1, 10, 0, 0, 1, 0, 22], "10.0.0.1", 22),
            (&long, "[::1]", 80),
        ] {
            let (asked, answer) = said(bytes).await;
            assert_eq!(asked.expect("asked"), Asked::Connect(host.into(), port));
            assert_eq!(answer, [5, 0]);
        }
        name.pop();
        assert!(said(&name).await.0.is_err(), "half a request");
    }

    #[tokio::test]
    async fn everything_else_is_answered_or_ended() {
        for (bytes, last) in [
            (&[5, 1, 2][..], 0xff),
            (&[5, 1, 0, 5, 2, 0, 1, 1, 2, 3, 4, 0, 1], 0),
            (&[5, 1, 0, 5, 3, 0, 1, 1, 2, 3, 4, 0, 1], 0),
            (&[5, 1, 0, 5, 1, 0, 9], 0),
        ] {
            let (asked, answer) = said(bytes).await;
            assert!(matches!(asked, Ok(Asked::Other(_))), "{asked:?}");
            assert_eq!(answer.last(), Some(&last));
            assert!(answer.len() == 2 || matches!(answer[3], 7 | 8), "{answer:?}");
        }
        for bytes in [&[4, 1][..], &[5], &[5, 1, 0, 5, 1, 1, 1], &[5, 1, 0, 4, 1, 0, 1], &[5, 255, 0]] {
            assert!(said(bytes).await.0.is_err(), "{bytes:?}");
        }
    }
}
