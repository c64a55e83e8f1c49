//! Kafka's primitive types, in both encodings: lengths of two or four bytes, and the "compact" ones of flexible versions.

use super::error::KafkaError;

/// A request that is being written.
#[derive(Default)]
pub(super) struct RequestWriter(Vec<u8>);

impl RequestWriter {
    pub(super) fn i16(&mut self, value: i16) -> &mut Self {
        self.bare(&value.to_be_bytes())
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.bare(&value.to_be_bytes())
    }

    pub(super) fn i64(&mut self, value: i64) -> &mut Self {
        self.bare(&value.to_be_bytes())
    }

    pub(super) fn bare(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A string. What is longer than a length can say is cut: settings are shorter.
    pub(super) fn string(&mut self, text: &str) -> &mut Self {
        let bytes = text.as_bytes();
        let length = i16::try_from(bytes.len()).unwrap_or(i16::MAX);
        let kept = bytes.get(..usize::try_from(length).unwrap_or(0)).unwrap_or(bytes);
        self.i16(length).bare(kept)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.i32(length).bare(bytes)
    }

    /// A varint, as Protocol Buffers have it.
    pub(super) fn unsigned(&mut self, mut value: usize) -> &mut Self {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            if value == 0 {
                return self.bare(&[low]);
            }
            self.bare(&[low | 0x80]);
        }
    }

    pub(super) fn compact_string(&mut self, text: &str) -> &mut Self {
        self.unsigned(text.len().saturating_add(1)).bare(text.as_bytes())
    }

    /// No tagged fields.
    pub(super) fn no_tags(&mut self) -> &mut Self {
        self.bare(&[0])
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A response that is being read. Every length is compared with what there is.
pub(super) struct AnswerReader<'a>(&'a [u8]);

impl<'a> AnswerReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is not read yet.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], KafkaError> {
        let (piece, rest) = self.0.split_at_checked(length).ok_or(KafkaError::Protocol("its answer ends early"))?;
        self.0 = rest;
        Ok(piece)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], KafkaError> {
        self.take(N)?.try_into().map_err(|_| KafkaError::Protocol("its answer ends early"))
    }

    pub(super) fn i16(&mut self) -> Result<i16, KafkaError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, KafkaError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Milliseconds since 1970.
    pub(super) fn time(&mut self) -> Result<u64, KafkaError> {
        let time = self.array().map(i64::from_be_bytes)?;
        u64::try_from(time).map_err(|_| KafkaError::Protocol("a time in its answer is before 1970"))
    }

    /// A string. One that is null is empty.
    pub(super) fn string(&mut self) -> Result<&'a str, KafkaError> {
        let length = self.i16()?;
        self.text(usize::try_from(length).unwrap_or(0))
    }

    /// Bytes. What is null is empty.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], KafkaError> {
        let length = self.i32()?;
        self.take(usize::try_from(length).unwrap_or(0))
    }

    fn unsigned(&mut self) -> Result<usize, KafkaError> {
        let mut value: usize = 0;
        for shift in [0, 7, 14, 21] {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(KafkaError::Protocol("a length in its answer has more than four bytes"))
    }

    pub(super) fn compact_string(&mut self) -> Result<&'a str, KafkaError> {
        let length = self.unsigned()?.saturating_sub(1);
        self.text(length)
    }

    pub(super) fn compact_bytes(&mut self) -> Result<&'a [u8], KafkaError> {
        let length = self.unsigned()?.saturating_sub(1);
        self.take(length)
    }

    /// Skips tagged fields.
    pub(super) fn tags(&mut self) -> Result<(), KafkaError> {
        for _ in 0..self.unsigned()? {
            self.unsigned()?;
            let length = self.unsigned()?;
            self.take(length)?;
        }
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<&'a str, KafkaError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| KafkaError::Protocol("a text in its answer is not UTF-8"))
    }
}
