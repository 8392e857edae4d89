//! Hostile bytes for every decoder: one check each, shared by the smoke test and by libFuzzer.
//!
//! A [`Target`] is a decoder with valid encodings to start from and a check that must hold for any
//! bytes: no panic, and what was accepted is printed and read again as the same thing. The smoke
//! test (this package's program) mutates from a seed on stable Rust; `fuzz/fuzz_targets` hands the
//! same checks to libFuzzer.

mod checks;
mod mutate;
mod networks;
mod ring;
mod seeds;
mod tracker;

pub use mutate::Mutator;

/// A decoder under attack.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called on the command line; also the name of its libFuzzer target.
    pub name: &'static str,
    /// Valid encodings.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Feeds it any bytes; panics if a promise is broken. Whether the bytes were accepted.
    pub check: fn(&[u8]) -> bool,
}

/// Every decoder of what comes from elsewhere.
pub const TARGETS: &[Target] = &[
    Target { name: "frame", seeds: seeds::frames, check: checks::frame },
    Target { name: "tracker_message", seeds: tracker::messages, check: tracker::check },
    Target { name: "ring_record", seeds: ring::records, check: ring::record },
    Target { name: "ring_question", seeds: ring::questions, check: ring::question },
    Target { name: "ring_answer", seeds: ring::answers, check: ring::answer },
    Target { name: "copy_said", seeds: seeds::copies_said, check: checks::copy_said },
    Target { name: "membership", seeds: networks::memberships, check: networks::membership },
    Target { name: "revocations", seeds: networks::lists, check: networks::revocations },
    Target { name: "invite", seeds: networks::invites, check: networks::invite },
    Target { name: "p2p_ci", seeds: networks::old_talks, check: networks::old_words },
    Target { name: "hello", seeds: seeds::hellos, check: checks::hello },
    Target { name: "block_header", seeds: seeds::block_headers, check: checks::block_header },
    Target { name: "ticket", seeds: seeds::tickets, check: checks::ticket },
    Target { name: "ticket_body", seeds: seeds::ticket_bodies, check: checks::ticket_body },
    Target { name: "manifest", seeds: seeds::manifests, check: checks::manifest },
    Target { name: "values", seeds: seeds::values, check: checks::values },
    Target { name: "path", seeds: seeds::paths, check: checks::path },
];

/// Runs the check of a target, for a libFuzzer target of the same name.
///
/// # Panics
/// If there is no such target, or a promise is broken.
pub fn check(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target's name");
    (target.check)(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_accepted() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(seeds.len() >= 3, "{} has few seeds", target.name);
            for (index, seed) in seeds.iter().enumerate() {
                assert!((target.check)(seed), "seed {index} of {} is refused", target.name);
            }
        }
    }

    #[test]
    fn nothing_at_all_is_refused_by_every_decoder() {
        for target in TARGETS {
            assert!(!(target.check)(&[]), "{} accepts nothing", target.name);
        }
    }

    #[test]
    fn every_decoder_has_a_libfuzzer_target_of_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz_targets");
        let manifest = std::fs::read_to_string(format!("{folder}/../Cargo.toml")).unwrap();
        for name in TARGETS.iter().map(|target| target.name) {
            let source = std::fs::read_to_string(format!("{folder}/{name}.rs")).unwrap();
            assert!(source.contains(&format!("check(\"{name}\", bytes)")), "{name}");
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), TARGETS.len());
    }
}
