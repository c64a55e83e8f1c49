use super::*;
use proptest::prelude::*;

const LEASE: Namespace = Namespace::new("lease");

#[test]
fn key_is_made_of_an_instance_name() {
    let name: InstanceName = "s3-prod".parse().unwrap();
    let key = StoreKey::of_instance(&LEASE, &name);
    assert_eq!((key.to_string().as_str(), key.namespace(), key.name()), ("lease/s3-prod", &LEASE, "s3-prod"));
    assert_eq!(key, StoreKey::new(&LEASE, "s3-prod").unwrap());
}

#[test]
fn key_rejects_ambiguous_text() {
    let long = "a".repeat(129);
    for text in [
        "",
        "lease",
        "/a",
        "lease/",
        "lease/-a",
        "lease/a-",
        "Lease/a",
        "lease2/a",
        "lease/a/b",
        "lease/..",
        "lease/a.b",
        "lease/a b",
        "lease/a\n",
        "lease/ä",
        "-lease/a",
        "../a",
        &format!("lease/{long}"),
        &format!("{long}/a"),
    ] {
        let error = text.parse::<StoreKey>().unwrap_err().to_string();
        assert!(error.contains(": "), "{error}");
    }
}

#[test]
fn key_prefix_contains_its_namespace_alone() {
    let [lease, other]: [StoreKey; 2] = ["lease/a", "leases/a"].map(|text| text.parse().unwrap());
    assert!(KeyPrefix::All.contains(&lease) && KeyPrefix::All.contains(&other));
    assert!(KeyPrefix::Namespace(LEASE).contains(&lease) && !KeyPrefix::Namespace(LEASE).contains(&other));
}

proptest! {
    #[test]
    fn key_survives_the_round_trip(text in "[a-z]([a-z-]{0,20}[a-z])?/[a-z0-9]([a-z0-9-]{0,120}[a-z0-9])?") {
        let key: StoreKey = text.parse().unwrap();
        prop_assert_eq!(key.to_string(), text);
    }

    #[test]
    fn key_is_safe_in_a_file_name(text in "\\PC{0,12}/\\PC{0,12}") {
        if let Ok(key) = text.parse::<StoreKey>() {
            let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            prop_assert!(key.namespace().as_str().chars().chain(key.name().chars()).all(safe));
            prop_assert_eq!(key.to_string(), text);
        }
    }
}
