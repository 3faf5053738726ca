//! User name and password. The password is that of the environment, the credential, the password file or `bridge.toml`,
//! in this order.

use std::path::PathBuf;

use toml::Value;

use super::keys::MqttKeys;
use super::types::{Login, Secret};
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::kind::{Kind, SecretText};
use crate::config::secret_file::{SecretFile, position};
use crate::config::source::Source;
use crate::files::is_there;

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
        (Some(secret), _) => Ok(Password { secret, position: position(password) }),
        (None, Some(path)) => from_file(source.beside(&path), position(password_file)),
        (None, None) => Ok(Password::default()),
    }
}

/// The password of the environment or of the credential, which win over the file.
fn from_outside(environment: &Environment) -> Result<Password, Fault> {
    if let Some(secret) = environment.text(VARIABLE)? {
        return checked(secret, VARIABLE.to_owned());
    }
    match environment.credential(CREDENTIAL).filter(|path| is_there(path)) {
        // the unit names the credential in any case, and leaves it empty where the administrator has none
        Some(path) => from_file(path, format!("credential {CREDENTIAL}")),
        None => Ok(Password::default()),
    }
}

/// The content of a file; one line end after it is not part of the password.
fn from_file(path: PathBuf, position: String) -> Result<Password, Fault> {
    let secret = SecretFile::new(path, position.clone()).line(MAX_FILE, "password")?;
    checked(secret, position)
}

fn checked(secret: String, position: String) -> Result<Password, Fault> {
    match SecretText::read(&Value::String(secret)) {
        Ok(secret) => Ok(Password { secret, position }),
        Err(what) => Err(Fault::new(position, format!("the password {what}"))),
    }
}
