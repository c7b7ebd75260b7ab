//! Who may import whom: the arrows of the map in `src/lib.rs`, as an ordinary test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what it may import, foundations first: an arrow only leads upwards in this
/// list, so no circle can arise. `store::ids` is an id, not an entity: everybody may name it.
const MODULES: &[(&str, &str)] = &[
    ("chance", ""),
    ("clock", ""),
    ("config", ""),
    ("http_client", ""),
    ("store", "chance clock"),
    ("queue", "store"),
    ("telemetry", "config"),
    ("klaviyo", "clock http_client"),
    ("meta", "clock http_client"),
    ("shopify", "clock http_client"),
    (
        "app",
        "chance clock config http_client store queue klaviyo meta shopify",
    ),
    ("workspaces", "app clock store shopify klaviyo meta"),
    ("profiles", "app clock store telemetry klaviyo workspaces"),
    ("tallies", "app clock store"),
    (
        "subscribers",
        "app clock store telemetry workspaces profiles tallies",
    ),
    ("links", "app clock store telemetry queue profiles tallies"),
    (
        "delivery",
        "app clock store telemetry queue meta workspaces profiles subscribers tallies links",
    ),
    (
        "opt_ins",
        "app clock store telemetry queue meta workspaces profiles subscribers links delivery",
    ),
    (
        "campaigns",
        "app clock store telemetry queue meta klaviyo workspaces profiles subscribers tallies links \
         delivery opt_ins",
    ),
    (
        "automations",
        "app clock store telemetry queue workspaces subscribers tallies delivery links",
    ),
    (
        "attribution",
        "app clock store telemetry shopify workspaces profiles subscribers tallies links",
    ),
    ("analytics", "app clock store workspaces shopify tallies"),
    ("sandbox", "clock config"),
    ("webhooks", "*"),
    ("worker", "*"),
    ("web", "*"),
    ("server", "*"),
    ("demo", "*"),
    ("cli", "*"),
];

/// Modules that only the outermost may import.
const SURFACES: &[(&str, &str)] = &[
    ("webhooks", "worker web cli"),
    ("worker", "server demo"),
    ("web", "server demo"),
    ("server", "demo cli"),
    ("sandbox", "demo cli"),
    ("demo", "cli"),
    ("cli", ""),
];

/// Crates that only some modules may name.
const CRATES: &[(&str, &str)] = &[
    ("axum", "web sandbox server demo"),
    ("apalis", "queue worker"),
    ("apalis_cron", "queue worker"),
    ("apalis_sqlite", "queue worker"),
    ("apalis_postgres", "queue worker"),
    ("sqlx::sqlite", "store queue"),
    ("sqlx::postgres", "store queue"),
    ("askama", "web sandbox"),
    ("reqwest", "http_client klaviyo meta shopify sandbox"),
];

#[test]
fn modules_import_only_what_the_map_allows() {
    let mut wrong = BTreeSet::new();
    for (file, module, code) in files() {
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
            wrong.insert(format!("{file}: the module `{module}` is not on the map"));
            continue;
        };
        for (imported, line) in imports(&code) {
            let known = MODULES.iter().any(|(name, _)| *name == imported);
            let outermost = SURFACES
                .iter()
                .any(|(surface, from)| *surface == imported && !names(from, &module));
            let fine = known && (*allowed == "*" || names(allowed, &imported)) && !outermost;
            if imported != module && !fine {
                wrong.insert(format!("{file}:{line}: `{module}` imports `{imported}`"));
            }
        }
        for (name, allowed) in CRATES {
            for (start, _) in code.match_indices(&format!("{name}::")) {
                let whole = !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if whole && !names(allowed, &module) {
                    let line = line_of(&code, start);
                    wrong.insert(format!("{file}:{line}: `{module}` names `{name}`"));
                }
            }
        }
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_map_itself_has_no_circles() {
    for (position, (module, allowed)) in MODULES.iter().enumerate() {
        for imported in allowed.split_whitespace().filter(|name| *name != "*") {
            let earlier = MODULES[..position]
                .iter()
                .any(|(name, _)| *name == imported);
            assert!(
                earlier,
                "`{module}` imports `{imported}`, which stands later"
            );
        }
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|file| (fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(count, _)| *count > 500)
        .map(|(count, file)| format!("{}: {count}", file.display()))
        .collect();
    assert!(long.is_empty(), "split these:\n{}", long.join("\n"));
}

/// `(file, module, code)` of every file under `src/`; comments, texts and tests are blank.
fn files() -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for file in sources() {
        let inside = file.strip_prefix(root()).unwrap();
        let first = inside.components().next().unwrap();
        let module = Path::new(first.as_os_str()).file_stem().unwrap();
        let module = module.to_str().unwrap().to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<String> = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .map(|line| {
                if line.trim_start().starts_with("//") {
                    String::new()
                } else {
                    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
                }
            })
            .collect();
        all.push((inside.display().to_string(), module, code.join("\n")));
    }
    all
}

/// The modules that code names, as `crate::meta::…` or `use crate::{meta, store::ids}`, and where.
fn imports(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let line = line_of(code, start);
        let after = &code[start + "crate::".len()..];
        let Some(list) = after.strip_prefix('{') else {
            found.extend(word(after).map(|name| (name, line)));
            continue;
        };
        let mut depth = 0_i32;
        for part in list.split_inclusive(['{', '}', ',']) {
            if depth == 0 {
                found.extend(word(part.trim_start()).map(|name| (name, line)));
            }
            depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
            if depth < 0 {
                break;
            }
        }
    }
    found.retain(|(name, _)| name.starts_with(|c: char| c.is_ascii_lowercase()));
    found
}

fn line_of(code: &str, start: usize) -> usize {
    code[..start].matches('\n').count() + 1
}

fn word(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

fn names(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|one| one == name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn imports_are_read_however_they_are_written() {
    let read = |code: &str| {
        let names: Vec<String> = imports(code).into_iter().map(|(name, _)| name).collect();
        names.join(" ")
    };
    assert_eq!(read("use crate::meta::Client;"), "meta");
    assert_eq!(
        read("use crate::{\n    clock,\n    store::{ids, page}, meta,\n}; use a::{b, c};"),
        "clock store meta"
    );
    assert_eq!(
        read("let x = crate::links::tag(crate::meta::y());"),
        "links meta"
    );
    assert_eq!(read("pub(crate) fn x() {}"), "");
}
