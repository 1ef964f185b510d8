//! Made-up events: JSON objects that say which producer published them as its how-manieth.
//!
//! `{"p":"003","n":"000000000017","t":"…","x":"…"}`: `t` has room for two moments, when the event was due and when the call
//! began; `x` fills the event up to its size, with letters that differ per producer, so that a byte out of place is seen.

use std::ops::Range;

use crate::sizes::{SIZE_MIN, Sizes};

/// A row of events of one producer with consecutive numbers, kept ready so that writing them is no part of a call.
pub(crate) struct Payloads {
    producer: u16,
    sizes: Sizes,
    /// Room for the largest event, for each of them. Behind an event's end its letters go on.
    bytes: Vec<u8>,
    /// Bytes of each event.
    lengths: Vec<usize>,
    /// The number of the first.
    first: u64,
}

impl Payloads {
    /// Events 0 to `count` - 1 of `producer`; none of `sizes` may be below [`SIZE_MIN`].
    pub(crate) fn new(producer: u16, sizes: Sizes, count: usize) -> Payloads {
        let range = sizes.range();
        assert!(range.min >= SIZE_MIN, "{} bytes are too few", range.min);
        assert!(producer < PRODUCERS_MAX, "no digits for {producer}");
        let mut event = HEAD.to_vec();
        add(&mut event[PRODUCER], u64::from(producer));
        event.resize(sizes.max(), 0);
        fill(producer, &mut event[HEAD.len()..]);
        let lengths = vec![sizes.max(); count];
        let mut payloads = Payloads { producer, sizes, bytes: event.repeat(count), lengths, first: 0 };
        for index in 0..count {
            payloads.renumber(index, index as u64);
        }
        payloads
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The event at `index`.
    pub(crate) fn event(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.sizes.max()..][..self.lengths[index]]
    }

    /// The event at `index`, to write its moments.
    pub(crate) fn event_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.bytes[index * self.sizes.max()..][..self.lengths[index]]
    }

    /// Turns the row into the one that follows it.
    pub(crate) fn advance(&mut self) {
        let step = self.len() as u64;
        self.first += step;
        for index in 0..self.len() {
            self.renumber(index, step);
        }
    }

    /// Adds to the number of an event, and gives it the size that goes with it: only its end moves.
    fn renumber(&mut self, index: usize, increment: u64) {
        let max = self.sizes.max();
        let length = self.sizes.of(self.producer, self.first + index as u64);
        let event = &mut self.bytes[index * max..][..max];
        add(&mut event[NUMBER], increment);
        let old_end = self.lengths[index] - END.len();
        let again = letters(self.producer, old_end - HEAD.len(), END.len());
        event[old_end..self.lengths[index]].copy_from_slice(again);
        event[length - END.len()..length].copy_from_slice(END);
        self.lengths[index] = length;
    }
}

/// What the events of a run look like, to recognise them by.
pub(crate) struct Templates {
    producers: u16,
    sizes: Sizes,
}

impl Templates {
    /// For `producers` producers and events of these sizes.
    pub(crate) fn new(producers: u16, sizes: Sizes) -> Templates {
        Templates { producers, sizes }
    }

    /// The producer and the number of an event; `None` unless every byte is as it was published.
    pub(crate) fn recognise(&self, event: &[u8]) -> Option<(usize, u64)> {
        let (head, rest) = event.split_at_checked(HEAD.len())?;
        let filler = rest.strip_suffix(END)?;
        let producer = decimal(&head[PRODUCER])? as u16;
        let number = decimal(&head[NUMBER])?;
        let same = producer < self.producers
            && event.len() == self.sizes.of(producer, number)
            && head[..PRODUCER.start] == HEAD[..PRODUCER.start]
            && head[PRODUCER.end..NUMBER.start] == HEAD[PRODUCER.end..NUMBER.start]
            && head[NUMBER.end..MOMENTS.start] == HEAD[NUMBER.end..MOMENTS.start]
            && head[MOMENTS.end..] == HEAD[MOMENTS.end..]
            && is_filler(producer, filler);
        same.then_some((usize::from(producer), number))
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

/// Writes the letters that a producer fills its events with: the alphabet again and again, from a letter of its own.
fn fill(producer: u16, filler: &mut [u8]) {
    for piece in filler.chunks_mut(PIECE) {
        piece.copy_from_slice(letters(producer, 0, piece.len()));
    }
}

/// Whether [`fill`] wrote this.
fn is_filler(producer: u16, filler: &[u8]) -> bool {
    filler.chunks(PIECE).all(|piece| piece == letters(producer, 0, piece.len()))
}

/// A piece of a producer's letters, from place `at` of its filler on.
fn letters(producer: u16, at: usize, count: usize) -> &'static [u8] {
    &LETTERS[(usize::from(producer) + at) % ALPHABET..][..count]
}

/// An event up to its filler, and what closes it.
const HEAD: &[u8] = b"{\"p\":\"000\",\"n\":\"000000000000\",\"t\":\"####################\",\"x\":\"";
const END: &[u8] = br#""}"#;
const _: () = assert!(HEAD.len() + END.len() == SIZE_MIN as usize);

const PRODUCER: Range<usize> = 6..9;
const PRODUCERS_MAX: u16 = 1_000;
const NUMBER: Range<usize> = 16..28;
const MOMENTS: Range<usize> = 35..35 + 2 * DIGITS;
/// Digits of a moment: enough for 13 days.
const DIGITS: usize = 10;
/// Digits are the 32 characters from `#` on, which need no escape in JSON.
const DIGIT_ZERO: u8 = b'#';
const DIGIT_BITS: usize = 5;
const DIGIT_MASK: u64 = 31;

const ALPHABET: usize = 26;
/// So many letters are written or compared at a time: whole alphabets, so that each time begins with the same letter.
const PIECE: usize = 40 * ALPHABET;
/// The alphabet again and again; a piece may begin with any letter.
static LETTERS: [u8; PIECE + ALPHABET] = {
    let mut letters = [0; PIECE + ALPHABET];
    let mut at = 0;
    while at < letters.len() {
        letters[at] = b'a' + (at % ALPHABET) as u8;
        at += 1;
    }
    letters
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::SizeRange;

    /// Sizes of a run; an equal begin and end is one size.
    fn sizes(min: u32, max: u32) -> Sizes {
        Sizes::new(SizeRange { min, max }, 7)
    }

    #[test]
    fn every_event_is_json_of_its_size_and_says_where_it_comes_from() {
        let one_by_one = (SIZE_MIN..150).map(|size| sizes(size, size));
        let ranges = [sizes(64, 65), sizes(64, 150), sizes(1_000, 3_000)];
        for sizes in one_by_one.chain(ranges) {
            let mut payloads = Payloads::new(3, sizes, 64);
            let templates = Templates::new(4, sizes);
            for number in 0..64 * 20 {
                let index = number as usize % 64;
                if number > 0 && index == 0 {
                    payloads.advance();
                }
                let event = payloads.event(index);
                assert_eq!(event.len(), sizes.of(3, number));
                serde_json::from_slice::<serde_json::Value>(event).expect("JSON");
                assert_eq!(templates.recognise(event), Some((3, number)), "{sizes:?}");
            }
        }
    }

    #[test]
    fn an_event_with_any_other_byte_is_not_recognised_as_itself() {
        for sizes in [sizes(80, 80), sizes(64, 4_000)] {
            let payloads = Payloads::new(1, sizes, 4);
            let templates = Templates::new(2, sizes);
            for number in 0..4 {
                let event = payloads.event(number as usize);
                assert_eq!(templates.recognise(event), Some((1, number)));
                for at in (0..event.len()).filter(|at| !MOMENTS.contains(at)) {
                    let mut event = event.to_vec();
                    event[at] ^= 1;
                    assert_ne!(templates.recognise(&event), Some((1, number)), "byte {at}");
                }
            }
        }
    }

    #[test]
    fn an_event_of_another_length_is_not_recognised_even_where_it_is_one_of_the_range() {
        let range = SizeRange { min: 64, max: 200 };
        let templates = Templates::new(2, Sizes::new(range, 7));
        let payloads = Payloads::new(1, Sizes::new(range, 7), 64);
        assert!((0..64).all(|index| templates.recognise(payloads.event(index)).is_some()));
        for index in 0..64 {
            let event = payloads.event(index);
            for length in 0..event.len() {
                assert_eq!(templates.recognise(&event[..length]), None, "cut to {length}");
            }
            for size in 64..=200 {
                let other = Payloads::new(1, Sizes::new(SizeRange { min: size, max: size }, 7), index + 1);
                let is_its_own = size as usize == event.len();
                assert_eq!(templates.recognise(other.event(index)).is_some(), is_its_own, "{size}");
            }
        }
    }

    #[test]
    fn moments_come_back_as_they_were_and_the_event_stays_json_and_itself() {
        for (due_ns, called_ns) in [(0, 0), (1, 31), (32, 123_456_789_012), ((1 << 50) - 1, 1 << 49)] {
            let mut payloads = Payloads::new(1, sizes(64, 64), 2);
            stamp(payloads.event_mut(1), due_ns, called_ns);
            assert_eq!(moments(payloads.event(1)), (due_ns, called_ns));
            assert_eq!(Templates::new(2, sizes(64, 64)).recognise(payloads.event(1)), Some((1, 1)));
            serde_json::from_slice::<serde_json::Value>(payloads.event(1)).expect("JSON");
        }
    }
}
