//! Resources that a process uses: threads, descriptors, memory.

use std::time::Duration;

use super::waiting::eventually_within;

/// How long resources may stay in use after they are no longer needed.
const RETURNED_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
pub struct Resources {
    pub threads: usize,
    pub descriptors: usize,
    /// The resident memory in KiB, and its peak.
    pub resident_kib: usize,
    pub peak_kib: usize,
}

impl Resources {
    pub fn of(process: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        let (resident_kib, peak_kib) = (value("VmRSS:"), value("VmHWM:"));
        Self { threads: value("Threads:"), descriptors, resident_kib, peak_kib }
    }

    /// Waits until the process uses no more threads and descriptors than this, apart from `leaks` connections, each of
    /// which is documented to keep a thread and two descriptors.
    #[track_caller]
    pub fn await_return(self, process: u32, leaks: usize) {
        let what = format!("{leaks} leaks at most beyond {self:?}");
        let look = || (Self::of(process), thread_names(process).join(" "));
        eventually_within(RETURNED_WITHIN, &what, look, |(now, _)| {
            now.threads <= self.threads + leaks && now.descriptors <= self.descriptors + 2 * leaks
        });
    }
}

/// The names of a process's threads; an unnamed one has the name of the thread that started it.
fn thread_names(process: u32) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let name =
        |thread: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok();
    threads.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
}

/// The numbers of a process's descriptors.
pub fn descriptor_numbers(process: u32) -> Vec<u32> {
    let names = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    names.filter_map(|entry| entry.unwrap().file_name().to_string_lossy().parse().ok()).collect()
}
