//! Decimal identities of consecutive sequences: one is made from the one before, which is cheaper than from the number.

/// A number as text, at the end of its place.
#[derive(Clone, Copy)]
pub(crate) struct Decimal {
    digits: Digits,
    start: usize,
    number: u64,
}

/// Room for the text of any number.
pub(crate) type Digits = [u8; DIGITS_MAX];

impl Decimal {
    /// The text of `number`.
    pub(crate) fn of(number: u64) -> Decimal {
        let mut digits = [b'0'; DIGITS_MAX];
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(number).as_bytes();
        let start = DIGITS_MAX - text.len();
        digits[start..].copy_from_slice(text);
        Decimal { digits, start, number }
    }

    /// The text of `number`, which is likely the next one.
    #[inline]
    pub(crate) fn follow(&mut self, number: u64) {
        let last = &mut self.digits[DIGITS_MAX - 1];
        if number.checked_sub(1) == Some(self.number) && *last < b'9' {
            *last += 1;
            self.number = number;
        } else {
            *self = Decimal::of(number);
        }
    }

    /// The place with the digits at its end, and where they start.
    #[inline]
    pub(crate) fn place(&self) -> (Digits, usize) {
        (self.digits, self.start)
    }
}

const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_text_however_it_was_reached() {
        let mut decimal = Decimal::of(0);
        for number in (0..2_000).chain([7, 8, 9, 10, u64::MAX - 2, u64::MAX - 1, u64::MAX, 0, 1, 99, 100]) {
            decimal.follow(number);
            let (digits, start) = decimal.place();
            assert_eq!(&digits[start..], number.to_string().as_bytes());
        }
    }
}
