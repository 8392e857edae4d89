//! Looks keys up on a circle of real processes and prints how long it took, a name and a number a
//! line: `live_circle PROGRAM chord|ring MEMBERS KEYS`.
#![allow(clippy::print_stdout, reason = "a measurement reports by printing")]

use std::time::Instant;

use potluck_testkit::Circle;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [exe, kind, members, keys] = &args[..] else {
        panic!("live_circle PROGRAM chord|ring MEMBERS KEYS");
    };
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let began = Instant::now();
    let circle = Circle::new(exe, kind, number(members), 3);
    println!("{kind}_whole_after_s\t{:.2}", began.elapsed().as_secs_f64());
    // As many digits as a place has, spread over the circle.
    let keys: Vec<String> =
        (0..number(keys)).map(|key| format!("{:02x}{key:030x}", (key * 83) % 256)).collect();
    let looked = circle.look_up(&keys);
    let mut times: Vec<f64> = looked.iter().map(|one| one.took_ms).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    let hops: u64 = looked.iter().map(|one| one.hops).sum();
    println!("{kind}_lookups\t{}", looked.len());
    println!("{kind}_lookup_p50_ms\t{:.3}", at(0.5));
    println!("{kind}_lookup_p99_ms\t{:.3}", at(0.99));
    println!("{kind}_hops_mean\t{:.3}", hops as f64 / looked.len() as f64);
}
