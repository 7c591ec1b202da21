//! PostgreSQL's error codes. Its messages come in the server's language; the code does not change.
//!
//! Diesel's error types have no place for the code, so it is the end of every message, where an
//! operator can look it up as well.

/// `value out of range (SQLSTATE 22003)`.
pub(crate) fn with_code(message: &str, code: &str) -> String {
    format!("{message} (SQLSTATE {code})")
}

/// The code at the end of a message; `None` for an error that is not PostgreSQL's.
pub(crate) fn code_of(message: &str) -> Option<&str> {
    let (_, code) = message.rsplit_once("(SQLSTATE ")?;
    let code = code.strip_suffix(')')?;
    (code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(code)
}

/// The server stops, starts, ends the connection or gives up on the statement.
pub(crate) fn is_unavailable(code: &str) -> bool {
    // 57014: statement timeout. 25P03: a transaction was idle for too long. 53300: no connection
    // is free.
    code.starts_with("08") || code.starts_with("57") || matches!(code, "25P03" | "53300")
}

/// Another transaction was faster or holds a lock: a serialization failure, a deadlock, a lock
/// timeout.
pub(crate) fn is_lock_conflict(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03")
}

/// A value that PostgreSQL cannot store, whatever the moment.
pub(crate) fn is_value_error(code: &str) -> bool {
    // 22: data exception. 23502: not null. 23514: check.
    code.starts_with("22") || matches!(code, "23502" | "23514")
}

/// A prepared statement of another connection: a pooler stands in between.
pub(crate) fn is_foreign_statement(code: &str) -> bool {
    matches!(code, "26000" | "42P05")
}

/// The role, the password or the database is wrong; waiting changes nothing.
pub(crate) fn is_refused_login(code: &str) -> bool {
    code.starts_with("28") || code == "3D000"
}

/// A table is missing: the migrations were not applied.
pub(crate) const UNDEFINED_TABLE: &str = "42P01";

/// The role lacks a privilege.
pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// No space left on the server's disk.
pub(crate) const DISK_FULL: &str = "53100";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_read_from_the_end_of_a_message_in_any_language() {
        let message = with_code(
            "Wert ist außerhalb des gültigen Bereichs (Unterlauf)",
            "22003",
        );

        assert_eq!(code_of(&message), Some("22003"));
        assert_eq!(code_of("connection closed"), None);
        assert_eq!(code_of("odd (SQLSTATE 1)"), None);
    }
}
