//! User name and password. The password is that of the environment, the credential, the password file or `bridge.toml`,
//! in this order.

use std::fmt;
use std::path::Path;

use toml::Value;

use super::keys::MqttKeys;
use super::types::{Login, Secret};
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::kind::{Kind, SecretText};
use crate::config::source::Source;
use crate::files::{is_there, read_limited};

/// The variable of the tutorial, which wins over `password-file` too.
const VARIABLE: &str = "MQTT_PASSWORD";
/// The name of the credential, a file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "mqtt-password";
/// The longest password file, in bytes: the longest password and a line end.
const MAX_FILE: u64 = 65_537;

/// A password and where it came from, for the fault if there is no user. An empty one is none.
#[derive(Default)]
struct Password {
    secret: String,
    position: String,
}

/// An empty user is anonymous, and then a password would be ignored: that is a fault.
pub fn read(keys: &mut MqttKeys, source: &Source, environment: &Environment) -> Result<Option<Login>, Fault> {
    let user = keys.user.read()?.unwrap_or_default();
    let password = read_password(keys, source, environment)?;
    match (user.is_empty(), password.secret.is_empty()) {
        (false, _) => Ok(Some(Login { user, password: Secret(password.secret) })),
        (true, true) => Ok(None),
        (true, false) => {
            Err(Fault::new(password.position, format!("there is a password but no {} to go with it", keys.user)))
        }
    }
}

fn read_password(keys: &mut MqttKeys, source: &Source, environment: &Environment) -> Result<Password, Fault> {
    let MqttKeys { password, password_file, .. } = keys;
    // of the two keys, the one set by its variable counts
    let by_variable = [password.is_set_by_variable(), password_file.is_set_by_variable()];
    match by_variable {
        [true, false] => password_file.slot().value = None,
        [false, true] => password.slot().value = None,
        _ => {}
    }
    // the shipped file has an empty one, which is none
    let secret = password.read()?.filter(|secret| !secret.is_empty());
    let path = password_file.read()?;
    if secret.is_some() && path.is_some() {
        return Err(password_file.fault(format!("{password} and {password_file} must not both be there")));
    }
    let outside = if by_variable == [false, false] { from_outside(environment)? } else { Password::default() };
    match (secret, path) {
        _ if !outside.secret.is_empty() => Ok(outside),
        (Some(secret), _) => Ok(Password { secret, position: shown(password.position()) }),
        (None, Some(path)) => from_file(&source.beside(&path), shown(password_file.position())),
        (None, None) => Ok(Password::default()),
    }
}

fn shown(position: Option<&impl ToString>) -> String {
    position.map(ToString::to_string).unwrap_or_default()
}

/// The password of the environment or of the credential, which win over the file.
fn from_outside(environment: &Environment) -> Result<Password, Fault> {
    if let Some(secret) = environment.text(VARIABLE)? {
        return checked(secret, VARIABLE.to_owned());
    }
    match environment.credential(CREDENTIAL).filter(|path| is_there(path)) {
        // the unit names the credential in any case, and leaves it empty where the administrator has none
        Some(path) => from_file(&path, format!("credential {CREDENTIAL}")),
        None => Ok(Password::default()),
    }
}

/// The content of a file; one line end after it is not part of the password.
fn from_file(path: &Path, position: String) -> Result<Password, Fault> {
    let unreadable = |error: &dyn fmt::Display| format!("`{}` cannot be read: {error}", path.display());
    let bytes =
        read_limited(path, MAX_FILE).map_err(|error| Fault::unreadable(&position, unreadable(&error), &error))?;
    let text = String::from_utf8(bytes).map_err(|_| Fault::new(&position, unreadable(&"it is not UTF-8 text")))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    if secret.contains('\n') {
        let what = format!("`{}` must be the password alone, with one line end behind it at most", path.display());
        return Err(Fault::new(position, what));
    }
    checked(secret.strip_suffix('\r').unwrap_or(secret).to_owned(), position)
}

fn checked(secret: String, position: String) -> Result<Password, Fault> {
    match SecretText::read(&Value::String(secret)) {
        Ok(secret) => Ok(Password { secret, position }),
        Err(what) => Err(Fault::new(position, format!("the password {what}"))),
    }
}
