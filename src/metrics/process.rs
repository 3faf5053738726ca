//! Metrics of the process under the names that Prometheus defines. Read from `/proc/self` (proc(5)).

use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use prometheus::proto::MetricFamily;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::family::{counter, gauge};

/// Without those that the system does not tell: a sandbox may hide them.
pub fn sample() -> Vec<MetricFamily> {
    let of_stat = Stat::read().map(|stat| {
        let resident = gauge("process_resident_memory_bytes", "Memory that is resident.", stat.resident_bytes);
        [resident, gauge("process_threads", "Threads of the process.", stat.threads)].concat()
    });
    // more precise than /proc
    let computed = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok().map(|time| {
        counter("process_cpu_seconds_total", "Time computed by the process and for it.", time.as_secs_f64())
    });
    let started = START.map(|time| {
        gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", time.as_secs_f64())
    });
    // without the one that counting needs
    let open =
        fs::read_dir("/proc/self/fd").ok().map(|descriptors| float(descriptors.count().saturating_sub(1) as u64));
    let open = open.map(|open| gauge("process_open_fds", "Descriptors that are open.", open));
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let limit = gauge("process_max_fds", "Descriptors that may be open.", float(limit));
    [of_stat, computed, started, open, Some(limit)].into_iter().flatten().flatten().collect()
}

/// Since 1970; computed once, so that it does not change with the clock.
static START: LazyLock<Option<Duration>> = LazyLock::new(|| {
    let uptime = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    let age = uptime.checked_sub(Duration::from_secs_f64(Stat::read()?.start_seconds))?;
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(age)
});

/// From `/proc/self/stat`.
struct Stat {
    threads: f64,
    /// After the start of the system.
    start_seconds: f64,
    resident_bytes: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // the second field, the name, may have spaces and brackets
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok().map(float);
        let second = float(clock_ticks_per_second());
        Some(Self {
            threads: field(20)?,
            start_seconds: field(22)? / second,
            resident_bytes: field(24)? * float(page_size() as u64),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_move_the_fields() {
        let line = "1 (a) b) S 1 2 3 0 -1 4194560 5 0 0 0 250 150 0 0 20 0 7 0 1000 99999 3 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        let second = float(clock_ticks_per_second());
        assert!((stat.start_seconds * second - 1000.0).abs() < 1e-6);
        assert!((stat.threads - 7.0).abs() < 1e-6);
        assert!((stat.resident_bytes - float(3 * page_size() as u64)).abs() < 1e-6);
        assert!(Stat::parse("1 (a").is_none());
    }

    #[test]
    fn this_process_has_all_metrics() {
        let start = START.unwrap();
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().checked_sub(start).unwrap();
        assert!(age < Duration::from_secs(600), "{age:?}");
        assert_eq!(sample().len(), 6);
    }
}
