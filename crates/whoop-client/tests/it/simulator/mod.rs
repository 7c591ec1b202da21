//! The client against a WHOOP that has members, a quota and faults.

mod faults;
mod lists;
mod member;
mod tokens;
