//! Tests of the client against two servers: the simulator imitates WHOOP, and a scripted server
//! imitates failures of the network or of a gateway.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod gate;
mod log;
mod payloads;
mod recorded_limits;
mod replies;
mod scripted;
mod secrets;
mod simulator;
