//! How property tests run.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::FileFailurePersistence;

/// Keeps the seeds of failures beside the test: those of `a.rs` in `a.regressions`, which are run before others from
/// then on.
pub fn config() -> ProptestConfig {
    let regressions = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { failure_persistence: Some(Box::new(regressions)), ..ProptestConfig::default() }
}
