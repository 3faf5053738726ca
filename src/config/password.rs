//! The password: from the environment, the credential, the password file or `bridge.toml`, in this order.

use std::fmt;
use std::path::Path;

use toml::Value;

use super::{Environment, Fault, Login, Secret, is_there, read_limited, value};

/// The name of the credential, a file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "mqtt-password";
/// The longest password file, in bytes: the longest password and a line end.
const MAX_FILE: u64 = 65_537;

/// A password and where it came from, for the fault if there is no user to it.
pub struct Password {
    pub secret: String,
    pub place: String,
}

/// The password of the environment or of the credential, which win over what the file says.
pub fn from_outside(environment: &Environment) -> Result<Option<Password>, Fault> {
    let name = "MQTT_PASSWORD";
    if let Some(secret) = environment.text(name)? {
        return checked(secret, name.to_owned()).map(Some);
    }
    let Some(path) = environment.path("CREDENTIALS_DIRECTORY").map(|directory| directory.join(CREDENTIAL)) else {
        return Ok(None);
    };
    if !is_there(&path) {
        return Ok(None);
    }
    // the unit names the credential in any case, and leaves it empty where the administrator has none
    Ok(Some(from_file(&path, format!("credential {CREDENTIAL}"))?).filter(|found| !found.secret.is_empty()))
}

/// The content of a file; one line end after it is not part of the password.
pub fn from_file(path: &Path, place: String) -> Result<Password, Fault> {
    let unreadable = |error: &dyn fmt::Display| format!("`{}` cannot be read: {error}", path.display());
    let bytes = read_limited(path, MAX_FILE).map_err(|error| Fault::unreadable(&place, unreadable(&error), &error))?;
    let text = String::from_utf8(bytes).map_err(|_| Fault::new(&place, unreadable(&"it is not UTF-8 text")))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    if secret.contains('\n') {
        let what = format!("`{}` must be the password alone, with one line end behind it at most", path.display());
        return Err(Fault::new(place, what));
    }
    checked(secret.strip_suffix('\r').unwrap_or(secret).to_owned(), place)
}

fn checked(secret: String, place: String) -> Result<Password, Fault> {
    match value::secret(&Value::String(secret)) {
        Ok(secret) => Ok(Password { secret, place }),
        Err(what) => Err(Fault::new(place, format!("the password {what}"))),
    }
}

/// User and password together; an empty user is anonymous, and then a password would be silently ignored.
pub fn login(user: String, password: Option<Password>) -> Result<Option<Login>, Fault> {
    if !user.is_empty() {
        let password = Secret(password.map(|found| found.secret).unwrap_or_default());
        return Ok(Some(Login { user, password }));
    }
    match password.filter(|found| !found.secret.is_empty()) {
        None => Ok(None),
        Some(found) => Err(Fault::new(found.place, "there is a password but no `user` to go with it")),
    }
}
