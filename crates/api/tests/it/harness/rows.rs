//! All rows of the database. With them, a test asserts that nothing has changed.

use std::collections::BTreeMap;

use whoop_devkit::TestDb;

/// The rows of each table, each row as text, in sorted order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows(BTreeMap<String, Vec<String>>);

impl Rows {
    pub(crate) async fn of(db: &TestDb) -> Self {
        let sql = db.client().await;
        let names = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
        let mut tables = BTreeMap::new();
        for table in sql.query(names, &[]).await.unwrap() {
            let table: String = table.get(0);
            let rows = sql
                .query(&format!("SELECT t::text FROM {table} t ORDER BY 1"), &[])
                .await
                .unwrap();
            tables.insert(table, rows.iter().map(|row| row.get(0)).collect());
        }
        assert!(tables.len() > 5, "the query does not return all tables");
        Self(tables)
    }

    pub(crate) fn count(&self, table: &str) -> usize {
        self.0[table].len()
    }

    /// Returns the text of all rows, like a dump of the database.
    pub(crate) fn text(&self) -> String {
        let rows = self.0.values().flatten();
        rows.map(|row| format!("{row}\n")).collect()
    }

    /// Returns the names of the tables with a row that contains `text`.
    pub(crate) fn tables_with(&self, text: &str) -> Vec<&str> {
        let contains_text = |rows: &[String]| rows.iter().any(|row| row.contains(text));
        let tables = self.0.iter().filter(|(_, rows)| contains_text(rows));
        tables.map(|(table, _)| table.as_str()).collect()
    }

    pub(crate) fn assert_unchanged(&self, now: &Self, after: &str) {
        for (table, rows) in &self.0 {
            // The audit trail is not compared, because a refused request with a service key also
            // adds a row to it.
            if table == "whoop_audit" {
                continue;
            }
            assert_eq!(rows, &now.0[table], "{after} changed {table}");
        }
    }
}
