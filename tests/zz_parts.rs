//! Not a test: the last lines of `cargo test`, which say what was left out on this machine and how
//! to have it. With `PAGECAST_TEST_REQUIRE` (as in CI) a part that is missing is a failure.

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let parts = [
        (
            "postgres",
            has_postgres(),
            "install PostgreSQL, or set TEST_DATABASE_URL",
        ),
        (
            "chromium",
            has_browser(),
            "install chromium and chromedriver",
        ),
    ];
    let required = std::env::var("PAGECAST_TEST_REQUIRE").unwrap_or_default();
    let mut missing = false;
    for (part, there, cure) in parts {
        if there {
            println!("with {part}");
            continue;
        }
        println!("SKIPPED: everything that needs {part} ({cure})");
        missing |= required.split(',').any(|name| name.trim() == part);
    }
    if missing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn has_postgres() -> bool {
    let named = std::env::var("TEST_DATABASE_URL").is_ok_and(|url| url.starts_with("postgres"));
    named || Path::new("/usr/lib/postgresql").exists() || runs("initdb")
}

fn has_browser() -> bool {
    runs("chromedriver") && (runs("chromium") || runs("google-chrome"))
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}
