//! Enables the tests that need the reference.

fn main() {
    println!("cargo::rustc-cfg=equal");
    println!("cargo::rerun-if-changed=build.rs");
}
