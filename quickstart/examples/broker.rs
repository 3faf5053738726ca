//! The broker of the quickstart alone, for tests: `broker PORT PORT`, for MQTT 5 and MQTT 3.1.1.

#[path = "../src/broker.rs"]
mod broker;

use std::net::Ipv4Addr;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ports = std::env::args().skip(1).map(|port| port.parse::<u16>());
    let mut address =
        || Ok::<_, Box<dyn std::error::Error>>((Ipv4Addr::LOCALHOST, ports.next().ok_or("PORT PORT")??).into());
    let (v5, v4) = (address()?, address()?);
    rumqttd::Broker::new(broker::config(v5, Some(v4))).start()?;
    Ok(())
}
