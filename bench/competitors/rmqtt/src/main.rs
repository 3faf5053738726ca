//! The broker rmqtt on a port of 127.0.0.1, with its HTTP publishing plugin on another.

use std::net::Ipv4Addr;

use rmqtt::Result;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;

#[tokio::main]
async fn main() -> Result<()> {
    // the broker first, so that HTTP is not answered without it
    let listener = Builder::new().name("tcp").laddr((Ipv4Addr::LOCALHOST, port("MQTT_PORT")).into()).bind()?.tcp()?;
    let api = format!("http_laddr = \"{}:{}\"\n", Ipv4Addr::LOCALHOST, port("PORT"));
    let context = ServerContext::new().plugins_config_map_add("rmqtt-http-api", api).build().await;
    rmqtt_http_api::register(&context, true, false).await?;
    MqttServer::new(context).listener(listener).build().run().await
}

fn port(name: &str) -> u16 {
    let text = std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    text.parse().unwrap_or_else(|_| panic!("{name} is a port"))
}
