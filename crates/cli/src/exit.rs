//! The program's exit codes, as shown in the help; `docs/exit-codes.md` says the same at length.

use std::fmt::Write;

use potluck_api::ErrorKind;

/// After a second Ctrl-C: nothing was wound up. The shell's code for "ended by SIGINT".
pub(crate) const STOPPED_AT_ONCE: u8 = 130;

/// The table below `potluck --help`.
pub(crate) fn table() -> String {
    let mut table = String::from("Exit codes:\n   0  done\n");
    let row = |table: &mut String, code: u8, meaning: &str| {
        writeln!(table, "{code:>4}  {meaning}").expect("a string takes everything");
    };
    for kind in ErrorKind::ALL {
        row(&mut table, kind.exit_code(), kind.meaning());
    }
    row(&mut table, STOPPED_AT_ONCE, "stopped at once by a second Ctrl-C");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_row_of_the_table() {
        let document = include_str!("../../../docs/exit-codes.md");
        for kind in ErrorKind::ALL {
            let code =
                format!("| {} | `{}` | {} |", kind.exit_code(), kind.name(), kind.http_status());
            assert!(document.contains(&code), "docs/exit-codes.md lacks {code}");
        }
    }
}
