//! Tests of the client against servers: the simulator for WHOOP's behaviour, and a scripted server
//! for failures of the network or a gateway.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod gate;
mod log;
mod payloads;
mod recorded_limits;
mod replies;
mod scripted;
mod secrets;
mod simulator;
