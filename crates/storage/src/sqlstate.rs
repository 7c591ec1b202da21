//! PostgreSQL's error codes (SQLSTATE). The language of PostgreSQL's messages depends on the
//! server; the codes do not.
//!
//! Diesel's error types have no field for the code, so the code is appended to every message.
//! Operators can then look up the code in PostgreSQL's documentation.

/// Appends the code to a message, such as `value out of range (SQLSTATE 22003)`.
pub(crate) fn with_code(message: &str, code: &str) -> String {
    format!("{message} (SQLSTATE {code})")
}

/// Returns the code at the end of a message; `None` if the message has none, because the error is
/// not from PostgreSQL.
pub(crate) fn code_of(message: &str) -> Option<&str> {
    let (_, code) = message.rsplit_once("(SQLSTATE ")?;
    let code = code.strip_suffix(')')?;
    (code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(code)
}

/// Returns whether the code means that the server cannot execute statements now.
///
/// The server is starting or stopping, has too many connections, closed the connection, or
/// cancelled the statement.
pub(crate) fn is_unavailable(code: &str) -> bool {
    // 57014: statement timeout. 25P03: idle-in-transaction timeout. 53300: too many connections.
    code.starts_with("08") || code.starts_with("57") || matches!(code, "25P03" | "53300")
}

/// Returns whether the code means that another transaction interfered: a serialization failure, a
/// deadlock or a lock timeout.
pub(crate) fn is_lock_conflict(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03")
}

/// Returns whether the code means that PostgreSQL can never store the value, however often the
/// caller tries.
pub(crate) fn is_value_error(code: &str) -> bool {
    // 22: data exception. 23502: not null. 23514: check.
    code.starts_with("22") || matches!(code, "23502" | "23514")
}

/// Returns whether the code means that a prepared statement belongs to another connection. In this
/// case, a pooler in transaction mode is in use.
pub(crate) fn is_foreign_statement(code: &str) -> bool {
    matches!(code, "26000" | "42P05")
}

/// Returns whether the code means that the role, the password or the database name is wrong, so
/// that a retry cannot succeed.
pub(crate) fn is_refused_login(code: &str) -> bool {
    code.starts_with("28") || code == "3D000"
}

/// Code for a missing table, which means that the migrations were not applied.
pub(crate) const UNDEFINED_TABLE: &str = "42P01";

/// Code for a statement for which the role lacks a privilege.
pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Code for a full disk of the PostgreSQL server.
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
