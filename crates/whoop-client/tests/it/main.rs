//! The client against something that answers: the simulator for what WHOOP
//! does, a scripted server for what only a broken network or gateway does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod gate;
mod log;
mod payloads;
mod replies;
mod scripted;
mod secrets;
mod simulator;
