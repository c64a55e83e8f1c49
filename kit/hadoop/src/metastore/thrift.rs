//! Thrift's binary protocol, as much of it as the calls for delegation tokens need: messages, fields, and how to skip what is
//! not known (`TBinaryProtocol`).

/// What a call is called in errors.
pub(super) const PROTOCOL_NAME: &str = "Thrift as Hive's metastore does";

/// The version and the kinds of messages: `TMessageType`.
const VERSION: u32 = 0x8001_0000;
const CALL: u32 = 1;
const REPLY: u32 = 2;
const EXCEPTION: u32 = 3;

/// Kinds of values: `TType`.
mod kind {
    pub(super) const STOP: u8 = 0;
    pub(super) const BOOL: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const DOUBLE: u8 = 4;
    pub(super) const I16: u8 = 6;
    pub(super) const I32: u8 = 8;
    pub(super) const I64: u8 = 10;
    pub(super) const STRING: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
    pub(super) const MAP: u8 = 13;
    pub(super) const SET: u8 = 14;
    pub(super) const LIST: u8 = 15;
}

/// How deep values may lie in each other.
const MAX_DEPTH: u32 = 16;

/// The bytes are no message, or end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedThrift;

/// A call of a method whose arguments are strings, numbered from one.
pub(super) fn call(method: &str, number: i32, arguments: &[&str]) -> Vec<u8> {
    let mut message = (VERSION | CALL).to_be_bytes().to_vec();
    put_string(&mut message, method);
    message.extend(number.to_be_bytes());
    for (argument, id) in arguments.iter().zip(1_i16..) {
        message.push(kind::STRING);
        message.extend(id.to_be_bytes());
        put_string(&mut message, argument);
    }
    message.push(kind::STOP);
    message
}

/// Texts here are names and tokens, far shorter than a length can say.
fn put_string(message: &mut Vec<u8>, text: &str) {
    message.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(text.bytes());
}

/// The answer to a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// The method's result: its value, if it has one.
    Result(Option<Value<'a>>),
    /// One of the exceptions that the method declares, with its text.
    Declared(&'a [u8]),
    /// The server cannot serve the call, with its text.
    Failed(&'a [u8]),
}

/// A value of a kind that results have.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Text(&'a [u8]),
    Number(i64),
}

/// Reads the answer to the call with this method and number.
pub(super) fn read_answer<'a>(message: &'a [u8], method: &str, number: i32) -> Result<Answer<'a>, MalformedThrift> {
    let mut reader = Reader(message);
    let head = reader.int()?.cast_unsigned();
    let name = reader.string()?;
    let answered = reader.int()?;
    if name != method.as_bytes() || answered != number {
        return Err(MalformedThrift);
    }
    let answer = match head.checked_sub(VERSION) {
        Some(REPLY) => read_result(&mut reader)?,
        Some(EXCEPTION) => Answer::Failed(read_text(&mut reader)?),
        _ => return Err(MalformedThrift),
    };
    if reader.0.is_empty() { Ok(answer) } else { Err(MalformedThrift) }
}

/// The result of a method: field 0 is its value, the others are exceptions.
fn read_result<'a>(reader: &mut Reader<'a>) -> Result<Answer<'a>, MalformedThrift> {
    let mut answer = Answer::Result(None);
    while let Some((kind, id)) = reader.field()? {
        answer = match (kind, id) {
            (kind::STRING, 0) => Answer::Result(Some(Value::Text(reader.string()?))),
            (kind::I64, 0) => Answer::Result(Some(Value::Number(reader.long()?))),
            (kind::STRUCT, 1..) => Answer::Declared(read_text(reader)?),
            _ => {
                reader.skip(kind, MAX_DEPTH)?;
                answer
            }
        };
    }
    Ok(answer)
}

/// The text of an exception, its field 1.
fn read_text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], MalformedThrift> {
    let mut text: &[u8] = b"";
    while let Some((kind, id)) = reader.field()? {
        match (kind, id) {
            (kind::STRING, 1) => text = reader.string()?,
            _ => reader.skip(kind, MAX_DEPTH)?,
        }
    }
    Ok(text)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], MalformedThrift> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(MalformedThrift)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn int(&mut self) -> Result<i32, MalformedThrift> {
        self.bytes().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Result<i64, MalformedThrift> {
        self.bytes().map(i64::from_be_bytes)
    }

    fn byte(&mut self) -> Result<u8, MalformedThrift> {
        self.bytes().map(|[byte]| byte)
    }

    fn string(&mut self) -> Result<&'a [u8], MalformedThrift> {
        let length = usize::try_from(self.int()?).map_err(|_| MalformedThrift)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(MalformedThrift)?;
        self.0 = rest;
        Ok(string)
    }

    /// Kind and number of the next field; `None` behind the last one.
    fn field(&mut self) -> Result<Option<(u8, i16)>, MalformedThrift> {
        match self.byte()? {
            kind::STOP => Ok(None),
            kind => Ok(Some((kind, self.bytes().map(i16::from_be_bytes)?))),
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Result<(), MalformedThrift> {
        let depth = depth.checked_sub(1).ok_or(MalformedThrift)?;
        match kind {
            kind::BOOL | kind::BYTE => self.byte().map(drop),
            kind::I16 => self.bytes::<2>().map(drop),
            kind::I32 => self.int().map(drop),
            kind::I64 | kind::DOUBLE => self.long().map(drop),
            kind::STRING => self.string().map(drop),
            kind::STRUCT => {
                while let Some((kind, _)) = self.field()? {
                    self.skip(kind, depth)?;
                }
                Ok(())
            }
            kind::LIST | kind::SET => {
                let element = self.byte()?;
                self.skip_elements(&[element], depth)
            }
            kind::MAP => {
                let elements = self.bytes::<2>()?;
                self.skip_elements(&elements, depth)
            }
            _ => Err(MalformedThrift),
        }
    }

    /// Each element takes a byte at least, so that the bytes end a count that lies.
    fn skip_elements(&mut self, kinds: &[u8], depth: u32) -> Result<(), MalformedThrift> {
        for _ in 0..u32::try_from(self.int()?).map_err(|_| MalformedThrift)? {
            for kind in kinds {
                self.skip(*kind, depth)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, unhex, vector};

    const GET: &str = "get_delegation_token";
    const RENEW: &str = "renew_delegation_token";
    const CANCEL: &str = "cancel_delegation_token";

    #[test]
    fn thrift_calls_are_those_of_hive() {
        assert_eq!(hex(&call(GET, 1, &["bob", "alice"])), vector("hive-get-request"));
        assert_eq!(hex(&call(RENEW, 2, &["token"])), vector("hive-renew-request"));
        assert_eq!(hex(&call(CANCEL, 3, &["token"])), vector("hive-cancel-request"));
    }

    #[test]
    fn thrift_answers_of_hive_are_read() {
        let text = |text: &'static [u8]| Answer::Result(Some(Value::Text(text)));
        assert_eq!(read_answer(&unhex(vector("hive-get-response")), GET, 1), Ok(text(b"token")));
        let number = Answer::Result(Some(Value::Number(1_700_086_400_000)));
        assert_eq!(read_answer(&unhex(vector("hive-renew-response")), RENEW, 2), Ok(number));
        assert_eq!(read_answer(&unhex(vector("hive-cancel-response")), CANCEL, 3), Ok(Answer::Result(None)));
        let refused = Answer::Declared(b"alice tries to renew a token with non-matching renewer yarn");
        assert_eq!(read_answer(&unhex(vector("hive-renew-refused")), RENEW, 2), Ok(refused));
        let failed = Answer::Failed(b"Internal error processing get_delegation_token");
        assert_eq!(read_answer(&unhex(vector("hive-failure")), GET, 1), Ok(failed));
    }

    #[test]
    fn thrift_answer_that_is_cut_or_longer_is_refused() {
        for (name, method, number) in [
            ("hive-get-response", GET, 1),
            ("hive-renew-response", RENEW, 2),
            ("hive-renew-refused", RENEW, 2),
            ("hive-failure", GET, 1),
        ] {
            let whole = unhex(vector(name));
            for end in 0..whole.len() {
                assert_eq!(read_answer(&whole[..end], method, number), Err(MalformedThrift), "{name} {end}");
            }
            let longer = [whole.as_slice(), b"\0"].concat();
            assert_eq!(read_answer(&longer, method, number), Err(MalformedThrift));
            assert_eq!(read_answer(&whole, method, number + 1), Err(MalformedThrift));
            assert_eq!(read_answer(&whole, "get_database", number), Err(MalformedThrift));
        }
    }

    /// An answer with this result.
    fn reply(result: &[u8]) -> Vec<u8> {
        let head = unhex(vector("hive-cancel-response"));
        [&head[..head.len() - 1], result].concat()
    }

    #[test]
    fn thrift_fields_that_are_not_known_are_skipped() {
        for field in [
            &b"\x02\0\x09\x01"[..],
            b"\x06\0\x09\0\x01",
            b"\x04\0\x09\0\0\0\0\0\0\0\0",
            b"\x0f\0\x09\x0b\0\0\0\x02\0\0\0\x01a\0\0\0\0",
            b"\x0d\0\x09\x08\x0c\0\0\0\x01\0\0\0\x07\0",
            b"\x0c\0\0\x0a\0\x01\0\0\0\0\0\0\0\0\0",
            // Other kinds in the place of the result.
            b"\x08\0\0\0\0\0\x07",
        ] {
            let answer = reply(&[field, b"\x0a\0\0\0\0\0\0\0\0\0\x07\0"].concat());
            assert_eq!(read_answer(&answer, CANCEL, 3), Ok(Answer::Result(Some(Value::Number(7)))), "{field:?}");
        }
    }

    #[test]
    fn thrift_counts_and_depths_that_lie_are_refused() {
        let deep = [b"\x0c\0\x09".repeat(1000), b"\0".repeat(1001)].concat();
        let allowed = [b"\x0c\0\0".to_vec(), b"\x0c\0\x09".repeat(15), b"\0".repeat(17)].concat();
        assert_eq!(read_answer(&reply(&allowed), CANCEL, 3), Ok(Answer::Result(None)));
        for result in [
            &b"\x0f\0\x09\x0b\x7f\xff\xff\xff\0\0\0\0\0"[..],
            b"\x0f\0\x09\x0b\xff\xff\xff\xff\0",
            // Elements of a kind that takes no byte.
            b"\x0f\0\x09\x01\x7f\xff\xff\xff\0",
            b"\x0d\0\x09\0\0\x7f\xff\xff\xff\0",
            b"\x0b\0\0\x7f\xff\xff\xffa\0",
            b"\x0b\0\0\xff\xff\xff\xffa\0",
            b"\x10\0\x09\0",
            &deep,
        ] {
            assert_eq!(read_answer(&reply(result), CANCEL, 3), Err(MalformedThrift), "{result:?}");
        }
    }
}
