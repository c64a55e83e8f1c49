use super::*;
use crate::grant::{SecretGrant, SecretPurpose};

const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000); // 2015-08-30T12:36:00Z
const HASH: &str = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";

fn to_sign(time: &str, region: &str, service: &str) -> String {
    let (day, _) = time.split_once('T').unwrap();
    format!("AWS4-HMAC-SHA256\n{time}\n{day}/{region}/{service}/aws4_request\n{HASH}")
}

fn permit(time: &str, region: &str, service: &str, now: Timestamp) -> Result<Sigv4Permit, PolicyDenial> {
    let grant = Sigv4Grant::new(vec!["sts".into()], vec!["eu-west-1".into(), "us-east-1".into()]).unwrap();
    let grant = SecretGrant::new(Some(SecretPurpose::Sigv4(grant)), false);
    grant.permit_sigv4(&"aws-key".parse().unwrap(), to_sign(time, region, service).parse().unwrap(), now)
}

#[test]
fn sigv4_grant_permits_the_granted_service_and_region() {
    for region in ["eu-west-1", "us-east-1"] {
        let permit = permit("20150830T123600Z", region, "sts", NOW).unwrap();
        let text = to_sign("20150830T123600Z", region, "sts");
        assert_eq!((permit.text(), permit.time(), permit.day()), (text.as_str(), NOW, "20150830"));
        assert_eq!((permit.region(), permit.service()), (region, "sts"));
    }
}

#[test]
fn sigv4_grant_permits_a_quarter_of_an_hour_around_now() {
    for (time, granted) in [
        ("20150830T123600Z", true),
        ("20150830T125100Z", true),
        ("20150830T122100Z", true),
        ("20150830T125101Z", false),
        ("20150830T122059Z", false),
        ("20150830T133600Z", false),
        ("20150831T123600Z", false),
        ("20150829T123600Z", false),
        ("20990101T123600Z", false),
        ("19700101T000000Z", false),
    ] {
        assert_eq!(permit(time, "us-east-1", "sts", NOW).is_ok(), granted, "{time}");
    }
    // A day ends within the quarter.
    let midnight = CivilDate { year: 2015, month: 8, day: 31 }.midnight().unwrap();
    for time in ["20150830T234500Z", "20150830T235959Z", "20150831T000000Z", "20150831T001500Z"] {
        assert!(permit(time, "us-east-1", "sts", midnight).is_ok(), "{time}");
    }
}

#[test]
fn sigv4_grant_denials_have_a_code_for_each_parameter() {
    for (time, region, service, expected) in [
        ("20150830T123600Z", "eu-west-1", "s3", "service-not-granted"),
        ("20150830T123600Z", "eu-west-2", "sts", "region-not-granted"),
        ("20150830T123600Z", "EU-WEST-1", "sts", "region-not-granted"),
        ("20150830T125600Z", "eu-west-1", "sts", "time-not-granted"),
        ("20150831T123600Z", "eu-west-1", "sts", "time-not-granted"),
    ] {
        assert_eq!(permit(time, region, service, NOW).unwrap_err().code(), expected, "{time} {region} {service}");
    }
}

#[test]
fn sigv4_grant_signs_only_a_valid_string_to_sign() {
    let good = to_sign("20150830T123600Z", "us-east-1", "sts");
    assert!(good.parse::<StringToSign>().is_ok());
    let bad = [
        String::new(),
        "20150830".into(), // the first link of the key chain
        format!("{good}\n"),
        good.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256-PAYLOAD"),
        good.replace("AWS4-HMAC", "aws4-HMAC"),
        good.replace("T123600Z", "T12360Z"),
        good.replace("T123600Z", "T1236000Z"),
        good.replace("T123600Z", "123600Z"),
        good.replace("T123600Z", "T123600"),
        good.replace("T123600Z", "T12360aZ"),
        good.replace("20150830T", "20150831T"),
        good.replace("20150830", "2015083"),
        good.replace("20150830", "2015083a"),
        good.replace("20150830", "20150431"),
        good.replace("20150830", "20151301"),
        good.replace("20150830", "19691231"),
        good.replace("20150830", "00000000"),
        good.replace("20150830", "201508é"),
        good.replace("20150830", ""),
        good.replace("T123600Z", "T243600Z"),
        good.replace("T123600Z", "T126000Z"),
        good.replace("T123600Z", "T123660Z"),
        good.replace("T123600Z", "T+23600Z"),
        good.replace("T123600Z", "TZ"),
        good.replace("aws4_request", "aws4_requests"),
        good.replace("aws4_request", "aws4_request/x"),
        good.replace("/us-east-1", ""),
        good.replace("us-east-1", ""),
        good.replace("us-east-1", "us_east"),
        good.replace("sts", ""),
        good.replace("sts", "st s"),
        good.replace('\n', "\r\n"),
        good.replace("f536", "F536"),
        good.replace("f536", "g536"),
        good.replace("f536", "f53"),
        good.replace("f536", "f5366"),
    ];
    for text in bad {
        assert_eq!(text.parse::<StringToSign>(), Err(StringToSignError), "{text:?}");
    }
}
