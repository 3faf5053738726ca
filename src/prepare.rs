//! What a start needs, whether there is a broker or not: a valid configuration and the sockets that it names.

use thiserror::Error;

use crate::config::{Config, Environment, Fault, Log, Source};
use crate::http::{self, BindError, Listener};

/// Why the bridge cannot start as it is configured.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is wrong; with the form of records, as far as the environment has it.
    #[error("{0}")]
    Fault(#[source] Fault, Log),
    /// A socket cannot be taken; with the form of records.
    #[error("{0}")]
    Bind(#[source] BindError, Log),
}

impl StartError {
    /// Whether the same configuration may work later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Fault(fault, _) => fault.may_pass(),
            Self::Bind(error, _) => error.may_pass(),
        }
    }

    /// The form of the record that tells it.
    #[must_use]
    pub fn log(&self) -> Log {
        match self {
            Self::Fault(_, log) | Self::Bind(_, log) => *log,
        }
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
        Err(error) => Err(StartError::Bind(error, config.log)),
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
        Err(error) => return Err(StartError::Bind(error, config.log)),
        Ok(()) => {}
    }
    Ok(warnings)
}

fn load(source: &Source, environment: &Environment) -> Result<Config, StartError> {
    // a file with a fault has no say in the form of records
    Config::load(source, environment).map_err(|fault| StartError::Fault(fault, Log::of(environment)))
}
