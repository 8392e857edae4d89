//! A ticket or an invite as a QR code for the camera of the other device.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::Ui;

/// Draws a code for the person, if it fits the terminal.
pub(crate) fn draw(ticket: &str, ui: &Ui) {
    let columns = console::Term::stderr().size().1;
    for line in lines(ticket, columns.into()).into_iter().flatten() {
        ui.note(&line);
    }
}

/// The lines of a code, two modules high each, if it fits `columns`.
fn lines(ticket: &str, columns: usize) -> Option<Vec<String>> {
    // Upper case lets the code use its alphanumeric mode, which needs a third less room.
    let text = ticket.to_ascii_uppercase();
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    // Dark on light is what cameras expect, so on the usual dark terminal the light modules are
    // drawn.
    let drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    let lines: Vec<String> = drawn.lines().map(str::to_owned).collect();
    let width = lines.first()?.chars().count();
    (width <= columns).then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_square_that_fits_or_is_not_drawn() {
        let ticket = format!("pot1{}", "a2".repeat(60));
        let lines = lines(&ticket, 80).unwrap();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert!((width.div_ceil(2)..=width.div_ceil(2) + 1).contains(&lines.len()));
        assert!(super::lines(&ticket, width - 1).is_none());
    }

    #[test]
    fn a_ticket_too_long_for_any_code_is_no_fault() {
        assert!(lines(&"a".repeat(9000), 1000).is_none());
    }
}
