//! The daemon's command line.

mod arguments;
mod daemon;
mod output;
mod status;

use std::process::ExitCode;

use mqtt_bridge::config::{Environment, NewSecretError, Source, new_hook, new_token};

use self::arguments::{Command, HELP};
use self::output::{fail, hand_over, say, tell};
use self::status::Status;

fn main() -> ExitCode {
    let status = match arguments::read() {
        Ok(Command::Run(source)) => daemon::run(&source),
        Ok(Command::Check(source)) => check(&source),
        Ok(Command::NewToken(name)) => show(new_token(&name)),
        Ok(Command::NewHook(name)) => show(new_hook(&name)),
        Ok(Command::Version) => say(concat!("mqtt-bridge ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Help) => say(HELP),
        Err(error) => fail(Status::Usage, &format!("{error}; try --help")),
    };
    status.into()
}

fn check(source: &Source) -> Status {
    match mqtt_bridge::check(source, &Environment::of_this_process()) {
        Ok(warnings) => {
            for warning in &warnings {
                tell(warning);
            }
            say(&format!("{source}: ok\n"))
        }
        Err(error) => fail(Status::Configuration, &error.to_string()),
    }
}

fn show(secret: Result<String, NewSecretError>) -> Status {
    match secret {
        Ok(secret) => hand_over(&secret),
        Err(error @ NewSecretError::Name) => fail(Status::Usage, &format!("{error}; try --help")),
        Err(error) => fail(Status::Failed, &error.to_string()),
    }
}
