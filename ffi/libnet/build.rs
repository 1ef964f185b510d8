//! Link settings of `libnet.so`: its SONAME, and that it stays loaded, because its shard threads and thread-locals
//! run its code until the process ends.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnet.so.100");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
