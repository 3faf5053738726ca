//! `[http]`.

use super::*;

#[test]
fn each_fault_of_the_http_interface_is_one_line_too() {
    assert_faults(&[
        (
            "[http]\nlisten = \"8000\"",
            "bridge.toml:2: `listen` must be an address and a port such as \"127.0.0.1:8000\"",
        ),
        ("[http]\nlisten = 8000", "bridge.toml:2: `listen` must be a string, not 8000"),
        (
            "[http]\nlisten = \"unix:\"",
            "bridge.toml:2: `listen` must be \"unix:\" and an absolute path of at most 107 bytes",
        ),
        ("[http]\nlisten = \"unix:bridge.sock\"", "bridge.toml:2: `listen` must be \"unix:\" and an absolute path"),
        ("[http]\nlisten = \"unix:/a\\u0000\"", "bridge.toml:2: `listen` must be \"unix:\" and an absolute path"),
        ("[http]\nworkers = 0", "bridge.toml:2: `workers` must be a whole number from 1 to 64, not 0"),
        (
            "[http]\nmax-body = true",
            "bridge.toml:2: `max-body` must be a whole number from 1 to 268435460, not true (bytes)",
        ),
        (
            "[http]\nmax-connections = 0",
            "bridge.toml:2: `max-connections` must be a whole number from 1 to 100000, not 0",
        ),
        (
            "[http]\nidle-timeout = 0.05",
            "bridge.toml:2: `idle-timeout` must be a number of seconds from 0.1 to 3600, not 0.05",
        ),
        (
            "[http]\nrequest-timeout = 3601",
            "bridge.toml:2: `request-timeout` must be a number of seconds from 0.1 to 3600, not 3601",
        ),
        ("[http]\nallow-anonymous = 1", "bridge.toml:2: `allow-anonymous` must be true or false, not 1"),
        (
            "[http]\nallowed-hosts = \"a\"",
            "bridge.toml:2: `allowed-hosts` must be a list of host names or addresses in brackets, not \"a\"",
        ),
        (
            "[http]\nallowed-hosts = [\"a\", \"b:80\"]",
            "bridge.toml:2: `allowed-hosts` must be host names or addresses, without scheme, port and wildcard, not \"b:80\"",
        ),
        (
            "[http]\nallowed-origins = [\"https://a/\"]",
            "bridge.toml:2: `allowed-origins` must be origins such as \"https://example.com\" or \"http://example.com:8080\", without path, default port and wildcard, not \"https://a/\"",
        ),
    ]);
}

#[test]
fn listen_is_an_address_with_a_port_or_the_path_of_a_socket() {
    let listen = |text: &str| parse(&format!("[http]\nlisten = \"{text}\"")).map(|config| config.http.listen);
    for address in ["0.0.0.0:8000", "[::]:8000", "192.0.2.1:0"] {
        assert_eq!(listen(address), Ok(Listen::Tcp(address.parse().unwrap())));
    }
    let longest = format!("/{}", "a".repeat(106));
    for path in ["/run/x.sock", "/ö b", &longest] {
        assert_eq!(listen(&format!("unix:{path}")), Ok(Listen::Unix(path.into())));
    }
    assert!(listen(&format!("unix:{longest}a")).is_err());
}

#[test]
fn origins_are_what_browsers_write_and_hosts_have_no_port() {
    let is_good = |key: &str, value: &str| parse(&format!("[http]\n{key} = [\"{value}\"]")).is_ok();
    for origin in
        ["https://a", "http://a.example:1", "http://127.0.0.1:65535", "http://[::1]", "chrome-extension://abc"]
    {
        assert!(is_good("allowed-origins", origin), "{origin}");
    }
    for origin in [
        "",
        "*",
        "null",
        "a",
        "https://",
        "https://*",
        "https://a/",
        "https://a/b",
        "https://a:",
        "https://a:x",
        "https://a:65536",
        "https://a:+1",
        "https://a:443",
        "http://a:80",
        "https://u@a",
        "https://a b",
        "https://a?b",
        "1://a",
        "://a",
        "http://::1",
        "http://[a]",
        "https://ö",
    ] {
        assert!(!is_good("allowed-origins", origin), "{origin}");
    }
    for host in ["a", "A.example", "192.0.2.1", "::1", "[::1]", "a_b-c"] {
        assert!(is_good("allowed-hosts", host), "{host}");
    }
    for host in ["", "*", "*.a", "a:80", "http://a", "a/", "u@a", "[::1]:80", "ö", " a"] {
        assert!(!is_good("allowed-hosts", host), "{host}");
    }
}
