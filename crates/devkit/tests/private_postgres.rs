//! The server that a process starts for itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio_postgres::NoTls;
use whoop_devkit::{Environment, PostgresStartError, PrivatePostgres};

async fn ask(postgres: &PrivatePostgres, question: &str) -> String {
    let (client, connection) = tokio_postgres::connect(&postgres.url("postgres"), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.query_one(question, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_private_server_starts_and_answers_and_leaves_nothing() {
    let postgres = PrivatePostgres::start().unwrap();
    let folder = postgres.folder().to_path_buf();

    assert_eq!(ask(&postgres, "SELECT current_user::text").await, "whoop");
    assert_eq!(ask(&postgres, "SHOW timezone").await, "UTC");
    assert_eq!(ask(&postgres, "SHOW fsync").await, "off");
    let mode = folder.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else may look inside");

    let port = postgres.port();
    postgres.stop();
    assert!(!folder.exists());
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("nothing listens there any more");
}

#[tokio::test]
async fn two_servers_at_once_never_see_each_other() {
    let one = PrivatePostgres::start().unwrap();
    let other = PrivatePostgres::start().unwrap();

    assert_ne!(one.port(), other.port());
    ask(&one, "SELECT set_config('search_path', 'x', false)").await;
    let folder = "SELECT current_setting('data_directory')";
    assert!(
        ask(&one, folder)
            .await
            .starts_with(one.folder().to_str().unwrap())
    );
    assert!(
        ask(&other, folder)
            .await
            .starts_with(other.folder().to_str().unwrap())
    );

    let others_folder = other.folder().to_path_buf();
    one.stop();
    assert!(others_folder.is_dir());
    assert_eq!(ask(&other, "SELECT 'still here'").await, "still here");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let postgres = PrivatePostgres::start().unwrap();
    let url = format!(
        "postgres://whoop:guess@127.0.0.1:{}/postgres",
        postgres.port()
    );

    let refusal = tokio_postgres::connect(&url, NoTls).await.err().unwrap();

    assert_eq!(refusal.code().unwrap().code(), "28P01");
}

#[tokio::test]
async fn a_port_that_somebody_else_has_is_not_taken_for_ours() {
    let foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = foreign.local_addr().unwrap().port();

    let postgres = PrivatePostgres::start_in(&Environment::from_process(), Some(taken)).unwrap();

    assert_ne!(postgres.port(), taken);
    assert_eq!(ask(&postgres, "SELECT current_user::text").await, "whoop");
}

#[tokio::test]
async fn a_port_that_another_server_of_ours_has_is_not_taken_for_ours() {
    let first = PrivatePostgres::start().unwrap();

    let second =
        PrivatePostgres::start_in(&Environment::from_process(), Some(first.port())).unwrap();

    assert_ne!(second.port(), first.port());
    let folder = ask(&second, "SELECT current_setting('data_directory')").await;
    assert!(folder.starts_with(second.folder().to_str().unwrap()));
}

#[test]
fn a_free_port_that_is_wished_for_is_had() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);

    let postgres = PrivatePostgres::start_in(&Environment::from_process(), Some(port)).unwrap();

    assert_eq!(postgres.port(), port);
}

#[tokio::test]
async fn a_damaged_cluster_template_is_made_anew() {
    let cache = tempfile::tempdir().unwrap();
    // If the tests run as root, the server's account needs access to the files.
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

    assert_eq!(ask(&postgres, "SELECT current_user::text").await, "whoop");
    assert!(control.is_file());
}

fn template_of(cache: PathBuf) -> PathBuf {
    let mut templates = std::fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let template = templates.next().unwrap();
    assert!(templates.next().is_none(), "half-made ones are removed");
    template
}

/// Returns a machine with neither PostgreSQL nor npm.
fn bare_machine() -> Environment {
    Environment {
        temp_dir: std::env::temp_dir(),
        ..Environment::default()
    }
}

#[test]
fn a_machine_without_postgresql_and_npm_is_told_how_to_install_it() {
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
fn a_wrong_pg_bin_dir_is_an_error_and_not_a_reason_to_look_elsewhere() {
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
