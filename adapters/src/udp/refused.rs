//! The ways in which a packet is refused. Each is counted; none is answered, but for one that is asked for a
//! cookie.

use engine::counters::CountName;

/// Why a packet was refused. A refused packet has changed nothing, but one of the peer's own whose payload is in disorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its length or its clear fields are those of no packet.
    Malformed,
    /// It comes from an address that is not the peer's.
    Address,
    /// It is of another version of the protocol.
    Version,
    /// It proposes a cipher that this version does not know.
    Cipher,
    /// Its counter is beyond the last one that a key may be used with.
    Counter,
    /// No session has the index that it names.
    Session,
    /// Its sender does not know the pre-shared key and the responder's public key.
    Mac1,
    /// An initiation that was taken before.
    Repeated,
    /// An initiation that does not prove its address while handshakes are rationed, or proves another one: it
    /// is to be answered with a cookie.
    Cookie,
    /// An initiation beyond what its address, or everybody together, may ask for.
    RateLimited,
    /// A handshake message or a cookie that was not made for this handshake with these keys.
    Handshake,
    /// A public key that has no part in the secret, whatever the other key is.
    Point,
    /// What a handshake or a genuine data packet carries has not this version's form.
    Payload,
    /// A data packet whose counter was taken before or is behind the window.
    Replayed,
    /// A data packet that was not sealed with the session's key.
    Forged,
}

impl Refused {
    /// How many ways there are.
    pub(super) const COUNT: usize = Refused::NAMES.len();

    /// The name of each in the statistics, at the place that is its number.
    pub(super) const NAMES: [CountName; 15] = [
        CountName::new("refused_malformed", "Packets that have no form."),
        CountName::new("refused_address", "Packets that come from elsewhere than `peer_addr`."),
        CountName::new("refused_version", "Packets of another version of the protocol."),
        CountName::new("refused_cipher", "Handshakes that propose a cipher that is not known."),
        CountName::new("refused_counter", "Packets behind the last counter of a key."),
        CountName::new("refused_session", "Packets of no session."),
        CountName::new("refused_mac1", "Handshakes by who does not know the keys."),
        CountName::new("refused_repeated", "Handshakes that came before."),
        CountName::new("refused_cookie", "Handshakes that have to prove their address first."),
        CountName::new("refused_rate_limited", "Handshakes that are too many."),
        CountName::new("refused_handshake", "Answers that were not made for this handshake with these keys."),
        CountName::new("refused_point", "Handshakes with a public key that has no part in the secret."),
        CountName::new("refused_payload", "Handshakes and genuine packets whose contents have no form."),
        CountName::new("refused_replayed", "Packets that came before, or are too old to tell."),
        CountName::new("refused_forged", "Packets that were changed or made up."),
    ];

    /// Its number, less than `COUNT`.
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

const _: () = assert!(Refused::Forged as usize + 1 == Refused::COUNT);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_the_name_at_its_place() {
        let named = [
            (Refused::Malformed, "refused_malformed"),
            (Refused::Session, "refused_session"),
            (Refused::Cookie, "refused_cookie"),
            (Refused::Point, "refused_point"),
            (Refused::Forged, "refused_forged"),
        ];
        for (refused, name) in named {
            assert_eq!(Refused::NAMES[refused.index()].name, name);
        }
    }
}
