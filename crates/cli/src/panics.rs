//! What a person sees when the program meets a fault of its own.

use std::io::Write;
use std::panic::PanicHookInfo;

/// Where faults are reported.
const REPORT_AT: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

/// Replaces the raw text of a panic by a polite one; with `RUST_BACKTRACE` set, the raw text stays.
pub(crate) fn be_polite() {
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        // Nothing is left to do if even stderr is gone.
        let _ = std::io::stderr().write_all(message(info).as_bytes());
    }));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let place = match info.location() {
        Some(at) => format!("{}:{}", at.file(), at.line()),
        None => "an unknown place".to_owned(),
    };
    format!(
        "\nSorry: Potluck met a fault of its own (version {}, {place}).\n\
         Your files are safe: what was not verified is not shown as complete.\n\
         Please report it at {REPORT_AT}\n\
         with what you did; RUST_BACKTRACE=1 in the environment shows more.\n",
        env!("CARGO_PKG_VERSION"),
    )
}
