//! tmp
fn main(){ let out=std::env::var("OUT_DIR").unwrap(); std::fs::copy("../target/ebpf/headless-obs.bpf.o", format!("{out}/headless-obs.bpf.o")).unwrap(); println!("cargo::rerun-if-changed=../target/ebpf/headless-obs.bpf.o"); }
