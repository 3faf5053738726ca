//! The daemon with other features, built by `scripts/builds`.

use std::path::Path;
use std::process::Command;

use super::daemon::clean;
use super::machine::changed;

/// The sources of the daemon.
const SOURCES: [&str; 3] = ["src", "Cargo.toml", "Cargo.lock"];

/// The build of this name, which must be newer than its sources.
pub fn build(name: &str) -> Command {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = repository.join("target/builds").join(name).join("mqtt-bridge");
    assert!(program.exists(), "this test needs {}: run scripts/builds", program.display());
    let newest = SOURCES.iter().map(|source| changed(&repository.join(source))).max().unwrap();
    assert!(newest <= changed(&program), "{} is older than its sources: run scripts/builds", program.display());
    clean(Command::new(program))
}
