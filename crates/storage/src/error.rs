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
    #[error("the migrations could not be applied: {0}")]
    Migration(String),
    #[error("the database lacks migrations ({0}); run `sync-worker migrate` first")]
    NotMigrated(String),
    #[error("member {0} is not in the database any more")]
    MemberGone(String),
    #[error("row {id} of {table} cannot be read back: {reason}")]
    Corrupt {
        table: &'static str,
        id: String,
        reason: String,
    },
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
            other => Self::Query(other),
        }
    }
}

impl StorageError {
    /// Whether the same request may well succeed in a moment.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
