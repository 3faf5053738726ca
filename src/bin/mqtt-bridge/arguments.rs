//! What the command line asks for.

use std::path::PathBuf;

use lexopt::prelude::{Long, Short, ValueExt};
use mqtt_bridge::config::{Environment, Source};

pub const HELP: &str = "\
An HTTP-to-MQTT bridge: POST /publish puts a message on a broker, and what the broker sends goes to the journal.

Usage: mqtt-bridge [--config PATH] [--check] [--new-token NAME] [--new-hook NAME] [--version] [--help]

  --config PATH     the configuration; without it ./bridge.toml, else /etc/mqtt-bridge/bridge.toml, else the defaults
  --check           say whether the configuration is good, and end
  --new-token NAME  print a new secret and the table that lets its bearer in, and end
  --new-hook NAME   print a new secret path and the table of the hook that it calls, and end
  --version         print the version, and end
  --help            print this, and end

Exit status: 0 stopped by SIGTERM, SIGINT or SIGHUP, 1 failed while running, 2 wrong usage, 78 wrong configuration.
";

/// What the command line asks for.
pub enum Command {
    Run(Source),
    Check(Source),
    NewToken(String),
    NewHook(String),
    Version,
    Help,
}

pub fn read() -> Result<Command, lexopt::Error> {
    let (mut path, mut check, mut new) = (None, false, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("config") => path = Some(arguments.value()?.parse::<PathBuf>()?),
            Long("check") => check = true,
            Long("new-token") => new = Some(Command::NewToken(arguments.value()?.parse()?)),
            Long("new-hook") => new = Some(Command::NewHook(arguments.value()?.parse()?)),
            Short('V') | Long("version") => return Ok(Command::Version),
            Short('h') | Long("help") => return Ok(Command::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    let source = Source::find(path, &Environment::of_this_process());
    Ok(match new {
        Some(command) => command,
        None if check => Command::Check(source),
        None => Command::Run(source),
    })
}
