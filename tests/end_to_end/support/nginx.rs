//! nginx with servers of the documentation.

use std::process::Command;

use super::folder::Folder;
use super::http::Connection;
use super::process::Process;
use super::waiting::eventually;

/// Starts nginx with these `server` and `upstream` blocks, and waits until it listens on `address`.
pub fn start(folder: &Folder, servers: &str, address: &str) -> Process {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/{name};\n", folder.path().display()))
        .concat();
    // a single process, which ends with the test
    let main = format!(
        "daemon off;\nmaster_process off;\npid {}/pid;\nerror_log stderr notice;\nevents {{}}",
        folder.path().display()
    );
    let config = folder.write("nginx.conf", &format!("{main}\nhttp {{\naccess_log off;\n{paths}{servers}}}\n"));
    let process =
        Process::start(Command::new("nginx").arg("-p").arg(folder.path()).args(["-e", "stderr", "-c"]).arg(config));
    process.wait_for("nginx/");
    eventually("nginx listens", || Connection::try_open(address).is_some(), |listens| *listens);
    process
}
