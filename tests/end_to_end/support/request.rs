//! The bytes of HTTP requests.

/// A request with a body and its `Content-Length`.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let lines = format!("{}Content-Length: {}\r\n", lines(headers), body.len());
    [raw(&format!("{method} {target}"), &lines, "").as_bytes(), body].concat()
}

/// `POST` of this body.
pub fn post(target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST", target, &[], body)
}

/// A request without a body, in this version of HTTP.
pub fn head(method: &str, target: &str, version: &str, headers: &[(&str, &str)]) -> String {
    format!("{method} {target} HTTP/{version}\r\nHost: localhost\r\n{}\r\n", lines(headers))
}

/// A request with these lines after `Host`, and then these bytes, valid or not.
pub fn raw(line: &str, lines: &str, rest: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{rest}")
}

fn lines(headers: &[(&str, &str)]) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat()
}
