//! Reads the constants of `limits.rs`, and the numbers that documents state about them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use syn::{BinOp, Expr, Item, Lit};

/// Names of constants; the value where it is a whole number that can be computed here.
pub type Constants = BTreeMap<String, Option<u128>>;

/// All constants of a file.
pub fn read(text: &str) -> Result<Constants> {
    let file = syn::parse_file(text).context("parsing the limits")?;
    let mut constants = Constants::new();
    for item in file.items {
        if let Item::Const(item) = item {
            constants.insert(item.ident.to_string(), value(&item.expr));
        }
    }
    Ok(constants)
}

fn value(expression: &Expr) -> Option<u128> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse().ok(),
            _ => None,
        },
        Expr::Binary(binary) => {
            let (left, right) = (value(&binary.left)?, value(&binary.right)?);
            match binary.op {
                BinOp::Add(_) => left.checked_add(right),
                BinOp::Sub(_) => left.checked_sub(right),
                BinOp::Mul(_) => left.checked_mul(right),
                BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
                _ => None,
            }
        }
        Expr::Paren(inner) => value(&inner.expr),
        Expr::Cast(cast) => value(&cast.expr),
        Expr::Path(path) => {
            let names: Vec<_> = path.path.segments.iter().map(|s| s.ident.to_string()).collect();
            match names.join("::").as_str() {
                "u32::MAX" => Some(u32::MAX.into()),
                "u64::MAX" => Some(u64::MAX.into()),
                "i64::MAX" => u128::try_from(i64::MAX).ok(),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The number behind a name in running text, as in `` ` = 512 KiB``; none if no number is stated.
pub fn stated(rest: &str) -> Option<u128> {
    let rest = rest.trim_start_matches(['`', ' ']).strip_prefix('=')?;
    let rest = rest.trim_start_matches(['`', ' ']);
    let is_digit = |c: char| c.is_ascii_digit() || c == ',' || c == '_';
    let (digits, unit) = rest.split_at(rest.find(|c| !is_digit(c)).unwrap_or(rest.len()));
    let number: u128 = digits.replace([',', '_'], "").parse().ok()?;
    let scales = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let unit = unit.trim_start();
    let scale = scales.iter().find(|(name, _)| unit.starts_with(name)).map_or(0, |(_, log2)| *log2);
    number.checked_shl(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_computed_where_they_are_whole_numbers() {
        let text = "
            pub const A: usize = 4 * 1024 + 1;
            pub const B: u64 = u32::MAX as u64;
            pub const C: Duration = Duration::from_secs(1);
            pub const D: u64 = (1 << 20) - 1;
        ";
        let constants = read(text).expect("is Rust");
        assert_eq!(constants["A"], Some(4097));
        assert_eq!(constants["B"], Some(4_294_967_295));
        assert_eq!(constants["C"], None);
        assert_eq!(constants["D"], Some(1_048_575));
    }

    #[test]
    fn a_number_is_stated_only_behind_an_equals_sign() {
        assert_eq!(stated("` = 16,384 ranges"), Some(16_384));
        assert_eq!(stated(" = 4 MiB"), Some(4 << 20));
        assert_eq!(stated("` (16,384)"), None);
        assert_eq!(stated(" = many"), None);
    }
}
