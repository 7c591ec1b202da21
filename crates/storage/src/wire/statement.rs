use bytes::BytesMut;
use diesel::{
    QueryResult,
    pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata},
    query_builder::{QueryBuilder, QueryFragment, bind_collector::RawBytesBindCollector},
    result::Error,
};
use tokio_postgres::types::{IsNull, Kind, ToSql, Type};

/// A Diesel statement with its values, ready to be sent.
pub(super) struct BoundStatement {
    pub(super) sql: String,
    pub(super) types: Vec<Type>,
    pub(super) values: Vec<BoundValue>,
    /// Whether the prepared statement should be cached, because the number of different texts is
    /// limited.
    pub(super) is_cacheable: bool,
}

impl BoundStatement {
    pub(super) fn from_query(query: &impl QueryFragment<Pg>) -> QueryResult<Self> {
        let mut text = PgQueryBuilder::default();
        query.to_sql(&mut text, &Pg)?;
        let mut collector = RawBytesBindCollector::<Pg>::new();
        query.collect_binds(&mut collector, &mut BuiltInTypes, &Pg)?;
        Ok(Self {
            sql: text.finish(),
            types: collector
                .metadata
                .iter()
                .map(type_of)
                .collect::<Result<_, _>>()?,
            values: collector.binds.into_iter().map(BoundValue).collect(),
            is_cacheable: query.is_safe_to_cache_prepared(&Pg)?,
        })
    }
}

fn type_of(metadata: &PgTypeMetadata) -> QueryResult<Type> {
    let oid = metadata
        .oid()
        .map_err(|error| Error::SerializationError(error.into()))?;
    Ok(Type::from_oid(oid)
        .unwrap_or_else(|| Type::new(String::new(), oid, Kind::Simple, String::new())))
}

/// Type lookup for Diesel that needs no query. The schema defines no types, so only built-in types
/// occur.
struct BuiltInTypes;

impl PgMetadataLookup for BuiltInTypes {
    fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
        // The identifier 0 makes PostgreSQL infer the type of the value.
        PgTypeMetadata::new(0, 0)
    }
}

/// A value that Diesel has already encoded in PostgreSQL's binary format.
#[derive(Debug)]
pub(super) struct BoundValue(Option<Vec<u8>>);

impl ToSql for BoundValue {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, value_type: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        self.to_sql(value_type, out)
    }
}

type BoxedError = Box<dyn std::error::Error + Sync + Send>;
