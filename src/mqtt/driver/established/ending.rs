//! The end of a connection, and what was read before it.

use std::time::{Duration, Instant};

use super::{Established, violated};
use crate::mqtt::client::{Cause, Event, Lost};
use crate::mqtt::inbound::Unreleased;

/// How long the broker may take to end the connection after our DISCONNECT.
const LONGEST_END: Duration = Duration::from_secs(5);

/// How a connection ended.
pub struct Ending {
    /// `None` if we ended it at a stop.
    pub lost: Option<Lost>,
    /// Messages at QoS 2 whose PUBREL has not come.
    pub unreleased: Unreleased,
    /// The session of an earlier process was released, or did not have to be.
    pub is_released: bool,
    /// The session cannot be resumed.
    pub is_spoilt: bool,
}

impl Established {
    /// Drives the connection to its end. Before that it releases the session of an earlier process, if required.
    pub fn drive(mut self, release: bool) -> Ending {
        let result = self.run(release);
        self.publisher.detach();
        self.subscriber.set_open(false);
        // what was read before the end counts
        while let Some(event) = self.connection.buffered() {
            self.take_left_over(event);
        }
        Ending {
            lost: result.err().map(|lost| self.attribute(lost)),
            is_released: !self.is_releasing(),
            is_spoilt: self.is_spoilt,
            unreleased: self.inbound.unreleased,
        }
    }

    /// A DISCONNECT was written.
    pub(super) fn disconnected(&mut self) -> Result<(), Lost> {
        if self.is_leaving {
            self.read_to_end();
            return Err(Lost::because(Cause::Left, self.inbound.regained()));
        }
        if !self.publisher.is_ending() {
            return Err(Lost::new("the connection was ended over a packet that the broker must not send"));
        }
        Ok(())
    }

    /// Reads until the broker ends the connection, too. One that is closed while packets are unread is reset, and then
    /// the broker loses acknowledgements that it has not read, and sends these messages again.
    fn read_to_end(&mut self) {
        let deadline = Instant::now() + LONGEST_END;
        self.publisher.announce(Instant::now(), LONGEST_END);
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.connection.next(left) {
                Ok(event) => event.into_iter().for_each(|event| self.take_left_over(event)),
                Err(_) => return,
            }
        }
    }

    /// Takes an event that was pending at the end. A packet that was written may not have been sent; a violation has no
    /// consequence any more.
    fn take_left_over(&mut self, event: Event) {
        let taken = match event {
            Event::PublishWritten(packet_identifier) => {
                self.publisher.written(packet_identifier, false).map_err(violated)
            }
            Event::Subscribed(packet_identifier, answers, _) => {
                self.subscriber.subscribed(packet_identifier, &answers);
                Ok(())
            }
            event => self.take(event),
        };
        if let Err(violation) = taken {
            log::debug!("{violation}");
        }
    }
}
