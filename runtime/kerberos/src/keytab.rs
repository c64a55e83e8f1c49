//! The keytab file format, version 0x0502: the principals and the types of their keys. The keys themselves are skipped.
//!
//! Source: MIT Kerberos, "The keytab file format" (`doc/formats/keytab_file_format.rst`). All numbers are big-endian.
//! The Kerberos library reads the same file again: this parser exists because the library says "no credentials cache
//! found" of a file that is missing, damaged, or for another principal.

use crate::KeyType;

/// The first two bytes of a file.
const VERSION: [u8; 2] = [5, 2];

/// Components of a principal in any real keytab.
const MOST_PARTS: u16 = 16;

/// One key of a keytab, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeytabEntry {
    /// The principal's whole name. Bytes that are no UTF-8 are replaced.
    pub principal: String,
    /// The key's version at the KDC.
    pub version: u32,
    pub key_type: KeyType,
}

/// Why bytes are no keytab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeytabError {
    /// It begins with other bytes.
    #[error("it is not a keytab: it does not begin with the bytes 05 02")]
    Version,
    /// A record is longer than the file, or its parts are longer than the record.
    #[error("it is damaged: the record at byte {0} is cut off or malformed")]
    Record(usize),
}

/// Reads all entries, in the order of the file.
///
/// # Errors
/// If it is no keytab, or damaged.
pub fn parse_keytab(bytes: &[u8]) -> Result<Vec<KeytabEntry>, KeytabError> {
    let mut rest = bytes.strip_prefix(&VERSION).ok_or(KeytabError::Version)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (length, after) = rest.split_first_chunk().ok_or(KeytabError::Record(at))?;
        let length = i32::from_be_bytes(*length);
        // A negative length is a hole that a deletion left. Zero ends the file for the library, too.
        if length == 0 {
            break;
        }
        let size = usize::try_from(length.unsigned_abs()).map_err(|_| KeytabError::Record(at))?;
        let (record, after) = after.split_at_checked(size).ok_or(KeytabError::Record(at))?;
        if length > 0 {
            entries.push(Record(record).entry().ok_or(KeytabError::Record(at))?);
        }
        rest = after;
    }
    Ok(entries)
}

/// What is left of a record.
struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    fn entry(mut self) -> Option<KeytabEntry> {
        let parts = self.u16()?;
        if parts > MOST_PARTS {
            return None;
        }
        let realm = self.text()?;
        let names = (0..parts).map(|_| self.text()).collect::<Option<Vec<_>>>()?;
        // The name's type and the time of the entry.
        self.take(8)?;
        let [short_version] = self.array()?;
        let key_type = KeyType(self.u16()?);
        let key = self.u16()?;
        self.take(usize::from(key))?;
        // Newer files repeat the version in 32 bits; zero means that the one byte counts.
        let version = self.array().map(u32::from_be_bytes).filter(|version| *version != 0);
        Some(KeytabEntry {
            principal: format!("{}@{realm}", names.join("/")),
            version: version.unwrap_or(u32::from(short_version)),
            key_type,
        })
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u16()?;
        self.take(usize::from(length)).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record with one key of four bytes.
    fn record(principal: &[&str], realm: &str, key_type: u16, tail: &[u8]) -> Vec<u8> {
        let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        let mut body = u16::try_from(principal.len()).unwrap().to_be_bytes().to_vec();
        body.extend(text(realm));
        body.extend(principal.iter().flat_map(|part| text(part)));
        body.extend([0, 0, 0, 1, 0, 0, 0, 0, 7]);
        body.extend(key_type.to_be_bytes());
        body.extend([0, 4, 1, 2, 3, 4]);
        body.extend(tail);
        [&i32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
    }

    #[test]
    fn keytab_entries_have_principal_version_and_type() {
        let service = record(&["hdfs", "nn1.example.com"], "EXAMPLE.COM", 18, &[]);
        let user = record(&["alice"], "EXAMPLE.COM", 20, &300_u32.to_be_bytes());
        let hole = [&(-5_i32).to_be_bytes()[..], &[0; 5]].concat();
        let entries = parse_keytab(&[&VERSION[..], &service, &hole, &user].concat()).unwrap();
        let seen: Vec<_> = entries.iter().map(|it| (it.principal.as_str(), it.version, it.key_type.0)).collect();
        assert_eq!(seen, [("hdfs/nn1.example.com@EXAMPLE.COM", 7, 18), ("alice@EXAMPLE.COM", 300, 20)]);
    }

    #[test]
    fn keytab_with_another_beginning_is_rejected() {
        for bytes in [&b""[..], b"\x05", b"\x05\x01", b"-----BEGIN"] {
            assert_eq!(parse_keytab(bytes), Err(KeytabError::Version));
        }
        assert_eq!(parse_keytab(&VERSION), Ok(Vec::new()));
    }

    #[test]
    fn keytab_cut_off_anywhere_is_rejected() {
        let whole = [&VERSION[..], &record(&["alice"], "R", 18, &[])].concat();
        for length in 3..whole.len() {
            assert_eq!(parse_keytab(&whole[..length]), Err(KeytabError::Record(2)), "{length}");
        }
        assert!(parse_keytab(&whole).is_ok());
    }

    #[test]
    fn keytab_lengths_beyond_the_record_are_rejected() {
        let huge = [&VERSION[..], &i32::MAX.to_be_bytes(), &[0; 40]].concat();
        assert_eq!(parse_keytab(&huge), Err(KeytabError::Record(2)));
        let least = [&VERSION[..], &i32::MIN.to_be_bytes(), &[0; 40]].concat();
        assert_eq!(parse_keytab(&least), Err(KeytabError::Record(2)));
        let many_parts = [&VERSION[..], &[0, 0, 0, 4, 0xff, 0xff, 0, 0]].concat();
        assert_eq!(parse_keytab(&many_parts), Err(KeytabError::Record(2)));
    }

    proptest! {
        #[test]
        fn keytab_parser_accepts_any_bytes(bytes: Vec<u8>) {
            drop(parse_keytab(&[&VERSION[..], &bytes].concat()));
        }
    }
}
