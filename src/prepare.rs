//! What a start needs, whether there is a broker or not: a valid configuration and the sockets that it names.

use thiserror::Error;

use crate::config::{Config, Environment, Log, Source};
use crate::files::require_writable;
use crate::http::{self, BindError, Listener};
use crate::outbox::{OpenError, OutboxFile};

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

/// What a start needs.
pub struct Prepared {
    /// Valid.
    pub config: Config,
    /// One for each address.
    pub listeners: Vec<Listener>,
    /// `None` if no outbox is configured.
    pub outbox: Option<OutboxFile>,
}

impl StartError {
    fn of_socket(error: &BindError, log: Log) -> Self {
        Self { what: error.to_string(), may_pass: error.may_pass(), log }
    }

    fn of_outbox(error: &OpenError, log: Log) -> Self {
        Self { what: error.to_string(), may_pass: error.may_pass(), log }
    }
}

/// Reads the configuration, takes the sockets and opens the file of the outbox.
///
/// # Errors
/// The first thing that is wrong.
pub fn prepare(source: &Source, environment: &Environment) -> Result<Prepared, StartError> {
    let config = load(source, environment)?;
    let listeners = http::listen(&config.http, !config.tokens.is_empty());
    let listeners = listeners.map_err(|error| StartError::of_socket(&error, config.log))?;
    let outbox = config.outbox.path.as_deref().map(OutboxFile::open).transpose();
    let outbox = outbox.map_err(|error| StartError::of_outbox(&error, config.log))?;
    Ok(Prepared { config, listeners, outbox })
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
