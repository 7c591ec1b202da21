//! The choice between the servers on a machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use whoop_devkit::{Environment, PostgresBinaries, PostgresStartError};

/// Creates a folder with programs that only print a version.
fn pretend(machine: &Path, name: &str, version: &str) -> PathBuf {
    let folder = machine.join(name);
    fs::create_dir(&folder).unwrap();
    open(&folder);
    for program in ["initdb", "postgres"] {
        let path = folder.join(program);
        fs::write(
            &path,
            format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n"),
        )
        .unwrap();
        open(&path);
    }
    folder
}

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn machine() -> tempfile::TempDir {
    let machine = tempfile::tempdir().unwrap();
    open(machine.path());
    machine
}

#[test]
fn the_newest_version_is_used_wherever_it_lies() {
    let machine = machine();
    let environment = Environment {
        path: vec![
            machine.path().join("nothing"),
            pretend(machine.path(), "path", "14.9"),
        ],
        install_folders: vec![
            pretend(machine.path(), "debian-9", "9.6.24"),
            pretend(machine.path(), "debian-17", "17.2 (Debian 17.2-1)"),
            pretend(machine.path(), "debian-15", "15.18"),
        ],
        ..Environment::default()
    };

    let found = PostgresBinaries::locate(&environment).unwrap();

    assert_eq!(found.folder, machine.path().join("debian-17"));
    assert_eq!(found.version.to_string(), "17.2");
}

#[test]
fn a_named_folder_wins_over_newer_ones() {
    let machine = machine();
    let environment = Environment {
        pg_bin_dir: Some(pretend(machine.path(), "named", "14.9")),
        path: vec![pretend(machine.path(), "path", "18.4")],
        ..Environment::default()
    };

    let found = PostgresBinaries::locate(&environment).unwrap();

    assert_eq!(found.folder, machine.path().join("named"));
}

#[test]
fn a_version_that_is_too_old_is_named_as_such() {
    let machine = machine();
    let environment = Environment {
        pg_bin_dir: Some(pretend(machine.path(), "old", "12.22")),
        ..Environment::default()
    };

    let error = PostgresBinaries::locate(&environment).unwrap_err();

    assert!(matches!(error, PostgresStartError::BinDir { .. }));
    assert!(
        error
            .to_string()
            .contains("PostgreSQL 12.22, which is too old"),
        "{error}"
    );
}

#[test]
fn programs_that_do_not_run_are_passed_over() {
    let machine = machine();
    let broken = pretend(machine.path(), "broken", "18.4");
    fs::write(broken.join("postgres"), "#!/bin/sh\nexit 126\n").unwrap();
    let environment = Environment {
        path: vec![broken, pretend(machine.path(), "works", "15.18")],
        ..Environment::default()
    };

    let found = PostgresBinaries::locate(&environment).unwrap();

    assert_eq!(found.folder, machine.path().join("works"));
}
