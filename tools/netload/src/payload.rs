//! Made-up events: JSON objects of a given size that say which producer published them as its how-manieth.
//!
//! `{"p":"0003","n":"000000000017","t":"…"` and then letters that differ per producer, so that a byte out of place is seen.
//! `t` has room for two moments: when the event was due and when the call began.

use std::ops::Range;

/// A row of events of one producer with consecutive numbers, kept ready so that writing them is no part of a call.
pub(crate) struct Payloads {
    bytes: Vec<u8>,
    size: usize,
    count: usize,
}

impl Payloads {
    /// Events 0 to `count` - 1 of `producer`, `size` bytes each; `size` at least [`SIZE_MIN`].
    pub(crate) fn new(producer: u16, size: usize, count: usize) -> Payloads {
        let template = template(producer, size);
        let mut payloads = Payloads { bytes: template.repeat(count), size, count };
        for index in 0..count {
            add(payloads.number(index), index as u64);
        }
        payloads
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The event at `index`.
    pub(crate) fn event(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.size..(index + 1) * self.size]
    }

    /// The event at `index`, to write its moments.
    pub(crate) fn event_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.bytes[index * self.size..(index + 1) * self.size]
    }

    /// Turns the row into the one that follows it.
    pub(crate) fn advance(&mut self) {
        let step = self.count as u64;
        for index in 0..self.count {
            add(self.number(index), step);
        }
    }

    fn number(&mut self, index: usize) -> &mut [u8] {
        let start = index * self.size;
        &mut self.bytes[start + NUMBER.start..start + NUMBER.end]
    }
}

/// What the events of each producer look like, to recognise them by.
pub(crate) struct Templates(Vec<Vec<u8>>);

impl Templates {
    /// For `producers` producers and events of `size` bytes.
    pub(crate) fn new(producers: u16, size: usize) -> Templates {
        Templates((0..producers).map(|producer| template(producer, size)).collect())
    }

    /// The producer and the number of an event; `None` unless every byte is as it was published.
    pub(crate) fn recognise(&self, event: &[u8]) -> Option<(usize, u64)> {
        let producer = decimal(event.get(PRODUCER)?)? as usize;
        let number = decimal(event.get(NUMBER)?)?;
        let template = self.0.get(producer)?;
        let same = event.len() == template.len()
            && event[..NUMBER.start] == template[..NUMBER.start]
            && event[NUMBER.end..MOMENTS.start] == template[NUMBER.end..MOMENTS.start]
            && event[MOMENTS.end..] == template[MOMENTS.end..];
        same.then_some((producer, number))
    }
}

/// Writes two moments into an event, in nanoseconds after the start: when it was due, and when the call began.
#[inline]
pub(crate) fn stamp(event: &mut [u8], due_ns: u64, called_ns: u64) {
    let (due, called) = event[MOMENTS].split_at_mut(DIGITS);
    for (digits, moment_ns) in [(due, due_ns), (called, called_ns)] {
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = DIGIT_ZERO + (moment_ns >> (DIGIT_BITS * place) & DIGIT_MASK) as u8;
        }
    }
}

/// The two moments of an event that was recognised.
#[inline]
pub(crate) fn moments(event: &[u8]) -> (u64, u64) {
    let (due, called) = event[MOMENTS].split_at(DIGITS);
    let moment = |digits: &[u8]| {
        digits
            .iter()
            .rev()
            .fold(0, |sum, digit| sum << DIGIT_BITS | u64::from(digit.wrapping_sub(DIGIT_ZERO)))
    };
    (moment(due), moment(called))
}

/// The smallest event that can say where it comes from.
const SIZE_MIN: usize = 58;

fn template(producer: u16, size: usize) -> Vec<u8> {
    assert!(size >= SIZE_MIN, "{size} bytes are too few");
    let mut event = format!(r#"{{"p":"{producer:04}","n":"000000000000","t":""#).into_bytes();
    event.extend([DIGIT_ZERO; 2 * DIGITS]);
    event.push(b'"');
    let filler = size - SIZE_MIN;
    if filler < FILLER_AROUND {
        event.extend(std::iter::repeat_n(b' ', filler));
    } else {
        event.extend(br#","x":""#);
        let letters =
            (0..filler - FILLER_AROUND).map(|index| b'a' + ((usize::from(producer) + index) % 26) as u8);
        event.extend(letters);
        event.push(b'"');
    }
    event.push(b'}');
    event
}

/// Adds to a number written in decimal digits. A carry past the first digit is lost.
fn add(digits: &mut [u8], increment: u64) {
    let mut carry = increment;
    for digit in digits.iter_mut().rev() {
        if carry == 0 {
            return;
        }
        let sum = u64::from(*digit - b'0') + carry;
        *digit = b'0' + (sum % 10) as u8;
        carry = sum / 10;
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

const PRODUCER: Range<usize> = 6..10;
const NUMBER: Range<usize> = 17..29;
const MOMENTS: Range<usize> = 36..36 + 2 * DIGITS;
/// Digits of a moment: enough for 13 days.
const DIGITS: usize = 10;
/// Digits are the 32 characters from `#` on, which need no escape in JSON.
const DIGIT_ZERO: u8 = b'#';
const DIGIT_BITS: usize = 5;
const DIGIT_MASK: u64 = 31;
/// Bytes of `,"x":""`.
const FILLER_AROUND: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_json_of_its_size_and_says_where_it_comes_from() {
        for size in SIZE_MIN..150 {
            let mut payloads = Payloads::new(3, size, 64);
            payloads.advance();
            let templates = Templates::new(4, size);
            for index in 0..payloads.len() {
                let event = payloads.event(index);
                assert_eq!(event.len(), size);
                serde_json::from_slice::<serde_json::Value>(event).expect("JSON");
                assert_eq!(templates.recognise(event), Some((3, 64 + index as u64)));
            }
        }
    }

    #[test]
    fn an_event_with_any_other_byte_is_not_recognised_as_itself() {
        let payloads = Payloads::new(1, 80, 1);
        let templates = Templates::new(2, 80);
        for at in (0..80).filter(|at| !MOMENTS.contains(at)) {
            let mut event = payloads.event(0).to_vec();
            event[at] ^= 1;
            assert_ne!(templates.recognise(&event), Some((1, 0)), "byte {at}");
        }
        assert_eq!(templates.recognise(&payloads.event(0)[..79]), None);
        assert_eq!(templates.recognise(b""), None);
    }

    #[test]
    fn moments_come_back_as_they_were_and_the_event_stays_json_and_itself() {
        for (due_ns, called_ns) in [(0, 0), (1, 31), (32, 123_456_789_012), ((1 << 50) - 1, 1 << 49)] {
            let mut payloads = Payloads::new(1, 64, 2);
            stamp(payloads.event_mut(1), due_ns, called_ns);
            assert_eq!(moments(payloads.event(1)), (due_ns, called_ns));
            assert_eq!(Templates::new(2, 64).recognise(payloads.event(1)), Some((1, 1)));
            serde_json::from_slice::<serde_json::Value>(payloads.event(1)).expect("JSON");
        }
    }
}
