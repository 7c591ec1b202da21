use std::{error::Error, num::NonZeroU32, ops::Range, sync::Arc};

use diesel::{
    pg::{Pg, PgValue},
    row::{Field, PartialRow, Row, RowIndex, RowSealed},
};
use tokio_postgres::types::{FromSql, Type};

/// Builds the rows of one query result. All rows of a result have the same columns.
#[derive(Default)]
pub(super) struct RowBuilder {
    types: Option<Arc<[NonZeroU32]>>,
}

impl RowBuilder {
    pub(super) fn build(&mut self, row: tokio_postgres::Row) -> PgRow {
        let types = self.types.get_or_insert_with(|| {
            let oids = row.columns().iter().map(|column| column.type_().oid());
            // PostgreSQL gives every column a type, so the type's identifier is never zero.
            oids.map(|oid| NonZeroU32::new(oid).unwrap_or(NonZeroU32::MIN))
                .collect()
        });
        PgRow {
            types: Arc::clone(types),
            row,
        }
    }
}

/// A row that Diesel can read.
pub struct PgRow {
    row: tokio_postgres::Row,
    types: Arc<[NonZeroU32]>,
}

/// One value of a row.
pub struct PgField<'a> {
    row: &'a PgRow,
    index: usize,
}

impl RowSealed for PgRow {}

impl<'a> Row<'a, Pg> for PgRow {
    type Field<'f>
        = PgField<'f>
    where
        'a: 'f,
        Self: 'f;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        self.row.len()
    }

    fn get<'b, I>(&'b self, index: I) -> Option<Self::Field<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        let index = self.idx(index)?;
        Some(PgField { row: self, index })
    }

    fn partial_row(&self, range: Range<usize>) -> PartialRow<'_, Self::InnerPartialRow> {
        PartialRow::new(self, range)
    }
}

impl RowIndex<usize> for PgRow {
    fn idx(&self, index: usize) -> Option<usize> {
        (index < self.row.len()).then_some(index)
    }
}

impl<'a> RowIndex<&'a str> for PgRow {
    fn idx(&self, name: &'a str) -> Option<usize> {
        self.row
            .columns()
            .iter()
            .position(|column| column.name() == name)
    }
}

impl<'a> Field<'a, Pg> for PgField<'a> {
    fn field_name(&self) -> Option<&str> {
        Some(self.row.row.columns().get(self.index)?.name())
    }

    fn value(&self) -> Option<PgValue<'_>> {
        let RawBytes(bytes) = self.row.row.get(self.index);
        Some(PgValue::new(bytes?, self.row.types.get(self.index)?))
    }
}

/// The raw bytes of a value, which Diesel decodes.
struct RawBytes<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for RawBytes<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
