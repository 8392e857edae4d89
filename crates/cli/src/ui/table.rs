//! Rows with aligned columns, as wide as their text.

use unicode_width::UnicodeWidthStr;

/// A table. The last column is not padded, so that names of any length may stand there.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: &'static [usize],
}

impl Table {
    /// A table with these headings; the columns named in `right` stand at their right edge.
    pub(crate) fn new(headings: &[&str], right: &'static [usize]) -> Self {
        Self { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()], right }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, headings first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width_of(cell)).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(width_of(cell)));
            if column > 0 {
                line += "  ";
            }
            if self.right.contains(&column) {
                line += &padding;
                line += cell;
            } else {
                line += cell;
                line += &padding;
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Columns that a cell takes on a terminal; colours take none.
fn width_of(cell: &str) -> usize {
    console::strip_ansi_codes(cell).width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_the_script() {
        let mut table = Table::new(&["ID", "SIZE", "NAME"], &[1]);
        table.row(vec!["ab".into(), "1 B".into(), "films".into()]);
        table.row(vec!["日本".into(), "999 MB".into(), "日本語".into()]);
        assert_eq!(
            table.lines(),
            ["ID      SIZE  NAME", "ab       1 B  films", "日本  999 MB  日本語"]
        );
    }
}
