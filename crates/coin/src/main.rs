//! coin
fn main() {}
