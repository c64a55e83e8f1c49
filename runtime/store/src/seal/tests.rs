use super::*;
use aws_lc_rs::rand::SystemRandom;

const VALUE: &[u8] = b"hunter2";

const STAMP: WriteStamp =
    WriteStamp { write: WriteId::from_bytes(*b"the sixteen byte"), replaced: Some(Version::new(7)) };

#[expect(clippy::disallowed_methods, reason = "a test's own random numbers")]
fn random() -> SystemRandom {
    SystemRandom::new()
}

fn master(byte: u8) -> MasterKey {
    let mut key = [byte; 32];
    key[0] = 0xff;
    MasterKey::parse(&key).unwrap()
}

fn label(key: &str) -> SealLabel {
    SealLabel::of_key(&key.parse().unwrap())
}

fn sealed() -> Vec<u8> {
    Plaintext::new(VALUE).seal(&label("lease/a"), STAMP, &master(1), &random()).unwrap()
}

#[test]
fn seal_opens_with_the_stamp_that_was_sealed() {
    for value in [b"".as_slice(), VALUE, &vec![7; 1 << 20]] {
        let file = Plaintext::new(value).seal(&label("lease/a"), STAMP, &master(1), &random()).unwrap();
        assert_eq!(file.len(), value.len() + OVERHEAD);
        let (stamp, opened) = open(file, &label("lease/a"), &master(1)).unwrap();
        assert_eq!((stamp, opened.expose()), (STAMP, value));
    }
}

#[test]
fn seal_rejects_every_flipped_bit() {
    let file = sealed();
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut file = file.clone();
            file[at] ^= 1 << bit;
            let why = open(file, &label("lease/a"), &master(1)).unwrap_err();
            match at {
                0..7 => assert_eq!(why, Corruption::Foreign),
                7 => assert!(matches!(why, Corruption::Format(_))),
                _ => assert_eq!(why, Corruption::Unsealed),
            }
        }
    }
}

#[test]
fn seal_rejects_every_missing_or_added_byte() {
    let file = sealed();
    for length in 0..file.len() {
        let why = open(file[..length].to_vec(), &label("lease/a"), &master(1)).unwrap_err();
        let expected = if length < OVERHEAD { Corruption::Cut } else { Corruption::Unsealed };
        assert_eq!(why, expected, "{length}");
    }
    let longer = [file.as_slice(), &[0]].concat();
    assert_eq!(open(longer, &label("lease/a"), &master(1)).unwrap_err(), Corruption::Unsealed);
}

#[test]
fn seal_rejects_another_name_or_master_key() {
    for (label, master) in [
        (label("lease/b"), master(1)),
        (label("worker/a"), master(1)),
        (SealLabel::of_record(), master(1)),
        (label("lease/a"), master(2)),
    ] {
        assert_eq!(open(sealed(), &label, &master).unwrap_err(), Corruption::Unsealed);
    }
}

#[test]
fn seal_never_repeats_a_salt_or_ciphertext() {
    let (one, two) = (sealed(), sealed());
    assert_eq!(one[..32], two[..32]);
    assert!(one[32..].iter().zip(&two[32..]).filter(|(a, b)| a == b).count() < 10);
}

/// The format is a promise to the files that are there: another program, with another library, wrote this one as the
/// module describes it.
#[test]
fn seal_opens_records_of_format_2_for_ever() {
    let file = include_bytes!("tests.sealed").to_vec();
    let (stamp, value) = open(file, &label("lease/a"), &master(1)).unwrap();
    assert_eq!((stamp, value.expose()), (STAMP, VALUE));
}
