//! The fuzz smoke: mutates valid bytes for a while and feeds them to every decoder, on stable Rust.
//!
//! The same seed makes the same inputs. Besides the checks of the targets it watches time and
//! memory: bytes that make us think long or allocate much are a fault even if nothing else happens.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of the workshop")]

mod memory;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;
use potluck_fuzz::{Mutator, TARGETS, Target};

/// Time that one input may take; generous, because the machine may be busy.
const INPUT_TIME: Duration = Duration::from_secs(5);
/// Memory that any input may make us take.
const MEMORY_BYTES: usize = 1 << 20;
/// Memory that each byte of an input may make us take besides: an entry of a manifest has three
/// bytes at least and is a value of some hundred bytes with a path of its own.
const MEMORY_PER_BYTE: usize = 128;

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting::new();

/// What is being tried right now, for the watch.
static TRIED: Mutex<Option<Trial>> = Mutex::new(None);

/// One input on its way.
struct Trial {
    since: Instant,
    target: &'static str,
    input: Vec<u8>,
}

/// Feed mutated bytes to every decoder.
#[derive(Parser)]
struct Args {
    /// Seconds for each decoder.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Another row of dice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this decoder.
    #[arg(long)]
    target: Option<String>,
    /// Only this input, in hexadecimal, as a failure printed it.
    #[arg(long, requires = "target")]
    input: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let wanted = |target: &&Target| args.target.as_deref().is_none_or(|name| name == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(wanted).collect();
    if targets.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("no such decoder; they are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    std::thread::spawn(watch);
    for target in targets {
        let result = match &args.input {
            Some(hex) => one(target, hex),
            None => smoke(target, args.seed, Duration::from_secs(args.seconds)),
        };
        if let Err(fault) = result {
            eprintln!("{fault}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn one(target: &Target, hex: &str) -> Result<(), String> {
    let input = data_encoding::HEXLOWER_PERMISSIVE
        .decode(hex.as_bytes())
        .map_err(|error| format!("the input is not hexadecimal: {error}"))?;
    let accepted = attack(target, &input)?;
    println!("{}: {}", target.name, if accepted { "accepted" } else { "refused" });
    Ok(())
}

fn smoke(target: &Target, seed: u64, time: Duration) -> Result<(), String> {
    let start = Instant::now();
    let mut mutator = Mutator::new(seed, (target.seeds)());
    let (mut inputs, mut accepted) = (0_u64, 0_u64);
    for seed in (target.seeds)() {
        if !attack(target, &seed)? {
            return Err(format!("{}: a valid encoding is refused", target.name));
        }
    }
    while start.elapsed() < time {
        let input = mutator.next_input();
        inputs += 1;
        if attack(target, &input)? {
            accepted += 1;
            mutator.keep(input);
        }
    }
    println!("{:<16}{inputs:>10} inputs, {accepted} accepted, seed {seed}", target.name);
    Ok(())
}

/// Feeds one input; whether it was accepted, or what is wrong.
fn attack(target: &Target, input: &[u8]) -> Result<bool, String> {
    let started = Instant::now();
    *TRIED.lock().expect("nobody panics with it") =
        Some(Trial { since: started, target: target.name, input: input.to_vec() });
    let before = MEMORY.start();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    let taken = MEMORY.peak() - before;
    *TRIED.lock().expect("nobody panics with it") = None;
    let fault = match outcome {
        Err(_) => "it panics".to_owned(),
        Ok(_) if taken > MEMORY_BYTES + MEMORY_PER_BYTE * input.len() => {
            format!("{} bytes make it take {taken} bytes of memory", input.len())
        }
        Ok(_) if started.elapsed() > INPUT_TIME => format!("it takes {:?}", started.elapsed()),
        Ok(accepted) => return Ok(accepted),
    };
    Err(format!("{}: {fault}; again with: {}", target.name, reproduction(target.name, input)))
}

fn reproduction(target: &str, input: &[u8]) -> String {
    let hex = data_encoding::HEXLOWER.encode(input);
    format!("cargo run -p potluck-fuzz -- --target {target} --input {hex}")
}

/// Ends the program when an input never comes back.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let tried = TRIED.lock().expect("nobody panics with it");
        let stuck = tried.as_ref().filter(|trial| trial.since.elapsed() > 2 * INPUT_TIME);
        if let Some(trial) = stuck {
            let again = reproduction(trial.target, &trial.input);
            eprintln!("it does not come back; again with: {again}");
            std::process::exit(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(check: fn(&[u8]) -> bool) -> String {
        let target = Target { name: "made_up", seeds: Vec::new, check };
        attack(&target, &[0xab]).expect_err("is a fault")
    }

    #[test]
    fn a_panic_is_a_fault_that_can_be_played_again() {
        let told = fault(|bytes| bytes[1] == 0);
        assert!(told.contains("panics") && told.ends_with("--target made_up --input ab"), "{told}");
    }

    #[test]
    fn taking_much_memory_for_few_bytes_is_a_fault_even_if_it_is_not_used() {
        let told = fault(|bytes| {
            std::hint::black_box(Vec::<u8>::with_capacity(64 << 20)).capacity() < bytes.len()
        });
        assert!(told.contains("bytes of memory"), "{told}");
    }

    #[test]
    fn a_decoder_that_refuses_its_own_encoding_is_a_fault() {
        let target = Target { name: "made_up", seeds: || vec![vec![1]], check: |_| false };
        let told = smoke(&target, 1, Duration::ZERO).expect_err("is a fault");
        assert!(told.contains("valid encoding"), "{told}");
    }
}
