//! Where secrets and nonces come from: the kernel, or a test's seed.

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// A source of bytes that nobody else can guess.
pub(super) trait Entropy {
    /// Fills all of `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// The kernel's random bytes.
#[derive(Debug)]
pub(super) struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    pub(super) fn new() -> SystemEntropy {
        SystemEntropy(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    /// Panics where the kernel has none to give: no session could be made safely.
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("the kernel gives random bytes");
    }
}

/// A new secret.
pub(super) fn secret(entropy: &mut dyn Entropy) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(&mut *bytes);
    bytes
}

/// A seed's bytes, for tests and simulations: anybody can guess them.
#[cfg(test)]
impl Entropy for fastrand::Rng {
    fn fill(&mut self, bytes: &mut [u8]) {
        fastrand::Rng::fill(self, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_does_not_repeat_itself() {
        let mut entropy = SystemEntropy::new();
        assert_ne!(secret(&mut entropy), secret(&mut entropy));
    }
}
