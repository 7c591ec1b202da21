//! Tests of the choice between several PostgreSQL installations on a machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use whoop_devkit::{Environment, PostgresBinaries, PostgresStartError};

/// Creates a folder with fake server programs that only print this version.
fn fake_installation(machine: &Path, name: &str, version: &str) -> PathBuf {
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
fn the_newest_version_of_all_folders_is_used() {
    let machine = machine();
    let environment = Environment {
        path: vec![
            machine.path().join("nothing"),
            fake_installation(machine.path(), "path", "14.9"),
        ],
        install_folders: vec![
            fake_installation(machine.path(), "debian-9", "9.6.24"),
            fake_installation(machine.path(), "debian-17", "17.2 (Debian 17.2-1)"),
            fake_installation(machine.path(), "debian-15", "15.18"),
        ],
        ..Environment::default()
    };

    let found = PostgresBinaries::locate(&environment).unwrap();

    assert_eq!(found.folder, machine.path().join("debian-17"));
    assert_eq!(found.version.to_string(), "17.2");
}

#[test]
fn the_folder_in_pg_bin_dir_is_used_even_if_others_are_newer() {
    let machine = machine();
    let environment = Environment {
        pg_bin_dir: Some(fake_installation(machine.path(), "named", "14.9")),
        path: vec![fake_installation(machine.path(), "path", "18.4")],
        ..Environment::default()
    };

    let found = PostgresBinaries::locate(&environment).unwrap();

    assert_eq!(found.folder, machine.path().join("named"));
}

#[test]
fn a_version_that_is_too_old_is_an_error_with_the_version() {
    let machine = machine();
    let environment = Environment {
        pg_bin_dir: Some(fake_installation(machine.path(), "old", "12.22")),
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
fn programs_that_cannot_run_are_skipped() {
    let machine = machine();
    let broken = fake_installation(machine.path(), "broken", "18.4");
    fs::write(broken.join("postgres"), "#!/bin/sh\nexit 126\n").unwrap();
    let environment = Environment {
        path: vec![broken, fake_installation(machine.path(), "works", "15.18")],
        ..Environment::default()
    };

    let found = PostgresBinaries::locate(&environment).unwrap();

    assert_eq!(found.folder, machine.path().join("works"));
}
