use diesel::result::{DatabaseErrorKind, Error as Diesel};

use crate::sqlstate;

/// Failure of a database operation.
///
/// `Display` gives one sentence without the source of the error; the log prints the whole error
/// chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    #[error("DATABASE_URL is not usable: {0}")]
    Config(String),
    #[error("PostgreSQL cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("PostgreSQL rejected a query")]
    Query(#[source] Diesel),
    /// A deadlock, a lock timeout or a serialization failure. The transaction changed nothing.
    #[error("the transaction conflicted with another one and was rolled back; try again")]
    Busy(#[source] Diesel),
    #[error("the disk of PostgreSQL is full ({0}); free space on it")]
    DiskFull(String),
    #[error(
        "a pooler in transaction mode is in front of PostgreSQL ({0}); \
         set DATABASE_POOLER=transaction"
    )]
    TransactionPooler(String),
    #[error("the migrations could not be applied: {0}")]
    Migration(String),
    #[error("the database lacks migrations ({0}); run `sync-worker migrate` first")]
    NotMigrated(String),
    #[error(
        "the database role lacks a privilege ({0}); \
         run `sync-worker migrate --serving-role ROLE` as the owner of the tables"
    )]
    NotAllowed(String),
    #[error(
        "the role {0:?} does not exist; create it first, as a role that may create roles: \
         CREATE ROLE \"{0}\" LOGIN PASSWORD '…'"
    )]
    NoSuchRole(String),
    #[error("member {0} is no longer in the database")]
    MemberGone(String),
    #[error(
        "this machine's clock is {0} s ahead of the database's clock, so the time of the data \
         cannot be determined; synchronize both clocks, for example with NTP"
    )]
    ClockAhead(i64),
    #[error("row {id} of {table} contains an invalid value: {reason}")]
    Corrupt {
        table: &'static str,
        id: String,
        reason: String,
    },
    #[error("stored data cannot be converted to JSON")]
    NotSerializable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Seal(#[from] crate::seal::SealError),
}

impl From<Diesel> for StorageError {
    fn from(error: Diesel) -> Self {
        match error {
            Diesel::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )
            | Diesel::BrokenTransactionManager => Self::Unavailable(Box::new(error)),
            Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Self::Busy(error),
            Diesel::DatabaseError(DatabaseErrorKind::Unknown, ref information) => {
                let message = information.message();
                match sqlstate::code_of(message) {
                    Some(code) if sqlstate::is_unavailable(code) => {
                        Self::Unavailable(Box::new(error))
                    }
                    Some(sqlstate::DISK_FULL) => Self::DiskFull(message.to_owned()),
                    Some(code) if sqlstate::is_foreign_statement(code) => {
                        Self::TransactionPooler(message.to_owned())
                    }
                    Some(sqlstate::UNDEFINED_TABLE) => Self::NotMigrated(message.to_owned()),
                    Some(sqlstate::INSUFFICIENT_PRIVILEGE) => Self::NotAllowed(message.to_owned()),
                    _ => Self::Query(error),
                }
            }
            other => Self::Query(other),
        }
    }
}

/// A word that every certificate error of the TLS library contains. The library's messages are
/// always in English.
const CERTIFICATE_ERROR_WORD: &str = "certificate";

impl StorageError {
    /// Returns whether the failure concerns the whole database rather than the rows of one member.
    /// Requests for other members would then fail in the same way.
    pub const fn is_database_wide(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::DiskFull(_)
                | Self::NotMigrated(_)
                | Self::NotAllowed(_)
                | Self::TransactionPooler(_)
        )
    }

    /// Returns whether a query or a migration failed because the database role lacks a privilege.
    pub fn lacks_privilege(&self) -> bool {
        match self {
            Self::Migration(reason) => reason
                .lines()
                .any(|line| sqlstate::code_of(line) == Some(sqlstate::INSUFFICIENT_PRIVILEGE)),
            Self::NotAllowed(_) => true,
            _ => false,
        }
    }

    /// Returns whether the connection was refused for a reason that a retry cannot remove.
    ///
    /// The role, the password or the database name is wrong, or a TLS certificate was not accepted.
    pub fn is_auth_error(&self) -> bool {
        let Self::Unavailable(source) = self else {
            return false;
        };
        let mut cause: Option<&dyn std::error::Error> = Some(source.as_ref());
        while let Some(error) = cause {
            let message = error.to_string();
            let is_refused = sqlstate::code_of(&message).is_some_and(sqlstate::is_refused_login);
            if is_refused || message.contains(CERTIFICATE_ERROR_WORD) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Returns whether the same request may succeed if it is repeated shortly afterwards.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str, code: &str) -> StorageError {
        let message = sqlstate::with_code(message, code);
        Diesel::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message)).into()
    }

    #[test]
    fn an_unavailable_server_is_distinguished_from_a_rejected_query() {
        for (message, code) in [
            (
                "Verbindung wird abgebrochen aufgrund von Anweisung des Administrators",
                "57P01",
            ),
            ("das Datenbanksystem fährt herunter", "57P03"),
            (
                "storniere Anfrage wegen Zeitüberschreitung der Anfrage",
                "57014",
            ),
        ] {
            assert!(error(message, code).is_transient(), "{message}");
        }
        for (message, code) in [
            ("valeur hors limites", "22003"),
            ("syntax error at or near \"SELEC\"", "42601"),
        ] {
            let error = error(message, code);
            assert!(matches!(error, StorageError::Query(_)), "{message}");
        }
    }

    #[test]
    fn a_full_disk_is_reported_with_the_remedy() {
        let error = error("konnte Datei »base/1/2« nicht erweitern", "53100");

        assert!(matches!(error, StorageError::DiskFull(_)), "{error}");
        assert!(error.to_string().contains("free space"), "{error}");
    }

    #[test]
    fn a_prepared_statement_of_another_connection_is_reported_as_a_pooler() {
        for code in ["26000", "42P05"] {
            let error = error("vorbereitete Anweisung »s7«", code);

            assert!(
                error.to_string().contains("DATABASE_POOLER=transaction"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_missing_privilege_is_reported_with_the_remedy() {
        let error = error("keine Berechtigung für Tabelle whoop_users", "42501");

        assert!(error.to_string().contains("--serving-role"), "{error}");
    }

    #[test]
    fn a_missing_table_is_reported_as_missing_migrations() {
        let error = error("Relation »whoop_users« existiert nicht", "42P01");

        assert!(error.to_string().contains("sync-worker migrate"));
    }

    #[test]
    fn a_refused_login_is_an_auth_error_and_a_starting_server_is_not() {
        let unavailable = |message: String| StorageError::Unavailable(message.into());
        let refused = sqlstate::with_code("Passwort-Authentifizierung fehlgeschlagen", "28P01");
        let starting = sqlstate::with_code("das Datenbanksystem startet", "57P03");

        assert!(unavailable(refused).is_auth_error());
        assert!(!unavailable(starting).is_auth_error());
    }
}
