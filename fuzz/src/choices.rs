//! Choices taken from the first bytes of an input, so that the fuzzer varies settings as it varies content.
//!
//! Not here: what is done under the choices.

/// Bits, taken one choice after the other from the bytes in front of the content.
pub(crate) struct Choices {
    bits: u32,
}

/// Bytes in front of the content.
const CHOICE_BYTES: usize = 2;

/// Splits an input into choices and content; `None` when it is too short for both.
pub(crate) fn split(bytes: &[u8]) -> Option<(Choices, &[u8])> {
    let (front, content) = bytes.split_at_checked(CHOICE_BYTES)?;
    let bits = front.iter().fold(0, |bits, byte| (bits << 8) | u32::from(*byte));
    Some((Choices { bits }, content))
}

impl Choices {
    /// All bits, as one number under which what was made of them can be remembered.
    pub(crate) fn number(&self) -> u32 {
        self.bits
    }

    /// One of `among`; the first when no bits are left.
    pub(crate) fn of<T: Copy>(&mut self, among: &[T]) -> T {
        let count = u32::try_from(among.len()).expect("choices are few");
        let at = self.bits % count;
        self.bits /= count;
        among[usize::try_from(at).expect("a remainder below the length")]
    }

    /// Yes or no; no when no bits are left.
    pub(crate) fn flag(&mut self) -> bool {
        self.of(&[false, true])
    }
}
