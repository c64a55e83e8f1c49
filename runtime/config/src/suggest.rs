//! Suggesting the word that was meant.

/// The known word that is nearest to what was written, if one is near.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance takes time by the product of both lengths.
    if written.len() > 100 {
        return None;
    }
    let written = normalized(written);
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&written, &normalized(word)), word))
        .filter(|(distance, word)| *distance <= word.len().max(3) / 3)
        .min()
        .map(|(_, word)| word)
}

fn normalized(text: &str) -> String {
    text.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestion_is_made_for_a_near_word_alone() {
        let known = ["allow", "methods", "paths", "client-certificate"];
        assert_eq!(nearest("method", known), Some("methods"));
        assert_eq!(nearest("mehtods", known), Some("methods"), "swapped letters are one mistake");
        assert_eq!(nearest("CLIENT_CERTIFICATE", known), Some("client-certificate"));
        assert_eq!(nearest("path", known), Some("paths"));
        assert_eq!(nearest("url", known), None);
        assert_eq!(nearest("", known), None);
    }
}
