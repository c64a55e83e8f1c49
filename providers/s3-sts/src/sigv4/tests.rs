//! AWS's published cases, all of them.

use super::*;
use std::fs;
use std::path::{Path, PathBuf};

const SCOPE: Scope = Scope { date: "20150830T123600Z", region: "us-east-1", service: "service" };

struct Case {
    name: String,
    folder: PathBuf,
}

impl Case {
    fn file(&self, extension: &str) -> String {
        fs::read_to_string(self.folder.join(&self.name).with_extension(extension)).unwrap()
    }

    /// Reads the `.req`, whose first line may hold spaces in its path, and whose headers may be folded.
    fn canonical(&self) -> Canonical {
        let request = self.file("req");
        let (head, body) = request.split_once("\n\n").unwrap_or((&request, ""));
        let (line, headers) = head.split_once('\n').unwrap();
        let (method, rest) = line.split_once(' ').unwrap();
        let target = rest.strip_suffix(" HTTP/1.1").unwrap();
        let unfolded = headers.trim_end().replace("\n ", " ");
        let headers: Vec<(&str, &str)> = unfolded.lines().map(|line| line.split_once(':').unwrap()).collect();
        canonical(&Request { method, target, headers: &headers, body: body.as_bytes() })
    }
}

fn cases() -> Vec<Case> {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/sigv4");
    let folders = fs::read_dir(suite).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let cases: Vec<Case> =
        folders.map(|folder| Case { name: folder.file_name().unwrap().to_str().unwrap().to_owned(), folder }).collect();
    assert_eq!(cases.len(), 33, "cases were lost or added");
    cases
}

#[test]
fn sigv4_canonical_requests_match_the_test_suite() {
    for case in cases() {
        assert_eq!(case.canonical().text, case.file("creq"), "{}", case.name);
    }
}

#[test]
fn sigv4_strings_to_sign_match_the_test_suite() {
    for case in cases() {
        assert_eq!(string_to_sign(&SCOPE, &case.canonical()), case.file("sts"), "{}", case.name);
    }
}

#[test]
fn sigv4_authorization_headers_match_the_test_suite() {
    for case in cases() {
        let published = case.file("authz");
        let (_, signature) = published.rsplit_once("Signature=").unwrap();
        assert_eq!(authorization("AKIDEXAMPLE", &SCOPE, &case.canonical(), signature), published, "{}", case.name);
    }
}
