//! Takes our compact binary forms apart, and never reads past their end.

/// The bytes that are left.
pub(crate) struct Reader<'a>(&'a [u8]);

/// Why a field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The bytes end within the field.
    Short,
    /// A number is wider than 64 bits or padded: it has another, shorter form.
    Number,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(crate) fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed::Short)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned LEB128 number in its shortest form.
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if (shift == 63 && bits > 1) || (shift > 0 && byte == 0) {
                return Err(Malformed::Number);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed::Number)
    }
}

/// Appends a number as unsigned LEB128: seven bits a byte, the lowest first, 0x80 on all but the
/// last.
pub(crate) fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many bytes [`push_varint`] appends.
pub(crate) fn varint_len(number: u64) -> u64 {
    u64::from((64 - (number | 1).leading_zeros()).div_ceil(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form_of_the_foretold_length() {
        for number in (0..64).flat_map(|b| [1u64 << b, (1u64 << b) - 1]).chain([u64::MAX]) {
            let mut out = Vec::new();
            push_varint(&mut out, number);
            assert_eq!(out.len() as u64, varint_len(number));
            let mut reader = Reader::new(&out);
            assert_eq!((reader.varint(), reader.is_empty()), (Ok(number), true));
            assert_eq!(Reader::new(&out[..out.len() - 1]).varint(), Err(Malformed::Short));
        }
    }

    #[test]
    fn a_padded_or_too_wide_number_is_refused() {
        assert_eq!(Reader::new(&[0x80, 0x00]).varint(), Err(Malformed::Number));
        assert_eq!(Reader::new(&[0xff, 0x80, 0x00]).varint(), Err(Malformed::Number));
        let mut wide = [0xff; 10];
        wide[9] = 0x02;
        assert_eq!(Reader::new(&wide).varint(), Err(Malformed::Number));
        wide[9] = 0x81;
        assert_eq!(Reader::new(&wide).varint(), Err(Malformed::Number));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_not_allocated() {
        assert_eq!(Reader::new(&[0; 9]).take(u64::MAX), Err(Malformed::Short));
        assert_eq!(Reader::new(&[0; 9]).take(10), Err(Malformed::Short));
        assert_eq!(Reader::new(&[0; 3]).array::<4>(), Err(Malformed::Short));
    }
}
