//! How the binary is linked.
#![allow(clippy::disallowed_methods, reason = "cargo tells a build script everything by variables")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if (target("OS").as_str(), target("ENV").as_str()) == ("linux", "gnu") {
        // Unwinding comes from GCC's archive instead of libgcc_s.so.1: one library less to load and to bind is a tenth of a
        // millisecond of each `credential-process`, which lives for one. The archive comes with GCC itself; it stands before
        // the standard library on the linker's command line, so libgcc_s is not needed any more.
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
