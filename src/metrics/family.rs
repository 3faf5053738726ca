//! How metrics are made: once for all, or when they are asked for.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Registry};

/// A metric with the value of this moment.
pub fn gauge(name: &str, help: &str, value: f64) -> Vec<MetricFamily> {
    let gauge = Gauge::new(name, help).inspect(|gauge| gauge.set(value));
    gauge.map(|gauge| gauge.collect()).unwrap_or_default()
}

/// The same for a value that only grows, and is counted elsewhere.
pub fn counter(name: &str, help: &str, value: f64) -> Vec<MetricFamily> {
    let counter = Counter::new(name, help).inspect(|counter| counter.inc_by(value.max(0.0)));
    counter.map(|counter| counter.collect()).unwrap_or_default()
}

/// Adds a metric to the registry.
///
/// # Panics
/// If its name is invalid or there twice; all names are constants, and a test registers them.
pub fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("a sound metric");
    registry.register(Box::new(metric.clone())).expect("a metric that is registered once");
    metric
}
