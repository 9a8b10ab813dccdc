//! Packs the viewer of the API's documents, so that the binary holds it as it is sent: with gzip, a third of its size.

use std::io::Write as _;
use std::path::PathBuf;

use flate2::{Compression, GzBuilder};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let script = scalar_api_reference::get_asset("scalar.js").expect("the crate brings its script");
    // Without a date, so that the same source gives the same binary.
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
    packed.write_all(&script).expect("memory takes it");
    let packed = packed.finish().expect("memory takes it");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where"));
    std::fs::write(folder.join("scalar.js.gz"), packed).expect("the folder can be written to");
}
