//! The thin entry; the front door comes last.

fn main() {}
