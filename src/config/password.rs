//! The password: from the environment, the credential, the password file or `bridge.toml`, in this order.

use std::path::Path;

use toml::Value;

use super::{Environment, Fault, Login, Secret, value};

/// The name of the credential, a file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "mqtt-password";

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
    let Some(directory) = environment.path("CREDENTIALS_DIRECTORY") else {
        return Ok(None);
    };
    let path = directory.join(CREDENTIAL);
    // the unit names the credential in any case, and leaves it empty where the administrator has none
    if path.exists() {
        Ok(Some(from_file(&path, format!("credential {CREDENTIAL}"))?).filter(|found| !found.secret.is_empty()))
    } else {
        Ok(None)
    }
}

/// The first line's worth of a file: one line feed at its end is not part of the password.
pub fn from_file(path: &Path, place: String) -> Result<Password, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| Fault {
        place: place.clone(),
        what: format!("`{}` cannot be read: {error}", path.display()),
    })?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    checked(secret.strip_suffix('\r').unwrap_or(secret).to_owned(), place)
}

fn checked(secret: String, place: String) -> Result<Password, Fault> {
    match value::secret(&Value::String(secret)) {
        Ok(secret) => Ok(Password { secret, place }),
        Err(what) => Err(Fault { place, what: format!("the password {what}") }),
    }
}

/// User and password together; an empty user is anonymous, and then a password would be silently ignored.
pub fn login(user: String, password: Option<Password>) -> Result<Option<Login>, Fault> {
    match (user.is_empty(), password) {
        (true, Some(Password { secret, place })) if !secret.is_empty() => {
            Err(Fault { place, what: "there is a password but no `user` to go with it".to_owned() })
        }
        (true, _) => Ok(None),
        (false, password) => {
            Ok(Some(Login { user, password: Secret(password.map(|found| found.secret).unwrap_or_default()) }))
        }
    }
}
