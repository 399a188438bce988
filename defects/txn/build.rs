//! Switches the defect points on in this package.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(precinct_defects)");
    println!("cargo::rustc-cfg=precinct_defects");
    println!("cargo::rerun-if-changed=build.rs");
}
