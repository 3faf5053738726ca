//! Where the broker is and how it is reached: `server`, `port`, `transport` and `[mqtt.tls]` together.

use super::super::location::{self, Location, Transport, Url};
use super::super::{Fault, Place, Server, Source, value};
use super::{MqttTable, Overridden, span, tls};
use crate::tls::{Tls, is_server_name};

/// What the configuration says, each by itself.
struct Said<'a> {
    overridden: &'a Overridden<'a>,
    table: &'a MqttTable,
    location: Location,
    transport: Option<Transport>,
    port: Option<u16>,
    enabled: Option<bool>,
}

pub fn read(overridden: &Overridden, table: &MqttTable, source: &Source) -> Result<(Server, Option<Tls>), Fault> {
    let file = overridden.file;
    let location = overridden.read("server", &table.server, "MQTT_SERVER", location::server)?;
    let said = Said {
        overridden,
        table,
        location: location.unwrap_or_else(|| Location::Host("127.0.0.1".to_owned())),
        transport: file.read("transport", &table.transport, location::transport)?,
        port: port(overridden, table)?,
        enabled: file.read("enabled", &table.tls.enabled, value::truth)?,
    };
    let wants_tls = said.wants_tls()?;
    let server = said.server(wants_tls)?;
    if !wants_tls {
        if said.enabled.is_none() {
            tls::assert_unused(file, &table.tls)?;
        }
        return Ok((server, None));
    }
    let tls = tls::read(overridden, &table.tls, source, said.place_of_tls())?;
    said.assert_in_certificates(&server)?;
    Ok((server, Some(tls)))
}

fn port(overridden: &Overridden, table: &MqttTable) -> Result<Option<u16>, Fault> {
    let read = overridden.read("port", &table.port, "MQTT_PORT", value::port);
    let own = overridden.file.variable_of(&table.port);
    let (variable, service) = own.map_or(("MQTT_PORT", "mqtt"), |own| (own, "mqtt-bridge-mqtt"));
    let text = overridden.environment.text(variable)?.unwrap_or_default();
    match text.split_once("://") {
        Some(("tcp" | "udp" | "sctp", _)) => {
            let what = format!(
                "{} is what Kubernetes sets for a service named \"{service}\": name that differently, set \
                 `enableServiceLinks: false` in the pod, or set {variable} to the broker's port in its container",
                value::shown(&text.into())
            );
            Err(Fault::new(variable, what))
        }
        _ => read,
    }
}

impl Said<'_> {
    fn wants_tls(&self) -> Result<bool, Fault> {
        let by_location = match &self.location {
            Location::Host(_) => return Ok(self.enabled.unwrap_or(false)),
            Location::Path(_) => false,
            Location::Url(url) => url.scheme.tls,
        };
        match self.enabled {
            Some(enabled) if enabled != by_location => {
                Err(self.contradiction(&format!("`enabled = {enabled}` in [mqtt.tls]")))
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
        if let Some(other) = self.transport.filter(|said| *said != transport) {
            return Err(self.misfit(other));
        }
        match &self.location {
            Location::Host(host) => {
                let port = self.port.unwrap_or(if tls { 8883 } else { 1883 });
                Ok(Server::Tcp(Place { host: host.clone(), port }))
            }
            Location::Path(path) => self.without_port().map(|()| Server::Unix(path.clone())),
            Location::Url(url) => {
                let place = Place { port: self.port_of(url)?, ..url.place.clone() };
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
        match (&self.location, transport) {
            (Location::Host(_), Transport::Unix) => {
                self.fault("must be the absolute path of a socket where `transport` is \"unix\"")
            }
            (Location::Host(_), Transport::WebSocket) => {
                self.fault("must be a URL that begins with ws:// or wss:// where `transport` is \"websocket\"")
            }
            _ => self.contradiction(&format!("`transport = {transport}`")),
        }
    }

    /// Where the port comes from elsewhere than the URL, the environment wins over the file.
    fn port_of(&self, url: &Url) -> Result<u16, Fault> {
        match self.port {
            Some(port) if port != url.place.port => match (self.is_set("MQTT_SERVER"), self.is_set("MQTT_PORT")) {
                (true, false) => Ok(url.place.port),
                (false, true) => Ok(port),
                _ => Err(self.contradiction(&format!("`port = {port}`"))),
            },
            _ => Ok(url.place.port),
        }
    }

    fn without_port(&self) -> Result<(), Fault> {
        match self.port {
            // or else the file says it of another server
            Some(port) if self.is_set("MQTT_PORT") || !self.is_set("MQTT_SERVER") => {
                Err(self.contradiction(&format!("`port = {port}`")))
            }
            _ => Ok(()),
        }
    }

    /// No certificate can be for what is no name of DNS and no address.
    fn assert_in_certificates(&self, server: &Server) -> Result<(), Fault> {
        match server {
            Server::Tcp(place) | Server::WebSocket(place, _) if !is_server_name(&place.host) => {
                Err(self
                    .fault("must be a name of DNS or an address where there is TLS, as no certificate is for others"))
            }
            _ => Ok(()),
        }
    }

    /// Where TLS is asked for.
    fn place_of_tls(&self) -> String {
        match span(&self.table.tls.enabled) {
            None => self.fault("").place,
            enabled => self.overridden.file.place(enabled),
        }
    }

    /// Whether it comes from the environment, be it by the key's own name.
    fn is_set(&self, variable: &str) -> bool {
        let key = if variable == "MQTT_PORT" { &self.table.port } else { &self.table.server };
        self.overridden.variable(key, variable).is_some()
    }

    fn contradiction(&self, other: &str) -> Fault {
        let place = self.fault("").place;
        Fault::new(place, format!("`server = {}` and {other} contradict each other", self.location))
    }

    /// Of `server`, wherever it is said; where it is not, of what would need it.
    fn fault(&self, what: &str) -> Fault {
        let place = match self.overridden.variable(&self.table.server, "MQTT_SERVER") {
            Some(variable) => return Fault::new(variable, what),
            None => self.overridden.file.place(span(&self.table.server).or(span(&self.table.transport))),
        };
        Fault::new(place, format!("`server` {what}"))
    }
}
