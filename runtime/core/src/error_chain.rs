//! An error with its causes. Errors name their own part; whatever reports one puts the parts together.

use std::error::Error;

/// The texts of an error and its causes, in one line. A cause that only repeats the one above is left out.
pub fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut last = line.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if text != last {
            line.push_str(": ");
            line.push_str(&text);
            last = text;
        }
        next = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Step(&'static str, #[source] Option<Box<Step>>);

    #[test]
    fn error_chain_lists_causes_in_order_without_repeats() {
        let error = Step("b", Some(Box::new(Step("b", Some(Box::new(Step("c", None)))))));
        assert_eq!(in_one_line(&Step("a", Some(Box::new(error)))), "a: b: c");
        assert_eq!(in_one_line(&Step("alone", None)), "alone");
    }
}
