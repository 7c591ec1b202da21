use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// What PostgreSQL did.
///
/// `Display` says it in a sentence without the source; the log walks the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    #[error("DATABASE_URL is not usable: {0}")]
    Config(String),
    #[error("PostgreSQL cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("PostgreSQL refused a query")]
    Query(#[source] Diesel),
    /// A deadlock, a lock timeout or a serialization failure. Nothing was changed.
    #[error("another transaction held the rows or tables for too long; try again")]
    Busy(#[source] Diesel),
    #[error("PostgreSQL has no room left ({0}); make some on its disk")]
    Full(String),
    #[error(
        "a pooler in transaction mode stands in front of PostgreSQL ({0}); \
         set DATABASE_POOLER=transaction"
    )]
    Pooled(String),
    #[error("the migrations could not be applied: {0}")]
    Migration(String),
    #[error("the database lacks migrations ({0}); run `sync-worker migrate` first")]
    NotMigrated(String),
    #[error(
        "PostgreSQL does not let this role work ({0}); \
         run `sync-worker migrate --serving-role ROLE` as the owner of the tables"
    )]
    NotAllowed(String),
    #[error(
        "there is no role {0:?}; make it first, as a role that may create roles: \
         CREATE ROLE \"{0}\" LOGIN PASSWORD '…'"
    )]
    NoSuchRole(String),
    #[error("member {0} is not in the database any more")]
    MemberGone(String),
    #[error("row {id} of {table} cannot be read back: {reason}")]
    Corrupt {
        table: &'static str,
        id: String,
        reason: String,
    },
    #[error("what is stored cannot be written out")]
    Unwritable(#[source] Box<dyn std::error::Error + Send + Sync>),
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
            // Diesel hides the SQLSTATE, so the words decide. Other words leave
            // a query that was refused, which is reported in full.
            Diesel::DatabaseError(DatabaseErrorKind::Unknown, ref information) => {
                let message = information.message();
                if GOING.iter().any(|words| message.contains(words)) {
                    Self::Unavailable(Box::new(error))
                } else if message.contains(FULL) {
                    Self::Full(message.to_owned())
                } else if message.starts_with("prepared statement ") {
                    // Another connection has it, or has left one of its own here.
                    Self::Pooled(message.to_owned())
                } else if message.starts_with("relation ") && message.ends_with("does not exist") {
                    Self::NotMigrated(message.to_owned())
                } else if message.starts_with("permission denied") {
                    Self::NotAllowed(message.to_owned())
                } else {
                    Self::Query(error)
                }
            }
            other => Self::Query(other),
        }
    }
}

/// What PostgreSQL says while it stops, starts, ends a connection, or gives up.
const GOING: [&str; 6] = [
    "terminating connection",
    "canceling statement due to statement timeout",
    // A replica that had to go on.
    "canceling statement due to conflict with recovery",
    "the database system is",
    "the database system was",
    "server closed the connection",
];

/// What it says to whoever it does not let in, for the role, the database or the way in.
const CLOSED_DOOR: [&str; 4] = [
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "certificate",
];

/// What the system says to PostgreSQL, whichever file it was about.
const FULL: &str = "No space left on device";

impl StorageError {
    /// Whether it is the database's state, and not one member's row: the next member would
    /// meet it as well.
    pub const fn is_everybodys(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Full(_)
                | Self::NotMigrated(_)
                | Self::NotAllowed(_)
                | Self::Pooled(_)
        )
    }

    /// Whether PostgreSQL is there, and does not let in who asks, or has no such database:
    /// no waiting changes that.
    pub fn is_closed_door(&self) -> bool {
        let Self::Unavailable(source) = self else {
            return false;
        };
        let mut cause: Option<&dyn std::error::Error> = Some(source.as_ref());
        while let Some(error) = cause {
            let said = error.to_string();
            if CLOSED_DOOR.iter().any(|words| said.contains(words)) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Whether the same request may well succeed in a moment.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Busy(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> StorageError {
        Diesel::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned())).into()
    }

    #[test]
    fn a_server_that_goes_is_told_from_a_query_that_is_refused() {
        for going in [
            "terminating connection due to administrator command",
            "the database system is shutting down",
            "the database system is starting up",
        ] {
            assert!(said(going).is_transient(), "{going}");
        }
        for refused in [
            "value out of range: underflow",
            "syntax error at or near \"SELEC\"",
        ] {
            assert!(matches!(said(refused), StorageError::Query(_)), "{refused}");
        }
    }

    #[test]
    fn a_disk_that_is_full_is_told_with_what_to_do() {
        let error = said("could not extend file \"base/1/2\": No space left on device");

        assert!(matches!(error, StorageError::Full(_)), "{error}");
        assert!(error.to_string().contains("make some"), "{error}");
    }

    #[test]
    fn a_statement_that_another_connection_has_tells_of_the_pooler() {
        for lost in ["\"s7\" does not exist", "\"s7\" already exists"] {
            let error = said(&format!("prepared statement {lost}"));

            assert!(
                error.to_string().contains("DATABASE_POOLER=transaction"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_role_that_may_not_is_told_how_it_may() {
        let error = said("permission denied for table whoop_users");

        assert!(error.to_string().contains("--serving-role"), "{error}");
    }

    #[test]
    fn a_table_that_is_not_there_asks_for_the_migrations() {
        let error = said("relation \"whoop_users\" does not exist");

        assert!(error.to_string().contains("sync-worker migrate"));
    }
}
