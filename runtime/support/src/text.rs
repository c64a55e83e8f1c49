//! Text from elsewhere, made fit for a log line or a table.

/// Replaces control characters, line breaks among them, with spaces.
pub fn single_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Bytes in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        for nibble in [byte >> 4, byte & 0xf] {
            digits.extend(char::from_digit(nibble.into(), 16));
        }
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_line_replaces_controls_and_keeps_the_rest() {
        assert_eq!(single_line("a\r\nb\u{1b}[2Jé\u{85}\t"), "a  b [2Jé  ");
    }

    #[test]
    fn hex_has_two_lower_case_digits_per_byte() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(hex(&[]), "");
    }
}
