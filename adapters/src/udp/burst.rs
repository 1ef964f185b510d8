//! A burst: packets of one size, but the last that may be shorter, one behind the other in memory and all to one address.
//!
//! As many of them as the system takes are handed over in one call. What does not go together goes one by one, and what has gone is
//! never sent again by who goes on where the burst stopped.

use std::io::{self, ErrorKind};

use nix::libc;

/// What has become of a burst.
#[derive(Debug)]
pub(super) struct Sent {
    /// Bytes from its front that the kernel has taken: whole packets.
    pub(super) bytes: usize,
    /// Why it took no more. `None` when all has gone.
    pub(super) refusal: Option<Refusal>,
}

/// Why the kernel did not take a packet.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its queue is full. Retry a little later: nobody rings when there is room.
    Full,
    /// The packet is larger than the way out takes. Retry with smaller ones.
    TooLarge,
    /// Anything else: no route, a forbidding filter, no such address. Retry less and less often; it may need the operator.
    Failed(io::Error),
}

impl Refusal {
    fn of(error: io::Error) -> Refusal {
        match error.raw_os_error() {
            _ if error.kind() == ErrorKind::WouldBlock => Refusal::Full,
            Some(libc::ENOBUFS | libc::ENOMEM) => Refusal::Full,
            Some(libc::EMSGSIZE) => Refusal::TooLarge,
            _ => Refusal::Failed(error),
        }
    }
}

/// Hands over `burst`, whose packets have `packet_bytes`, up to `together_max` of them in each call of `send`. That is given the
/// bytes, and the size of a packet where they are several.
pub(super) fn send(
    burst: &[u8],
    packet_bytes: usize,
    together_max: usize,
    mut send: impl FnMut(&[u8], Option<usize>) -> io::Result<()>,
) -> Sent {
    assert!(packet_bytes > 0 || burst.is_empty(), "packets have a size");
    let mut together = together_max.min(CALL_BYTES_MAX / packet_bytes.max(1)).max(1);
    let mut bytes = 0;
    while bytes < burst.len() {
        let left = &burst[bytes..];
        let piece = &left[..left.len().min(together * packet_bytes)];
        let is_several = piece.len() > packet_bytes;
        match send(piece, is_several.then_some(packet_bytes)) {
            Ok(()) => bytes += piece.len(),
            Err(error) => match Refusal::of(error) {
                // Alone they may go, or tell why not.
                Refusal::TooLarge | Refusal::Failed(_) if is_several => together = 1,
                refusal => {
                    let bytes = if engine::planted!("34-a-burst-begins-anew") { 0 } else { bytes };
                    return Sent { bytes, refusal: Some(refusal) };
                }
            },
        }
    }
    Sent { bytes, refusal: None }
}

/// What one datagram carries at most, over IPv6 with the header's extension that no packet of ours has: the kernel takes no more
/// in one call either.
const CALL_BYTES_MAX: usize = 65_535 - 40 - 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 10 packets of 100 bytes, the last of 50, to a kernel that answers as `kernel` does. What it was given with success.
    fn sent(
        together_max: usize,
        mut kernel: impl FnMut(usize, bool) -> io::Result<()>,
    ) -> (Sent, Vec<usize>) {
        let burst: Vec<u8> = (0..950_u32).map(|at| (at / 100) as u8).collect();
        let (mut taken, mut calls, mut from) = (Vec::new(), 0, 0);
        let sent = send(&burst, 100, together_max, |piece, packet_bytes| {
            assert_eq!(packet_bytes.is_some(), piece.len() > 100);
            assert_eq!(piece, &burst[from..from + piece.len()]);
            calls += 1;
            kernel(calls, packet_bytes.is_some())?;
            from += piece.len();
            taken.push(piece.len());
            Ok(())
        });
        (sent, taken)
    }

    fn refuse(code: i32) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(code))
    }

    #[test]
    fn packets_go_together_up_to_the_limit() {
        let (all, taken) = sent(64, |_, _| Ok(()));
        assert!(all.refusal.is_none());
        assert_eq!((all.bytes, taken), (950, vec![950]));
        let (all, taken) = sent(4, |_, _| Ok(()));
        assert_eq!((all.bytes, taken), (950, vec![400, 400, 150]));
    }

    #[test]
    fn a_limit_of_one_sends_one_by_one() {
        let (all, taken) = sent(1, |_, is_several| if is_several { refuse(libc::EIO) } else { Ok(()) });
        assert_eq!((all.bytes, taken.len()), (950, 10));
    }

    #[test]
    fn a_call_carries_no_more_than_a_datagram_can() {
        let burst = vec![0; 20 * 9_000];
        let sent = send(&burst, 9_000, 64, |piece, _| {
            assert!(piece.len() <= 65_487);
            Ok(())
        });
        assert_eq!(sent.bytes, burst.len());
    }

    #[test]
    fn what_does_not_go_together_goes_one_by_one() {
        for code in [libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::EOPNOTSUPP] {
            let kernel = |_, is_several| if is_several { refuse(code) } else { Ok(()) };
            let (all, taken) = sent(4, kernel);
            assert!(all.refusal.is_none(), "{code}: {:?}", all.refusal);
            assert_eq!((all.bytes, taken.len()), (950, 10));
        }
    }

    #[test]
    fn a_burst_that_stops_says_where() {
        let (part, taken) = sent(4, |call, _| if call == 2 { refuse(libc::EAGAIN) } else { Ok(()) });
        assert!(matches!(part.refusal, Some(Refusal::Full)));
        assert_eq!((part.bytes, taken), (400, vec![400]));
        let (part, _) =
            sent(4, |_, is_several| if is_several { refuse(libc::EIO) } else { refuse(libc::ENOBUFS) });
        assert!(matches!(part.refusal, Some(Refusal::Full)));
        assert_eq!(part.bytes, 0);
    }

    #[test]
    fn what_fails_alone_too_is_told() {
        let (none, _) = sent(4, |_, _| refuse(libc::EMSGSIZE));
        assert!(matches!(none.refusal, Some(Refusal::TooLarge)));
        let (none, _) =
            sent(4, |call, is_several| if is_several || call > 4 { refuse(libc::EPERM) } else { Ok(()) });
        assert_eq!(none.bytes, 300);
        let Some(Refusal::Failed(error)) = none.refusal else { panic!("{:?}", none.refusal) };
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn nothing_to_send_is_sent() {
        let sent = send(&[], 0, 64, |_, _| panic!("nothing to be sent"));
        assert!(sent.bytes == 0 && sent.refusal.is_none());
    }
}
