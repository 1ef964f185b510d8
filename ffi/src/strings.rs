//! Strings that belong to the caller, and the one function that makes them: a key pair for the encrypted peer.

use std::ffi::c_char;
use std::ptr;

use adapters::udp::KeyPair;

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
        let pair = KeyPair::generate().map_err(Failure::Random)?;
        Ok(lent::string(&pair.to_json()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn a_public_key_is_that_of_its_secret_and_no_pair_is_made_twice() {
        let pair = || {
            let lent = net_generate_keypair();
            // SAFETY: it was made just now.
            let json = unsafe { CStr::from_ptr(lent) }.to_str().expect("text").to_owned();
            net_free_string(lent);
            net_free_string(lent);
            KeyPair::from_json(&json).expect("a pair")
        };
        assert_ne!(pair().public(), pair().public());
    }
}
