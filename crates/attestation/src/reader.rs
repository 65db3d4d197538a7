//! Reads fields from the front of untrusted bytes. All numbers are little-endian.

/// The remaining bytes.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

/// The bytes end inside a field.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Truncated;

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Truncated> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn skip(&mut self, bytes: usize) -> Result<(), Truncated> {
        self.take(bytes).map(drop)
    }
}
