//! Where the broker is and how it is reached: `server`, `port`, `transport` and `[mqtt.tls]` together.

use toml::Value;

use super::keys::MqttKeys;
use super::location::{Location, Transport};
use super::tls;
use super::types::{Place, Server};
use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::kind::shown;
use crate::config::source::Source;
use crate::tls::{Tls, is_server_name};

/// The value of each key by itself.
struct Given<'a> {
    keys: &'a MqttKeys,
    location: Location,
    transport: Option<Transport>,
    port: Option<u16>,
    enabled: Option<bool>,
}

pub fn read(keys: &MqttKeys, source: &Source, environment: &Environment) -> Result<(Server, Option<Tls>), Fault> {
    let location = keys.server.read()?;
    let given = Given {
        keys,
        location: location.unwrap_or_else(|| Location::Host("127.0.0.1".to_owned())),
        transport: keys.transport.read()?,
        port: port(keys)?,
        enabled: keys.tls.enabled.read()?,
    };
    let wants_tls = given.wants_tls()?;
    let server = given.server(wants_tls)?;
    if !wants_tls {
        if given.enabled.is_none() {
            tls::assert_unused(&keys.tls)?;
        }
        return Ok((server, None));
    }
    let position = keys.tls.enabled.position().map_or_else(|| given.position(), ToString::to_string);
    let tls = tls::read(&keys.tls, source, environment, position)?;
    if let Server::Tcp(place) | Server::WebSocket(place, _) = &server
        && !is_server_name(&place.host)
    {
        return Err(
            given.fault("must be a name of DNS or an address where there is TLS, as no certificate is for others")
        );
    }
    Ok((server, Some(tls)))
}

fn port(keys: &MqttKeys) -> Result<Option<u16>, Fault> {
    let port = &keys.port;
    let service = if port.is_set_by_variable() { "mqtt-bridge-mqtt" } else { "mqtt" };
    match port.value.as_ref().filter(|_| port.is_overridden()) {
        Some((Value::String(text), variable)) if is_of_kubernetes(text) => Err(port.fault(format!(
            "{} is what Kubernetes sets for a service named \"{service}\": name that differently, set \
             `enableServiceLinks: false` in the pod, or set {variable} to the broker's port in its container",
            shown(&text.as_str().into())
        ))),
        _ => port.read(),
    }
}

fn is_of_kubernetes(text: &str) -> bool {
    matches!(text.split_once("://"), Some(("tcp" | "udp" | "sctp", _)))
}

impl Given<'_> {
    fn wants_tls(&self) -> Result<bool, Fault> {
        let by_location = match &self.location {
            Location::Host(_) => return Ok(self.enabled.unwrap_or(false)),
            Location::Path(_) => false,
            Location::Url(url) => url.scheme.tls,
        };
        match self.enabled {
            Some(enabled) if enabled != by_location => {
                Err(self.contradiction(&format!("`{} = {enabled}` in [mqtt.tls]", self.keys.tls.enabled.name)))
            }
            _ => Ok(by_location),
        }
    }

    fn server(&self, tls: bool) -> Result<Server, Fault> {
        let transport = match &self.location {
            Location::Host(_) => Transport::Tcp,
            Location::Path(_) => Transport::Unix,
            Location::Url(url) => url.scheme.transport,
        };
        if let Some(other) = self.transport.filter(|given| *given != transport) {
            return Err(self.misfit(other));
        }
        match &self.location {
            Location::Host(host) => {
                let port = self.port.unwrap_or(if tls { 8883 } else { 1883 });
                Ok(Server::Tcp(Place { host: host.clone(), port }))
            }
            Location::Path(path) => self.port_beside(None).map(|_| Server::Unix(path.clone())),
            Location::Url(url) => {
                let port = self.port_beside(Some(url.place.port))?.unwrap_or(url.place.port);
                let place = Place { port, ..url.place.clone() };
                match transport {
                    Transport::WebSocket if !cfg!(feature = "websocket") => {
                        Err(self
                            .fault("needs WebSocket, which this build has not: build it with `--features websocket`"))
                    }
                    Transport::WebSocket => Ok(Server::WebSocket(place, url.path.clone())),
                    Transport::Tcp | Transport::Unix => Ok(Server::Tcp(place)),
                }
            }
        }
    }

    fn misfit(&self, transport: Transport) -> Fault {
        let key = &self.keys.transport;
        match (&self.location, transport) {
            (Location::Host(_), Transport::Unix) => {
                self.fault(&format!("must be the absolute path of a socket where {key} is \"unix\""))
            }
            (Location::Host(_), Transport::WebSocket) => {
                self.fault(&format!("must be a URL that begins with ws:// or wss:// where {key} is \"websocket\""))
            }
            _ => {
                let value = key.value.as_ref().map_or_else(String::new, |(value, _)| shown(value));
                self.contradiction(&format!("`{} = {value}`", key.name))
            }
        }
    }

    /// The port beside a server that has its own, or none. Where they differ, the environment overrides the file.
    fn port_beside(&self, own: Option<u16>) -> Result<Option<u16>, Fault> {
        let (server, port) = (&self.keys.server, &self.keys.port);
        match self.port.filter(|given| Some(*given) != own) {
            None => Ok(own),
            // the port in the file is for another server
            Some(_) if server.is_overridden() && !port.is_overridden() => Ok(own),
            Some(given) if own.is_some() && port.is_overridden() && !server.is_overridden() => Ok(Some(given)),
            Some(given) => Err(self.contradiction(&format!("`{} = {given}`", port.name))),
        }
    }

    fn contradiction(&self, other: &str) -> Fault {
        let server = &self.keys.server.name;
        Fault::new(self.position(), format!("`{server} = {}` and {other} contradict each other", self.location))
    }

    fn fault(&self, what: &str) -> Fault {
        let server = &self.keys.server;
        if server.is_overridden() {
            server.fault(what)
        } else {
            Fault::new(self.position(), format!("{server} {what}"))
        }
    }

    /// Where `server` is set, and else where `transport` is, which needs another `server` than the default.
    fn position(&self) -> String {
        let position = self.keys.server.position().or(self.keys.transport.position());
        position.map(ToString::to_string).unwrap_or_default()
    }
}
