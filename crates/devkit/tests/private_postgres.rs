//! Tests of the private server that a process starts for itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio_postgres::NoTls;
use whoop_devkit::{Environment, PostgresStartError, PrivatePostgres};

async fn query_text(postgres: &PrivatePostgres, query: &str) -> String {
    let (client, connection) = tokio_postgres::connect(&postgres.url("postgres"), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_private_server_starts_and_removes_its_folder_when_it_stops() {
    let postgres = PrivatePostgres::start().unwrap();
    let folder = postgres.folder().to_path_buf();

    assert_eq!(
        query_text(&postgres, "SELECT current_user::text").await,
        "whoop"
    );
    assert_eq!(query_text(&postgres, "SHOW timezone").await, "UTC");
    assert_eq!(query_text(&postgres, "SHOW fsync").await, "off");
    let mode = folder.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "only the owner can access the folder");

    let port = postgres.port();
    postgres.stop();
    assert!(!folder.exists());
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free again");
}

#[tokio::test]
async fn two_servers_at_the_same_time_are_independent() {
    let one = PrivatePostgres::start().unwrap();
    let other = PrivatePostgres::start().unwrap();

    assert_ne!(one.port(), other.port());
    query_text(&one, "SELECT set_config('search_path', 'x', false)").await;
    let folder = "SELECT current_setting('data_directory')";
    assert!(
        query_text(&one, folder)
            .await
            .starts_with(one.folder().to_str().unwrap())
    );
    assert!(
        query_text(&other, folder)
            .await
            .starts_with(other.folder().to_str().unwrap())
    );

    let others_folder = other.folder().to_path_buf();
    one.stop();
    assert!(others_folder.is_dir());
    assert_eq!(
        query_text(&other, "SELECT 'still here'").await,
        "still here"
    );
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let postgres = PrivatePostgres::start().unwrap();
    let url = format!(
        "postgres://whoop:guess@127.0.0.1:{}/postgres",
        postgres.port()
    );

    let error = tokio_postgres::connect(&url, NoTls).await.err().unwrap();

    assert_eq!(error.code().unwrap().code(), "28P01");
}

#[tokio::test]
async fn a_port_of_another_program_is_replaced_by_a_free_one() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = listener.local_addr().unwrap().port();

    let postgres = PrivatePostgres::start_in(&Environment::from_process(), Some(taken)).unwrap();

    assert_ne!(postgres.port(), taken);
    assert_eq!(
        query_text(&postgres, "SELECT current_user::text").await,
        "whoop"
    );
}

#[tokio::test]
async fn a_port_of_another_private_server_is_replaced_by_a_free_one() {
    let first = PrivatePostgres::start().unwrap();

    let second =
        PrivatePostgres::start_in(&Environment::from_process(), Some(first.port())).unwrap();

    assert_ne!(second.port(), first.port());
    let folder = query_text(&second, "SELECT current_setting('data_directory')").await;
    assert!(folder.starts_with(second.folder().to_str().unwrap()));
}

#[test]
fn a_requested_port_is_used_if_it_is_free() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);

    let postgres = PrivatePostgres::start_in(&Environment::from_process(), Some(port)).unwrap();

    assert_eq!(postgres.port(), port);
}

#[tokio::test]
async fn a_damaged_cluster_template_is_created_again() {
    let cache = tempfile::tempdir().unwrap();
    // If the tests run as root, another account runs the server, and it needs access to the files.
    std::fs::set_permissions(cache.path(), Permissions::from_mode(0o755)).unwrap();
    let environment = Environment {
        cache_homes: vec![cache.path().to_path_buf()],
        ..Environment::from_process()
    };
    PrivatePostgres::start_in(&environment, None)
        .unwrap()
        .stop();
    let control = template_of(cache.path().join("whoop-devkit")).join("data/global/pg_control");
    std::fs::remove_file(&control).unwrap();

    let postgres = PrivatePostgres::start_in(&environment, None).unwrap();

    assert_eq!(
        query_text(&postgres, "SELECT current_user::text").await,
        "whoop"
    );
    assert!(control.is_file());
}

fn template_of(cache: PathBuf) -> PathBuf {
    let mut templates = std::fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let template = templates.next().unwrap();
    assert!(
        templates.next().is_none(),
        "incomplete templates are removed"
    );
    template
}

/// Returns an environment in which neither PostgreSQL nor npm is found.
fn bare_machine() -> Environment {
    Environment {
        temp_dir: std::env::temp_dir(),
        ..Environment::default()
    }
}

#[test]
fn the_error_on_a_machine_without_postgresql_and_npm_describes_the_installation() {
    let error = PrivatePostgres::start_in(&bare_machine(), None)
        .err()
        .unwrap();

    assert!(matches!(error, PostgresStartError::NotInstalled { .. }));
    let message = error.to_string();
    for line in [
        "apt-get install postgresql",
        "dnf install",
        "brew install",
        "DATABASE_URL",
    ] {
        assert!(message.contains(line), "{message}");
    }
}

#[test]
fn a_wrong_pg_bin_dir_is_an_error_and_no_other_folder_is_used() {
    let empty = tempfile::tempdir().unwrap();
    let environment = Environment {
        pg_bin_dir: Some(empty.path().to_path_buf()),
        ..Environment::from_process()
    };

    let error = PrivatePostgres::start_in(&environment, None).err().unwrap();

    let message = error.to_string();
    assert!(message.contains("there is no `initdb` in it"), "{message}");
    assert!(
        message.contains(empty.path().to_str().unwrap()),
        "{message}"
    );
}
