//! What the two sides tell each other in the handshake, encrypted: 32 bytes each way, the rest of them zero.
//!
//! ```text
//! Hello, in an initiation               Answer, in a response
//! bytes 0-7    instance                 bytes 0-7    instance
//! bytes 8-15   attempt                  byte 8       status
//! bytes 16-17  shards                   byte 9       reliability
//! bytes 18-19  session                  bytes 10-11  shards
//! bytes 20-21  mtu                      bytes 12-13  session
//! byte 22      reliability              bytes 14-15  mtu
//! bytes 23-26  channel                  bytes 16-19  channel
//! bytes 27-30  event bytes              bytes 20-31  0
//! byte 31      0
//! ```
//!
//! Numbers are little endian. Bytes that are to be zero and are not are refused: who means something by them
//! speaks another version.

use super::refused::Refused;

/// Bytes of either.
pub(super) const PAYLOAD_BYTES: usize = 32;

/// What the initiator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// Its process: another number each time that it starts.
    pub(super) instance: u64,
    /// Grows with each initiation that this instance sends for this session; what does not grow is a replay.
    pub(super) attempt: u64,
    /// How many shards it has; at least 1.
    pub(super) shards: u16,
    /// The number of the session.
    pub(super) session: u16,
    /// The largest datagram that it takes, in bytes of UDP payload.
    pub(super) mtu: u16,
    /// How reliable its bus is, by number.
    pub(super) reliability: u8,
    /// The channel that it has with whom it met last; 0 is none.
    pub(super) channel: u32,
    /// Bytes of the largest event that it sends and takes.
    pub(super) event_bytes_max: u32,
}

impl Hello {
    pub(super) fn write(&self) -> [u8; PAYLOAD_BYTES] {
        let mut bytes = [0; PAYLOAD_BYTES];
        bytes[..8].copy_from_slice(&self.instance.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.attempt.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.shards.to_le_bytes());
        bytes[18..20].copy_from_slice(&self.session.to_le_bytes());
        bytes[20..22].copy_from_slice(&self.mtu.to_le_bytes());
        bytes[22] = self.reliability;
        bytes[23..27].copy_from_slice(&self.channel.to_le_bytes());
        bytes[27..31].copy_from_slice(&self.event_bytes_max.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8; PAYLOAD_BYTES]) -> Result<Hello, Refused> {
        let hello = Hello {
            instance: u64_at(bytes, 0),
            attempt: u64_at(bytes, 8),
            shards: u16_at(bytes, 16),
            session: u16_at(bytes, 18),
            mtu: u16_at(bytes, 20),
            reliability: bytes[22],
            channel: u32_at(bytes, 23),
            event_bytes_max: u32_at(bytes, 27),
        };
        let is_whole = hello.shards > 0 && hello.write() == *bytes;
        is_whole.then_some(hello).ok_or(Refused::Payload)
    }
}

/// What the responder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its process: another number each time that it starts.
    pub(super) instance: u64,
    /// Whether there is a session now.
    pub(super) status: Status,
    /// How reliable its bus is, by number.
    pub(super) reliability: u8,
    /// How many shards it has; at least 1.
    pub(super) shards: u16,
    /// The number of the session, as it was asked for.
    pub(super) session: u16,
    /// The largest datagram that it takes, in bytes of UDP payload.
    pub(super) mtu: u16,
    /// The channel of the session: the initiator's, where the responder has it too, or a new one.
    pub(super) channel: u32,
}

impl Answer {
    pub(super) fn write(&self) -> [u8; PAYLOAD_BYTES] {
        let mut bytes = [0; PAYLOAD_BYTES];
        bytes[..8].copy_from_slice(&self.instance.to_le_bytes());
        bytes[8] = self.status as u8;
        bytes[9] = self.reliability;
        bytes[10..12].copy_from_slice(&self.shards.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.session.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.mtu.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.channel.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8; PAYLOAD_BYTES]) -> Result<Answer, Refused> {
        let answer = Answer {
            instance: u64_at(bytes, 0),
            status: Status::from_code(bytes[8]).ok_or(Refused::Payload)?,
            reliability: bytes[9],
            shards: u16_at(bytes, 10),
            session: u16_at(bytes, 12),
            mtu: u16_at(bytes, 14),
            channel: u32_at(bytes, 16),
        };
        let is_whole = answer.shards > 0 && answer.write() == *bytes;
        is_whole.then_some(answer).ok_or(Refused::Payload)
    }
}

/// What the responder makes of an initiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    /// There is a session, once the initiator's first data packet has come.
    Accepted = 0,
    /// Another initiator is live. Retry.
    Busy = 1,
    /// The two buses are not equally reliable. For the operator.
    ReliabilityDiffers = 2,
    /// The responder insists on the other cipher. For the operator.
    CipherDiffers = 3,
    /// This shard of the responder has no part in that session; its number of shards says which has. Retry.
    WrongSession = 4,
    /// The attempt is not newer than the last one. Retry.
    Stale = 5,
    /// The largest events of the two buses are not equally large. For the operator.
    EventBytesDiffer = 6,
}

impl Status {
    fn from_code(code: u8) -> Option<Status> {
        use Status::{
            Accepted, Busy, CipherDiffers, EventBytesDiffer, ReliabilityDiffers, Stale, WrongSession,
        };
        let all = [Accepted, Busy, ReliabilityDiffers, CipherDiffers, WrongSession, Stale, EventBytesDiffer];
        all.get(usize::from(code)).copied()
    }
}

fn u64_at(bytes: &[u8; PAYLOAD_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u32_at(bytes: &[u8; PAYLOAD_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u16_at(bytes: &[u8; PAYLOAD_BYTES], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELLO: Hello = Hello {
        instance: 0x0807_0605_0403_0201,
        attempt: 0x1817_1615_1413_1211,
        shards: 0x2221,
        session: 0x3231,
        mtu: 0x4241,
        reliability: 0x51,
        channel: 0x6463_6261,
        event_bytes_max: 0x7473_7271,
    };

    const ANSWER: Answer = Answer {
        instance: 0x0807_0605_0403_0201,
        status: Status::Busy,
        reliability: 2,
        shards: 0x2221,
        session: 0x3231,
        mtu: 0x4241,
        channel: 0x6463_6261,
    };

    #[test]
    fn both_are_laid_out_as_documented() {
        let hello = [1, 2, 3, 4, 5, 6, 7, 8, 17, 18, 19, 20, 21, 22, 23, 24, 33, 34, 49, 50, 65, 66, 81];
        assert_eq!(HELLO.write()[..23], hello);
        assert_eq!(HELLO.write()[23..], [97, 98, 99, 100, 113, 114, 115, 116, 0]);
        let answer = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 33, 34, 49, 50, 65, 66];
        assert_eq!(ANSWER.write()[..16], answer);
        assert_eq!(ANSWER.write()[16..20], [97, 98, 99, 100]);
        assert_eq!(ANSWER.write()[20..], [0; 12]);
    }

    #[test]
    fn what_is_to_be_zero_is_zero() {
        for at in 31..PAYLOAD_BYTES {
            let mut bytes = HELLO.write();
            bytes[at] = 1;
            assert_eq!(Hello::read(&bytes), Err(Refused::Payload), "byte {at}");
        }
        for at in 20..PAYLOAD_BYTES {
            let mut bytes = ANSWER.write();
            bytes[at] = 1;
            assert_eq!(Answer::read(&bytes), Err(Refused::Payload), "byte {at}");
        }
    }

    #[test]
    fn a_side_without_shards_is_refused() {
        assert_eq!(Hello::read(&Hello { shards: 0, ..HELLO }.write()), Err(Refused::Payload));
        assert_eq!(Answer::read(&Answer { shards: 0, ..ANSWER }.write()), Err(Refused::Payload));
    }

    #[test]
    fn each_status_has_its_number_and_there_are_no_others() {
        for code in 0..=255 {
            let status = Status::from_code(code);
            assert_eq!(status.map(|status| status as u8), (code <= 6).then_some(code));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(bytes: [u8; 31], status in 0_u8..9) {
            let mut payload = [0; PAYLOAD_BYTES];
            payload[..31].copy_from_slice(&bytes);
            if let Ok(hello) = Hello::read(&payload) {
                prop_assert_eq!(hello.write(), payload);
            }
            payload[20..].fill(0);
            payload[8] = status;
            match Answer::read(&payload) {
                Ok(answer) => prop_assert_eq!(answer.write(), payload),
                Err(refused) => {
                    prop_assert_eq!(refused, Refused::Payload);
                    prop_assert!(status > 6 || payload[10..12] == [0; 2]);
                }
            }
        }
    }
}
