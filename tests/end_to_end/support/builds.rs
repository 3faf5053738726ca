//! The daemon as built with other features, by `scripts/builds`.

use std::path::Path;
use std::process::Command;

use super::daemon::clean;
use super::machine::changed;

/// What the daemon is built from.
const SOURCES: [&str; 3] = ["src", "Cargo.toml", "Cargo.lock"];

/// The build of this name, which must be no older than its sources.
pub fn build(name: &str) -> Command {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = repository.join("target/builds").join(name).join("mqtt-bridge");
    assert!(program.exists(), "this test needs {}: run scripts/builds", program.display());
    let newest = SOURCES.iter().map(|source| changed(&repository.join(source))).max().unwrap();
    assert!(newest <= changed(&program), "{} is older than its sources: run scripts/builds", program.display());
    clean(Command::new(program))
}
