//! The target `digest` for libFuzzer, which brings `main`.
#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls a C function with a pointer")]

fuzz::program!(digest);
