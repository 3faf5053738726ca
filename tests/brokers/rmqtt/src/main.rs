//! The broker rmqtt on a port of 127.0.0.1, with the plugin for retained messages only.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use rmqtt::Result;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;

#[tokio::main]
async fn main() -> Result<()> {
    let port: u16 = std::env::args().nth(1).expect("usage: rmqtt-broker PORT").parse()?;
    simple_logger::SimpleLogger::new().with_level(log::LevelFilter::Warn).init()?;
    let retainer = "storage.type = \"ram\"\nmax_retained_messages = 0\nmax_payload_size = \"1MB\"\n";
    let context = ServerContext::new().plugins_config_map_add("rmqtt-retainer", retainer).build().await;
    rmqtt_retainer::register(&context, true, false).await?;
    let listener = Builder::new().name("tcp").laddr((Ipv4Addr::LOCALHOST, port).into()).reuseaddr(Some(true));
    // by default it ends connections of MQTT 3.1.1, which has no Receive Maximum, at 17 unacknowledged messages
    let listener = listener.max_inflight(NonZeroU16::new(1000).expect("not 0")).bind()?.tcp()?;
    MqttServer::new(context).listener(listener).build().run().await
}
