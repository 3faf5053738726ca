//! MQTT to HTTP: messages of the broker are sent to the endpoints of `[[webhook]]`.

#[allow(dead_code)]
mod client;
