use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error};
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use crate::sqlstate;

/// Converts an error of the connection or of PostgreSQL into Diesel's error type.
pub(super) fn to_diesel_error(error: tokio_postgres::Error) -> Error {
    let Some(db_error) = error.as_db_error() else {
        return Error::DatabaseError(
            DatabaseErrorKind::UnableToSendCommand,
            Box::new(error.to_string()),
        );
    };
    let kind = kind_of(db_error.code());
    let db_error = PgErrorInformation {
        message: sqlstate::with_code(db_error.message(), db_error.code().code()),
        error: Box::new(db_error.clone()),
    };
    Error::DatabaseError(kind, Box::new(db_error))
}

fn kind_of(code: &SqlState) -> DatabaseErrorKind {
    // Poolers use these codes to report that they have no server connection or lost it.
    if code.code().starts_with("08") {
        return DatabaseErrorKind::ClosedConnection;
    }
    match *code {
        SqlState::UNIQUE_VIOLATION => DatabaseErrorKind::UniqueViolation,
        SqlState::FOREIGN_KEY_VIOLATION => DatabaseErrorKind::ForeignKeyViolation,
        SqlState::NOT_NULL_VIOLATION => DatabaseErrorKind::NotNullViolation,
        SqlState::CHECK_VIOLATION => DatabaseErrorKind::CheckViolation,
        // Diesel has only this kind for transactions that conflicted with another one and can be
        // repeated.
        _ if sqlstate::is_lock_conflict(code.code()) => DatabaseErrorKind::SerializationFailure,
        SqlState::READ_ONLY_SQL_TRANSACTION => DatabaseErrorKind::ReadOnlyTransaction,
        _ => DatabaseErrorKind::Unknown,
    }
}

struct PgErrorInformation {
    message: String,
    error: Box<DbError>,
}

impl DatabaseErrorInformation for PgErrorInformation {
    fn message(&self) -> &str {
        &self.message
    }

    fn details(&self) -> Option<&str> {
        self.error.detail()
    }

    fn hint(&self) -> Option<&str> {
        self.error.hint()
    }

    fn table_name(&self) -> Option<&str> {
        self.error.table()
    }

    fn column_name(&self) -> Option<&str> {
        self.error.column()
    }

    fn constraint_name(&self) -> Option<&str> {
        self.error.constraint()
    }

    fn statement_position(&self) -> Option<i32> {
        match self.error.position()? {
            ErrorPosition::Original(position) | ErrorPosition::Internal { position, .. } => {
                i32::try_from(*position).ok()
            }
        }
    }
}
