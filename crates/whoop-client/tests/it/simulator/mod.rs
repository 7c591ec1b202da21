//! Tests of the client against the simulator with members, a quota and faults.

mod faults;
mod lists;
mod member;
mod tokens;
