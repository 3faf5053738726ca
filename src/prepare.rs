//! What a start needs, whether there is a broker or not: a valid configuration and the sockets that it names.

use thiserror::Error;

use crate::config::{Config, Environment, Log, Source};
use crate::files::require_writable;
use crate::http::{self, BindError, Listener};

/// Why the bridge cannot start as it is configured: the configuration is wrong, or a socket cannot be taken.
#[derive(Debug, Error)]
#[error("{what}")]
pub struct StartError {
    what: String,
    /// Whether the same configuration may work later.
    pub may_pass: bool,
    /// The form of the record that tells it: as configured, or as the environment has it if that is what is wrong.
    pub log: Log,
}

impl StartError {
    fn of_socket(error: &BindError, log: Log) -> Self {
        Self { what: error.to_string(), may_pass: error.may_pass(), log }
    }
}

/// Reads the configuration and takes the sockets.
///
/// # Errors
/// The first thing that is wrong.
pub fn prepare(source: &Source, environment: &Environment) -> Result<(Config, Vec<Listener>), StartError> {
    let config = load(source, environment)?;
    match http::listen(&config.http, !config.tokens.is_empty()) {
        Ok(listeners) => Ok((config, listeners)),
        Err(error) => Err(StartError::of_socket(&error, config.log)),
    }
}

/// Checks what [`prepare()`] would do, without taking a socket. Returns warnings, which include what would keep a start
/// waiting.
///
/// # Errors
/// What would keep the same configuration from working at any time.
pub fn check(source: &Source, environment: &Environment) -> Result<Vec<String>, StartError> {
    let config = load(source, environment)?;
    let mut warnings = config.warnings;
    match http::check(&config.http, !config.tokens.is_empty()) {
        // most likely by a bridge that runs with this configuration
        Err(error) if error.is_taken() => {}
        Err(error) if error.may_pass() => warnings.push(format!("{error}; a start would wait for that")),
        Err(error) => return Err(StartError::of_socket(&error, config.log)),
        Ok(()) => {}
    }
    if let Some(path) = &config.outbox.path
        && let Err(error) = require_writable(path)
    {
        warnings.push(format!("the outbox `{}` {error}", path.display()));
    }
    Ok(warnings)
}

fn load(source: &Source, environment: &Environment) -> Result<Config, StartError> {
    Config::load(source, environment).map_err(|fault| StartError {
        what: fault.to_string(),
        may_pass: fault.may_pass(),
        // a file with a fault has no say in the form of records
        log: Log::of(environment),
    })
}
