//! The listening sockets, their limits, and a request to one of them that tests whether it is served.

pub mod bind;
pub mod limits;
pub mod probe;
pub mod socket;
