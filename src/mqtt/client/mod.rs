//! The MQTT client: rumqttc 0.25.1 behind a small interface. Nothing outside this folder names rumqttc.
//!
//! A caller gets a [`Connection`] and its [`Sender`] by [`connect`], hands packets to the sender, and calls
//! [`Connection::next`] for each [`Event`] until the connection is [`Lost`].
//!
//! # What rumqttc does wrong, and where it is cured
//!
//! Packet identifiers and acknowledgements:
//! - It has no outcome for each publish, and tells packet identifiers only by an event when it has written the packet.
//!   So [`Event::PublishWritten`] belongs to the one message that was handed over last; `session/in_flight` hands over
//!   one at a time: `outgoing.rs`
//! - It takes the next identifier in turn without looking whether it is free: one in use for QoS 2 is used twice, a
//!   collision blocks all requests, and a released collision is forgotten (rumqtt#1014, #1056). So it has
//!   [`PACKET_IDENTIFIERS`](super::protocol::PACKET_IDENTIFIERS) slots, more than the window: `v4/options.rs`,
//!   `v5/options.rs`; callers keep to [`Window::cycle`](super::protocol::Window), and a collision is an
//!   [`Event::Violation`]: `outgoing.rs`
//! - A refused publish at QoS 2 and an unknown PUBCOMP leak a slot of the window in MQTT 5 (rumqtt#1060): `slots.rs`
//! - It takes no DISCONNECT from its queue while the window is full: `slots.rs`
//! - It ends the connection over a PUBREL whose PUBLISH came on another connection, or that comes again (rumqtt#664):
//!   `expect_release` in `v4/mod.rs` and `v5/mod.rs`
//! - It delivers a message at QoS 2 at every PUBLISH, repetitions included: callers keep its packet identifier until
//!   [`Event::Released`]
//! - It acknowledges a message before anyone has recorded it. So acknowledgements are manual: `v4/options.rs`,
//!   `v5/options.rs`
//!
//! Lost connections:
//! - It keeps requests, identifiers and collisions over a reconnect, loses some of them, and sends others for ever. It
//!   reconnects by itself without a pause, after a DISCONNECT too. So each try is a new client: `receiving.rs`
//! - Events of a lost connection come after the next CONNACK: callers take what is [`Connection::buffered`] at the end
//! - A lower Receive Maximum on reconnect breaks its counter; a new client starts with a new one: `receiving.rs`
//! - It resends without DUP: `resend` in `v4/mod.rs` and `v5/mod.rs`
//! - It does not subscribe again, and only logs a refusal: [`Event::Subscribed`], from `v4/mod.rs` and `v5/event.rs`
//! - Its DISCONNECT does not wait for acknowledgements, and without one the broker publishes the will: callers hand it
//!   over when everything is acknowledged, and read until [`Event::Disconnected`]
//! - Its event loop never ends by itself, though every sender is dropped: whoever calls [`Connection::next`] stops
//!   doing so
//!
//! Sizes and contents:
//! - A packet over a limit ends the connection, and so do an empty topic and a NUL; a topic over 64 KiB is sent
//!   mutilated. The types of `crate::message` exclude these topics, and callers check [`packet_size()`] before
//!   the hand-over: `packet_size.rs`
//! - It does not keep to the Maximum QoS and Retain Available of the broker: `v5/connack.rs` reads them, and callers
//!   check
//! - Its limits are 10 KiB by default: `bounds.rs`, `v4/options.rs`, `v5/options.rs`
//! - A received message keeps the buffer that it was read with, and may have any number of user properties:
//!   `v4/mod.rs`, `v5/received.rs`
//! - It ends the connection over a packet that it cannot decode, an answer with a reason code that it does not know
//!   included: such a [`Cause`] has a name of its own: `lost.rs`, from `v4/losses.rs` and `v5/losses.rs`
//! - With topic aliases, messages come without a topic: none are allowed, and a broker that uses one breaks the
//!   protocol: `v5/event.rs`
//!
//! Time:
//! - `publish` and the like block while the queue is full, on its own thread for ever: only `try_…` is used:
//!   `v4/sender.rs`, `v5/sender.rs`
//! - Its timeouts are 0 s in `NetworkOptions::default`, and Nagle's algorithm is on: `transport.rs`
//! - A flush has 5 s in MQTT 3.1.1, whatever the size and the link, and no limit in MQTT 5: `FLUSH_TIMEOUT` in
//!   `v4/options.rs`; the caller's timeout of [`Connection::next`], with [`Connection::nudge`] to write on, in both
//! - `recv_timeout` below the time that connecting takes never connects: [`connect`] in `receiving.rs`
//! - It ends the connection over a second PINGREQ without an answer, though bytes pass: `traffic.rs`
//! - With a keep alive of 0 from the broker it sends PINGREQ without a pause: `connected` in `v5/mod.rs`. It panics
//!   over a configured one under 5 s, which `config` excludes
//! - It hands out what it has read before it writes again: callers take all that is [`Connection::buffered`] at once
//!
//! Words:
//! - Its errors hide their cause, and the server reference of a DISCONNECT: `v4/losses.rs`, `v5/losses.rs`,
//!   `transport.rs`, `tls.rs`
//! - It does not tell what it read instead of a CONNACK: `diagnosis.rs`

mod connection;
mod receiving;

mod lost;

pub mod diagnosis;

mod v4;
mod v5;
mod version;

mod bounds;
mod outgoing;
mod packet_size;
mod slots;
#[cfg(feature = "tls")]
mod tls;
mod traffic;
mod transport;

pub use self::connection::{Event, QueueFull, Sender};
pub use self::lost::{Cause, Lost};
pub use self::packet_size::packet_size;
pub use self::receiving::{Connection, connect, connect_timeout};
