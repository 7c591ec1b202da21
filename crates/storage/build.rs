//! The migrations are embedded into the binary, so a change in their folder has to recompile the
//! crate.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
