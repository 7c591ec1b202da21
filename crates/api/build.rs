//! Fetches the Health page's chart library from npm, in the versions of a lock file.
//!
//! A build also works without npm or its registry: the page then shows tables instead of charts,
//! and Cargo prints a warning.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Files that are used from the packages, with their names here.
const FILES: [(&str, &str); 3] = [
    ("uplot/dist/uPlot.iife.min.js", "uPlot.iife.min.js"),
    ("uplot/dist/uPlot.min.css", "uPlot.min.css"),
    ("uplot/LICENSE", "uPlot.LICENSE"),
];

fn main() -> io::Result<()> {
    let package = PathBuf::from("npm");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=npm");
    // Cargo does not detect changes to the embedded files by itself, because the compiler does not
    // report them.
    println!("cargo::rerun-if-changed=page");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let vendor = out.join("vendor");
    fs::create_dir_all(&vendor)?;
    if let Err(reason) = fetch(&package, &out.join("npm"), &vendor) {
        for (_, name) in FILES {
            fs::write(vendor.join(name), "")?;
        }
        // The next build tries again, because this path does not exist.
        println!(
            "cargo::rerun-if-changed={}",
            out.join("npm/node_modules").display()
        );
        println!("cargo::warning=the Health page is built without its charts: {reason}");
    }
    Ok(())
}

fn fetch(package: &Path, work: &Path, vendor: &Path) -> Result<(), String> {
    let is_there = fs::metadata(vendor.join(FILES[0].1)).is_ok_and(|file| file.len() > 0);
    if is_there && is_same(package, work) {
        return Ok(());
    }
    let told = |error: io::Error| error.to_string();
    fs::create_dir_all(work).map_err(told)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(package.join(name), work.join(name)).map_err(told)?;
    }
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        // Without a network the build should fail quickly.
        .args([
            "--fetch-retries=1",
            "--fetch-retry-mintimeout=1000",
            "--fetch-timeout=20000",
        ])
        .current_dir(work)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("npm cannot be started ({error})"))?;
    if !npm.status.success() {
        // The next build tries again, because this file does not exist.
        println!(
            "cargo::rerun-if-changed={}",
            vendor.join(FILES[0].1).display()
        );
        let said = String::from_utf8_lossy(&npm.stderr);
        let line = said.lines().find(|line| !line.trim().is_empty());
        return Err(line.unwrap_or("npm ci failed").to_owned());
    }
    for (from, name) in FILES {
        fs::copy(work.join("node_modules").join(from), vendor.join(name)).map_err(told)?;
    }
    Ok(())
}

/// Whether the packages that were fetched earlier are those of the lock file.
fn is_same(package: &Path, work: &Path) -> bool {
    let read = |folder: &Path| fs::read(folder.join("package-lock.json")).ok();
    read(package).is_some() && read(package) == read(work)
}
