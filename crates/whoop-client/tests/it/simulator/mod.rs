//! Tests of the client against the simulator, with members, a quota and simulated failures.

mod faults;
mod lists;
mod member;
mod tokens;
