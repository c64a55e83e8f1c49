//! Finds secrets, in every form in which they might have got away.

/// Texts to look for, by their first two bytes: one walk through what is searched finds any of them.
pub(crate) struct SecretSearch(Vec<Vec<String>>);

impl SecretSearch {
    /// Searches for all forms of these values.
    pub(crate) fn new<'v>(values: impl Iterator<Item = &'v String>) -> Self {
        let mut by_start = vec![Vec::new(); 1 << 16];
        for form in values.flat_map(|value| encodings(value)) {
            by_start[start(form.as_bytes())].push(form);
        }
        Self(by_start)
    }

    pub(crate) fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        (1..bytes.len()).find_map(|end| {
            let rest = &bytes[end - 1..];
            self.0[start(rest)].iter().find(|form| rest.starts_with(form.as_bytes())).map(String::as_str)
        })
    }
}

fn start(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn encodings(value: &str) -> Vec<String> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") };
    let mut forms = vec![value.to_owned(), hex.to_uppercase(), hex, value.bytes().map(percent).collect()];
    for before in 0..3 {
        let letters = base64_behind(before, value.as_bytes());
        forms.push(letters.replace('+', "-").replace('/', "_"));
        forms.push(letters);
    }
    forms
}

/// The letters of bytes that stand in the middle of others, this number behind a multiple of three. Those that hold bits of
/// the others as well are left out.
fn base64_behind(before: usize, bytes: &[u8]) -> String {
    let mut letters = base64(&[&vec![0; before][..], bytes].concat());
    if !(before + bytes.len()).is_multiple_of(3) {
        letters.pop();
    }
    letters.split_off((before * 8).div_ceil(6))
}

/// In Base64, without padding.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = |three: &[u8]| {
        let number = (0..3).fold(0, |number, at| number << 8 | u32::from(*three.get(at).unwrap_or(&0)));
        (0..=three.len())
            .map(move |at| char::from(LETTERS[(number >> (18 - 6 * at)) as usize % 64]))
            .collect::<String>()
    };
    bytes.chunks(3).map(letters).collect()
}
