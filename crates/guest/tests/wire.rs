//! The frames between an agent and its guest.

use hivemind_guest::wire::{Ended, Frame, HEADER, How, MOST_REPLY, MOST_REQUEST, Malformed, Reply, Request};

fn first(bytes: &[u8], most: usize) -> Frame<'_> {
    Frame::first(bytes, most).expect("sound").expect("whole")
}

#[test]
fn requests_read_back() {
    let run = Request::Run {
        argv: vec!["sh".into(), "-c".into(), "echo ü".into(), String::new()],
        env: vec![("HIVEMIND_INDEX".into(), "7".into()), ("HIVEMIND_EMPTY".into(), String::new())],
        cwd: "/task".into(),
    };
    let empty = Request::Run { argv: Vec::new(), env: Vec::new(), cwd: String::new() };
    let mut bytes = Vec::new();
    for (request, id) in [run, Request::Kill, empty].into_iter().zip([1, u64::MAX, 3]) {
        bytes.clear();
        request.write(id, &mut bytes).expect("short");
        let frame = first(&bytes, MOST_REQUEST);
        assert_eq!((frame.id, frame.length()), (id, bytes.len()));
        assert_eq!(Request::read(frame), Ok(request));
    }
}

#[test]
fn replies_read_back_one_after_the_other() {
    let ended = |how, worn| Reply::Ended(Ended { how, cpu_micros: u64::MAX, peak_kib: 1, worn });
    let long = vec![7; MOST_REPLY];
    let replies = [
        Reply::Hello(1),
        Reply::Started,
        Reply::Stdout(b"x"),
        Reply::Stderr(&long),
        Reply::Stdout(b""),
        ended(How::Exited(-1), false),
        ended(How::Signalled(9), true),
        ended(How::NotStarted(2), false),
    ];
    let mut bytes = Vec::new();
    for reply in &replies {
        reply.write(5, &mut bytes).expect("short");
    }
    let mut rest = &bytes[..];
    for reply in replies {
        let frame = first(rest, MOST_REPLY);
        assert_eq!(Reply::read(frame), Ok(reply));
        rest = &rest[frame.length()..];
    }
    assert!(rest.is_empty());
}

/// Whatever is cut off or changed is waited for or refused; nothing panics, and no room is made by a number.
#[test]
fn what_is_cut_off_or_changed_is_refused() {
    let mut run = Vec::new();
    let request = Request::Run { argv: vec!["true".into()], env: vec![("A".into(), "b".into())], cwd: "/".into() };
    request.write(1, &mut run).expect("short");
    let mut end = Vec::new();
    let ended = Ended { how: How::Exited(0), cpu_micros: 0, peak_kib: 0, worn: false };
    Reply::Ended(ended).write(1, &mut end).expect("short");
    for whole in [&run, &end] {
        for length in 0..whole.len() {
            assert_eq!(Frame::first(&whole[..length], MOST_REPLY), Ok(None), "{length} bytes");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Ok(Some(frame)) = Frame::first(&changed, MOST_REPLY) {
                    let _ = (Request::read(frame), Reply::read(frame));
                }
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        let length = u32::try_from(longer.len() - HEADER).expect("short");
        longer[..4].copy_from_slice(&length.to_le_bytes());
        let frame = first(&longer, MOST_REPLY);
        assert!(Request::read(frame).is_err() && Reply::read(frame).is_err());
    }
}

#[test]
fn a_length_beyond_the_bound_is_refused_before_it_is_there() {
    let mut header = vec![0; HEADER];
    header[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Frame::first(&header, MOST_REPLY), Err(Malformed("a frame is too long")));
    let mut out = vec![1, 2, 3];
    let long = vec![0; MOST_REPLY + 1];
    assert!(Reply::Stdout(&long).write(1, &mut out).is_err());
    assert_eq!(out, [1, 2, 3], "nothing of it is left");
}
