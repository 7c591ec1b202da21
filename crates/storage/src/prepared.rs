//! SQL statements that are given as text and prepared once per connection.
//!
//! Diesel does not cache statements of `sql_query`, so PostgreSQL parses and plans them on each
//! execution. The texts of the statements here are always the same, and only the bound values
//! differ. Therefore they can be cached.

use std::{borrow::Cow, marker::PhantomData};

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{HasSqlType, Untyped},
};

/// A statement with the parameters `$1`, `$2` …, to which values are bound in this order.
///
/// The columns of the result are read by name, or by position if their types are given as `ST`.
pub(crate) struct PreparedQuery<'a, ST = Untyped> {
    sql: Cow<'static, str>,
    binds: Vec<Box<dyn BindValue + 'a>>,
    columns: PhantomData<fn() -> ST>,
}

pub(crate) fn prepared<'a>(sql: impl Into<Cow<'static, str>>) -> PreparedQuery<'a> {
    PreparedQuery {
        sql: sql.into(),
        binds: Vec::new(),
        columns: PhantomData,
    }
}

trait BindValue: Send + Sync {
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct TypedBindValue<ST, T>(T, PhantomData<fn() -> ST>);

impl<ST, T> BindValue for TypedBindValue<ST, T>
where
    Pg: HasSqlType<ST>,
    T: ToSql<ST, Pg> + Send + Sync,
{
    fn push<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<ST, T>(&self.0)
    }
}

impl<'a> PreparedQuery<'a> {
    /// Reads the columns of the result by position, with the types `ST`. This is faster than
    /// reading them by name.
    pub(crate) fn with_column_types<ST>(self) -> PreparedQuery<'a, ST> {
        PreparedQuery {
            sql: self.sql,
            binds: self.binds,
            columns: PhantomData,
        }
    }
}

impl<'a, Columns> PreparedQuery<'a, Columns> {
    pub(crate) fn bind<ST, T>(mut self, value: T) -> Self
    where
        ST: 'a,
        Pg: HasSqlType<ST>,
        T: ToSql<ST, Pg> + Send + Sync + 'a,
    {
        self.binds
            .push(Box::new(TypedBindValue(value, PhantomData)));
        self
    }
}

impl<ST> QueryFragment<Pg> for PreparedQuery<'_, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Diesel numbers the parameters in the order in which they are pushed. The numbers in the
        // text are replaced by Diesel's numbers.
        let mut numbers: Vec<usize> = Vec::with_capacity(self.binds.len());
        let mut parts = self.sql.split('$');
        out.push_sql(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = part.split_at(digits);
            let bound = number
                .parse()
                .ok()
                .and_then(|number: usize| Some((number, self.binds.get(number.checked_sub(1)?)?)));
            let Some((number, value)) = bound else {
                let message =
                    format!("the statement contains ${number}, to which no value is bound");
                return Err(diesel::result::Error::QueryBuilderError(message.into()));
            };
            match numbers.iter().position(|seen| *seen == number) {
                Some(index) => out.push_sql(&format!("${}", index + 1)),
                None => {
                    numbers.push(number);
                    value.push(&mut out)?;
                }
            }
            out.push_sql(rest);
        }
        Ok(())
    }
}

impl<ST> Query for PreparedQuery<'_, ST> {
    type SqlType = ST;
}

impl<ST> QueryId for PreparedQuery<'_, ST> {
    type QueryId = ();

    /// The statement cache uses the text of a statement as its key, and not the type of the query.
    const HAS_STATIC_QUERY_ID: bool = false;
}

#[cfg(test)]
mod tests {
    use diesel::{
        debug_query,
        sql_types::{BigInt, Text},
    };

    use super::*;

    #[test]
    fn each_value_is_bound_once_in_the_order_of_the_text() {
        let statement = prepared("SELECT $2, $1 FROM t WHERE a = $2 AND b = $3")
            .bind::<BigInt, _>(1_i64)
            .bind::<Text, _>("two")
            .bind::<BigInt, _>(3_i64);
        let text = debug_query::<Pg, _>(&statement).to_string();

        assert_eq!(
            text,
            "SELECT $1, $2 FROM t WHERE a = $1 AND b = $3 -- binds: [\"two\", 1, 3]"
        );
    }
}
