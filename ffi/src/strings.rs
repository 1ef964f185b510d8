//! Strings that belong to the caller, and the one function that makes them: a key pair for the encrypted peer.

use std::ffi::c_char;
use std::fmt::Write;
use std::ptr;

use x25519_dalek::{PublicKey, StaticSecret};

use crate::fork;
use crate::guard;
use crate::lent;
use crate::status::Failure;

/// Makes an X25519 key pair (RFC 7748): `{"public_key":hex64,"secret_key":hex64}`.
///
/// Threads: any. Ownership: the caller's, until `net_free_string`. Errors: NULL, with the detail in `net_last_error`,
/// when the system gives no random bytes and in a forked child of a process that started a bus.
#[unsafe(no_mangle)]
pub extern "C" fn net_generate_keypair() -> *mut c_char {
    guard::call(ptr::null_mut(), |_| {
        if fork::is_child() {
            return Err(Failure::Forked);
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Failure::Random)?;
        let secret = StaticSecret::from(seed);
        let public = PublicKey::from(&secret);
        let (public, secret) = (hex(public.as_bytes()), hex(secret.as_bytes()));
        Ok(lent::string(&format!(r#"{{"public_key":"{public}","secret_key":"{secret}"}}"#)))
    })
    .unwrap_or(ptr::null_mut())
}

/// Frees a string that this library gave to the caller. NULL and an address where nothing of the library's lies do no
/// harm; neither does a string that was freed before, until the library lends its address again.
///
/// Threads: any. Ownership: the string ends here. Errors: none; does nothing in a forked child.
#[unsafe(no_mangle)]
pub extern "C" fn net_free_string(string: *mut c_char) {
    let _ = guard::call(ptr::null_mut(), |_| {
        lent::take_back(string.addr());
        Ok(())
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn a_public_key_is_that_of_its_secret() {
        let lent = net_generate_keypair();
        // SAFETY: it was made just now.
        let pair: serde_json::Value =
            serde_json::from_slice(unsafe { CStr::from_ptr(lent) }.to_bytes()).expect("JSON");
        net_free_string(lent);
        net_free_string(lent);
        let secret = pair["secret_key"].as_str().expect("text");
        let bytes: Vec<u8> = (0..secret.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&secret[at..at + 2], 16).expect("hex"))
            .collect();
        let secret = StaticSecret::from(<[u8; 32]>::try_from(bytes).expect("32 bytes"));
        assert_eq!(pair["public_key"], hex(PublicKey::from(&secret).as_bytes()));
    }
}
