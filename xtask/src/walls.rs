//! The walls between crates: who may import whom. `ARCHITECTURE.md` draws them, this table keeps
//! them.

use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata};

use crate::tidy::Finding;

/// What one crate may import.
struct Row {
    /// The package.
    name: &'static str,
    /// Packages of this workspace that it may depend on.
    inside: &'static [&'static str],
    /// Packages from elsewhere; `None` leaves it to [`OWNED`].
    outside: Option<&'static [&'static str]>,
}

const ROWS: &[Row] = &[
    // Words and values: pure, so what they import is listed by name.
    Row {
        name: "potluck-base",
        inside: &[],
        outside: Some(&["data-encoding", "serde", "thiserror", "unicode-normalization"]),
    },
    Row {
        name: "potluck-content",
        inside: &["potluck-base"],
        outside: Some(&[
            "blake3",
            "data-encoding",
            "postcard",
            "serde",
            "thiserror",
            "unicode-normalization",
        ]),
    },
    Row {
        name: "potluck-identity",
        inside: &["potluck-base"],
        outside: Some(&[
            "blake3",
            "data-encoding",
            "ed25519-dalek",
            "postcard",
            "serde",
            "thiserror",
        ]),
    },
    Row {
        name: "potluck-api",
        inside: &["potluck-base"],
        outside: Some(&["serde", "serde_json", "thiserror", "utoipa"]),
    },
    Row {
        name: "potluck-proto",
        inside: &["potluck-base", "potluck-content", "potluck-identity"],
        outside: Some(&["postcard", "serde", "thiserror", "unicode-normalization"]),
    },
    // Hands and drivers.
    Row { name: "potluck-store", inside: &["potluck-base", "potluck-content"], outside: None },
    Row { name: "potluck-link", inside: &["potluck-base", "potluck-identity"], outside: None },
    Row {
        name: "potluck-service",
        inside: &[
            "potluck-base",
            "potluck-content",
            "potluck-identity",
            "potluck-link",
            "potluck-proto",
            "potluck-store",
        ],
        outside: None,
    },
    Row {
        name: "potluck-node",
        inside: &[
            "potluck-api",
            "potluck-base",
            "potluck-content",
            "potluck-identity",
            "potluck-link",
            "potluck-service",
            "potluck-store",
        ],
        outside: None,
    },
    // Doors.
    Row {
        name: "potluck-http",
        inside: &["potluck-api", "potluck-base", "potluck-node"],
        outside: None,
    },
    Row { name: "potluck-client", inside: &["potluck-api", "potluck-base"], outside: None },
    Row {
        name: "potluck",
        inside: &["potluck-api", "potluck-base", "potluck-client", "potluck-http", "potluck-node"],
        outside: None,
    },
    // The workshop.
    Row {
        name: "potluck-sim",
        inside: &["potluck-base", "potluck-content", "potluck-identity", "potluck-proto"],
        outside: None,
    },
    Row {
        name: "potluck-fuzz",
        inside: &["potluck-base", "potluck-content", "potluck-identity", "potluck-proto"],
        outside: None,
    },
    Row {
        name: TESTKIT,
        inside: &[
            "potluck-api",
            "potluck-base",
            "potluck-client",
            "potluck-content",
            "potluck-http",
            "potluck-identity",
            "potluck-link",
            "potluck-node",
            "potluck-proto",
            "potluck-service",
            "potluck-store",
        ],
        outside: None,
    },
    Row { name: "xtask", inside: &[], outside: None },
];

/// Only tests may import it.
const TESTKIT: &str = "potluck-testkit";

/// Packages from elsewhere, or families `NAME-…` of them, that belong to one room.
const OWNED: &[(&str, &[&str], &str)] = &[
    ("iroh", &["potluck-link"], "only `link` knows QUIC"),
    ("netwatch", &["potluck-link"], "only `link` watches networks"),
    ("quinn", &["potluck-link"], "only `link` knows QUIC"),
    ("rustls", &["potluck-link"], "only `link` knows TLS"),
    ("tokio-rustls", &["potluck-link"], "only `link` knows TLS"),
    ("aws-lc", &["potluck-link"], "only `link` knows TLS"),
    ("ring", &["potluck-link"], "only `link` knows TLS"),
    ("axum", &["potluck-http"], "only `http` serves HTTP"),
    ("hyper", &["potluck-http", "potluck-client"], "only `http` and `client` speak HTTP"),
    ("tower", &["potluck-http"], "only `http` serves HTTP"),
    ("http-body", &["potluck-http", "potluck-client"], "only `http` and `client` speak HTTP"),
    ("utoipa", &["potluck-api", "potluck-http"], "only doors are described to the world"),
    (
        "rusqlite",
        &["potluck-service", "potluck-store"],
        "only `store` and the tracker's index keep state on disk",
    ),
    ("cap-std", &["potluck-store"], "only `store` writes user bytes"),
    ("figment", &["potluck-node"], "only `node` reads configuration"),
    ("blake3", &["potluck-content"], "only `content` hashes, and checks, content"),
    ("ed25519-dalek", &["potluck-identity"], "only `identity` holds and uses keys"),
    ("indicatif", &["potluck"], "only `cli` prints"),
    ("console", &["potluck"], "only `cli` prints"),
    ("qrcode", &["potluck"], "only `cli` prints"),
    ("clap", &["potluck", "potluck-fuzz", "potluck-sim", "xtask"], "only programs read arguments"),
    (
        "anyhow",
        &["potluck", "potluck-fuzz", "potluck-sim", "potluck-testkit", "xtask"],
        "libraries name their errors",
    ),
];

/// One line of a manifest.
struct Import<'a> {
    from: &'a str,
    to: &'a str,
    /// Whether the other package is of this workspace.
    inside: bool,
    /// Whether only tests and benches import it.
    dev: bool,
}

/// All findings of all manifests.
pub fn check(metadata: &Metadata, root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata.workspace_packages() {
        let manifest = package.manifest_path.as_std_path();
        let file = manifest.strip_prefix(root).unwrap_or(manifest).to_string_lossy().into_owned();
        let text = std::fs::read_to_string(manifest).unwrap_or_default();
        for dependency in &package.dependencies {
            let import = Import {
                from: &package.name,
                to: &dependency.name,
                inside: dependency.path.is_some(),
                dev: dependency.kind == DependencyKind::Development,
            };
            let line = line_of(&text, &dependency.name);
            findings.extend(judge((&file, line), &import));
        }
    }
    findings
}

fn judge(at: (&str, usize), import: &Import<'_>) -> Option<Finding> {
    let Some(row) = ROWS.iter().find(|row| row.name == import.from) else {
        return Some(Finding::fail(
            at,
            format!("the crate `{}` has no row in the table of walls", import.from),
            "each crate stands on a floor",
            "add it to xtask/src/walls.rs and ARCHITECTURE.md",
        ));
    };
    if import.inside { judge_inside(at, row, import) } else { judge_outside(at, row, import) }
}

fn judge_inside(at: (&str, usize), row: &Row, import: &Import<'_>) -> Option<Finding> {
    if import.to == TESTKIT && !import.dev {
        return Some(Finding::fail(
            at,
            format!("`{}` imports `{TESTKIT}` outside tests", import.from),
            "the testkit drives whole nodes and must not ship",
            "move it to [dev-dependencies]",
        ));
    }
    let itself = import.to == import.from;
    let allowed = itself || import.to == TESTKIT || row.inside.contains(&import.to);
    (!allowed).then(|| {
        Finding::fail(
            at,
            format!("`{}` imports `{}`", import.from, import.to),
            "a lower floor never imports a higher one, and rooms do not reach past their neighbour",
            "pass a value or an event instead, or move the wall on purpose with an ADR",
        )
    })
}

fn judge_outside(at: (&str, usize), row: &Row, import: &Import<'_>) -> Option<Finding> {
    // Tests may use what they need to look from outside.
    if import.dev {
        return None;
    }
    let what = format!("`{}` imports `{}`", import.from, import.to);
    if let Some(list) = row.outside {
        return (!list.contains(&import.to)).then(|| {
            let mend = "do it without, or add it to xtask/src/walls.rs with a reason";
            Finding::fail(at, what, "a pure crate imports only what its row lists", mend)
        });
    }
    let (_, owners, why) = OWNED.iter().find(|(family, ..)| belongs(import.to, family))?;
    (!owners.contains(&import.from))
        .then(|| Finding::fail(at, what, why, format!("ask `{}` to do it", owners.join("` or `"))))
}

fn belongs(package: &str, family: &str) -> bool {
    package.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn line_of(manifest: &str, dependency: &str) -> usize {
    let is_it =
        |line: &str| line.strip_prefix(dependency).is_some_and(|r| r.starts_with([' ', '.', '=']));
    manifest.lines().position(is_it).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(from: &str, to: &str, dev: bool) -> Option<String> {
        let import = Import { from, to, inside: to.starts_with("potluck"), dev };
        judge(("Cargo.toml", 1), &import).map(|finding| finding.what)
    }

    #[test]
    fn a_lower_floor_never_imports_a_higher_one() {
        assert!(verdict("potluck-base", "potluck-content", false).is_some());
        assert!(verdict("potluck-proto", "potluck-store", false).is_some());
        assert!(verdict("potluck-service", "potluck-api", false).is_some());
        assert!(verdict("potluck-client", "potluck-node", false).is_some());
        assert!(verdict("potluck-node", "potluck-http", false).is_some());
        assert!(verdict("potluck-service", "potluck-proto", false).is_none());
        assert!(verdict("potluck", "potluck-node", false).is_none());
    }

    #[test]
    fn tests_may_not_climb_either() {
        assert!(verdict("potluck-proto", "potluck-service", true).is_some());
    }

    #[test]
    fn the_testkit_is_for_tests() {
        assert!(verdict("potluck", "potluck-testkit", true).is_none());
        assert!(verdict("potluck", "potluck-testkit", false).is_some());
    }

    #[test]
    fn a_pure_crate_imports_only_what_its_row_lists() {
        assert!(verdict("potluck-proto", "tokio", false).is_some());
        assert!(verdict("potluck-base", "rand", false).is_some());
        assert!(verdict("potluck-proto", "postcard", false).is_none());
        assert!(verdict("potluck-proto", "proptest", true).is_none());
    }

    #[test]
    fn each_outside_world_has_one_room() {
        assert!(verdict("potluck-service", "iroh", false).is_some());
        assert!(verdict("potluck-service", "iroh-relay", false).is_some());
        assert!(verdict("potluck-link", "iroh", false).is_none());
        assert!(verdict("potluck-node", "axum", false).is_some());
        assert!(verdict("potluck-node", "rusqlite", false).is_some());
        assert!(verdict("potluck-service", "rusqlite", false).is_none());
        assert!(verdict("potluck-store", "cap-std", false).is_none());
        assert!(
            verdict("potluck-service", "ringbuffer", false).is_none(),
            "a family ends at its dash"
        );
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert!(verdict("potluck-gossip", "potluck-base", false).is_some());
    }

    #[test]
    fn rows_name_only_rows() {
        for name in ROWS.iter().flat_map(|row| row.inside) {
            assert!(ROWS.iter().any(|row| row.name == *name), "{name} has no row");
        }
        for name in OWNED.iter().flat_map(|(_, owners, _)| *owners) {
            assert!(ROWS.iter().any(|row| row.name == *name), "{name} has no row");
        }
    }

    #[test]
    fn a_finding_points_at_its_line() {
        let manifest = "[dependencies]\nserde_json.workspace = true\nserde.workspace = true\n";
        assert_eq!(line_of(manifest, "serde"), 3);
        assert_eq!(line_of(manifest, "gone"), 1);
    }
}
