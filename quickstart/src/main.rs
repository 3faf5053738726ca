//! Stands for the embedded broker that is to come.
fn main() {}
