//! Diesel's table definitions match the tables in the database.

use crate::test_env::TestEnv;

/// Returns the columns in Diesel's definitions: table, column, type.
fn diesel_columns() -> Vec<(String, String, String)> {
    let source = include_str!("../../src/schema.rs");
    let mut table = String::new();
    let mut columns = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some((name, "{")) = line.split_once(' ').map(|(name, rest)| {
            (
                name,
                if rest.starts_with('(') && rest.ends_with('{') {
                    "{"
                } else {
                    ""
                },
            )
        }) {
            table = name.to_owned();
        } else if let Some((column, kind)) = line.split_once(" -> ") {
            columns.push((
                table.clone(),
                column.to_owned(),
                kind.trim_end_matches(',').to_owned(),
            ));
        }
    }
    columns
}

fn diesel_type(data_type: &str, is_nullable: &str) -> String {
    let kind = match data_type {
        "text" => "Text",
        "bigint" => "BigInt",
        "integer" => "Integer",
        "double precision" => "Double",
        "boolean" => "Bool",
        "date" => "Date",
        "timestamp with time zone" => "Timestamptz",
        "jsonb" => "Jsonb",
        "bytea" => "Bytea",
        "uuid" => "Uuid",
        other => panic!("unexpected column type {other}"),
    };
    match is_nullable {
        "YES" => format!("Nullable<{kind}>"),
        _ => kind.to_owned(),
    }
}

#[tokio::test]
async fn every_column_that_diesel_names_exists_with_its_type() {
    let env = TestEnv::new().await;
    let rows = env
        .rows(
            "SELECT table_name, column_name, data_type, is_nullable
             FROM information_schema.columns WHERE table_schema = 'public'",
        )
        .await;
    let database_columns: Vec<(String, String, String)> = rows
        .into_iter()
        .filter_map(|row| match row.as_slice() {
            [Some(table), Some(column), Some(kind), Some(nullable)] => {
                let is_ours = table.starts_with("whoop_");
                is_ours.then(|| (table.clone(), column.clone(), diesel_type(kind, nullable)))
            }
            _ => None,
        })
        .collect();

    let diesel_columns = diesel_columns();

    assert!(
        diesel_columns.len() > 100,
        "the source was read: {}",
        diesel_columns.len()
    );
    for column in diesel_columns {
        assert!(
            database_columns.contains(&column),
            "PostgreSQL has no such column: {column:?}"
        );
    }
}

/// A column that no insert names needs a default value.
#[tokio::test]
async fn every_column_that_diesel_does_not_name_has_a_default() {
    let env = TestEnv::new().await;
    let diesel_columns = diesel_columns();
    let rows = env
        .rows(
            "SELECT table_name, column_name FROM information_schema.columns
             WHERE table_schema = 'public' AND is_nullable = 'NO'
               AND column_default IS NULL AND is_generated = 'NEVER' AND is_identity = 'NO'",
        )
        .await;

    for row in rows {
        let [Some(table), Some(column)] = row.as_slice() else {
            unreachable!("neither name is ever null");
        };
        let is_known = diesel_columns
            .iter()
            .any(|one| one.0 == *table && one.1 == *column);
        let is_written_in_sql = matches!(
            table.as_str(),
            "__diesel_schema_migrations" | "predecessor_set_aside"
        ) || !diesel_columns.iter().any(|one| one.0 == *table);
        assert!(is_known || is_written_in_sql, "{table}.{column}");
    }
}
