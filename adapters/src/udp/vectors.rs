//! Published values that tests compare with.

/// The bytes of a hexadecimal number.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The same, as many as are wanted.
pub(super) fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().expect("as many digits")
}

/// X25519's points whose product with any clamped scalar is 0, by D. J. Bernstein's list
/// (cr.yp.to/ecdh.html): 0, 1, two of order 8, p - 1, p and p + 1.
pub(super) const LOW_ORDER_POINTS: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// What the Noise test vectors of cacophony have for one protocol name: their messages with prologue "John
/// Galt".
pub(super) struct NoiseVector {
    pub(super) name: &'static str,
    /// The first two are of the handshake; then the initiator's and the responder's take turns.
    pub(super) messages: [Message; 6],
}

/// A payload in text, or in hexadecimal digits, and what it becomes.
pub(super) struct Message {
    pub(super) payload: &'static str,
    pub(super) sealed: &'static str,
}

pub(super) const PROLOGUE: &[u8] = b"John Galt";
pub(super) const PSK: &[u8; 32] = b"This is my Austrian perspective!";
pub(super) const INITIATOR_EPHEMERAL: &str =
    "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
pub(super) const RESPONDER_EPHEMERAL: &str =
    "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
pub(super) const RESPONDER_SECRET: &str = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
pub(super) const RESPONDER_PUBLIC: &str = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62";

pub(super) const CHACHA20_POLY1305: NoiseVector = NoiseVector {
    name: "Noise_NKpsk0_25519_ChaChaPoly_BLAKE2s",
    messages: [
        Message {
            payload: "4c756477696720766f6e204d69736573",
            sealed: "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944\
                     27635ede06947b2d3acd77a36788aaaf17e9f5a8ac252e560fb421ba161a2cf8",
        },
        Message {
            payload: "4d757272617920526f746862617264",
            sealed: "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843\
                     d682eb9cf4fee6816c8c8cfd34c15774321e234e3a426d7cfd3f13e5e84d04",
        },
        Message {
            payload: "462e20412e20486179656b",
            sealed: "b6645684db57679aa08f0b3352d58f32ec7f1e1a02083d5bd54277",
        },
        Message {
            payload: "4361726c204d656e676572",
            sealed: "473a9a4109eba0939e934640d318984df8d0900aa922f0195a09ad",
        },
        Message {
            payload: "4a65616e2d426170746973746520536179",
            sealed: "c8c44a16fff728f83e61272382149feadd3eb0ee1bab6313f84c72fe1581225236",
        },
        Message {
            payload: "457567656e2042f6686d20766f6e2042617765726b",
            sealed: "21354f87158ac5e357529e87e8c84cfcdb49c8a080550c8f908d05ef7ea82ca525e3d1398e",
        },
    ],
};

pub(super) const AES_256_GCM: NoiseVector = NoiseVector {
    name: "Noise_NKpsk0_25519_AESGCM_BLAKE2s",
    messages: [
        Message {
            payload: "4c756477696720766f6e204d69736573",
            sealed: "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944\
                     9495c90c8042687e50bb41fdef8d5c27c6a822c9482ca0f0dd0b3098f8b1a490",
        },
        Message {
            payload: "4d757272617920526f746862617264",
            sealed: "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843\
                     ed7a51b1036f35aa9ba80b9fcd5f85d81d2d6f01aa2e14793f2ecc48eaa139",
        },
        Message {
            payload: "462e20412e20486179656b",
            sealed: "e70a8a2a36cffcf4db7abb94b0284343e36b658316aae4a9138b58",
        },
        Message {
            payload: "4361726c204d656e676572",
            sealed: "5765a18470626d02cc2abdb7e41e05ab69f8b3bd0801b0c4490592",
        },
        Message {
            payload: "4a65616e2d426170746973746520536179",
            sealed: "f3b85047df42db2ea95d24e0ec933a80bc52c5fc0a75e591c36acbebabd2dba4a4",
        },
        Message {
            payload: "457567656e2042f6686d20766f6e2042617765726b",
            sealed: "3a0ceab24d85f45cb435ffeb9f00cd2f9b6bc6eb882d1e86ad4585c1ac42eb54927d9bd500",
        },
    ],
};
