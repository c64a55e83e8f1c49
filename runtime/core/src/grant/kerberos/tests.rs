use super::*;
use crate::grant::{HttpPattern, HttpRule, HttpTarget, PathRules, RequestOptions};
use crate::{Krb5Conf, TicketSource};

fn login() -> LoginPlan {
    LoginPlan {
        name: "etl".parse().unwrap(),
        principal: "alice@R".parse().unwrap(),
        tickets: TicketSource::Keytab("alice.keytab".into()),
        krb5_conf: Krb5Conf::File("/etc/krb5.conf".into()),
    }
}

fn grant(targets: &[&str]) -> Grant {
    let targets = targets.iter().map(|text| text.parse().unwrap()).collect();
    let http = HttpRule {
        pattern: "https://web.example.com".parse::<HttpPattern>().unwrap(),
        methods: Vec::new(),
        paths: PathRules::Any,
        overrides: Vec::new(),
        networks: Vec::new(),
        send: RequestOptions::default(),
    };
    Grant {
        http: vec![http],
        tcp: vec!["nn1.example.com:8020".parse().unwrap(), "*.hbase.example.com:16020".parse().unwrap()],
        kerberos: Some(KerberosGrant { login: login(), targets }),
        ..Grant::default()
    }
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

fn permitted(grant: &Grant, asked: &str, connected: &[Host]) -> Result<String, &'static str> {
    grant.permit_context(asked, connected).map(|permit| permit.target().to_string()).map_err(|denial| denial.code())
}

#[test]
fn kerberos_target_survives_the_round_trip() {
    for text in ["hdfs/nn1.example.com@EXAMPLE.COM", "hbase/_HOST@EXAMPLE.COM", "HTTP/localhost@R"] {
        assert_eq!(text.parse::<KerberosTarget>().unwrap().to_string(), text);
    }
}

#[test]
fn kerberos_target_that_is_no_service_on_a_host_is_rejected() {
    for text in ["alice@R", "hdfs/a/b@R", "hdfs/*@R", "hdfs/127.1@R", "hdfs/nn1", "krbtgt/R@", "/_HOST@R"] {
        assert!(text.parse::<KerberosTarget>().is_err(), "{text}");
    }
}

/// What the host would add to a request to this URL, by a rule for hosts below `example.com` with this target.
fn negotiated(negotiate: &str, host: &str, is_own: bool) -> Result<Option<String>, &'static str> {
    let mut grant = grant(&[]);
    let rule = &mut grant.http[0];
    rule.pattern = "https://*.example.com".parse().unwrap();
    rule.send.negotiate = Some(negotiate.parse().unwrap());
    let request = HttpTarget::parse("https", host, "GET", "/", []).unwrap();
    let permit = grant.permit_http(&request).unwrap();
    let negotiated = grant.permit_negotiate(&permit, is_own).map_err(|denial| denial.code())?;
    Ok(negotiated.map(|permit| permit.target().to_string()))
}

#[test]
fn kerberos_negotiate_is_for_the_host_of_the_request() {
    let any = "HTTP/_HOST@R";
    assert_eq!(negotiated(any, "a.example.com", false), Ok(Some("HTTP/a.example.com@R".to_owned())));
    assert_eq!(negotiated(any, "A.example.com", false), Ok(Some("HTTP/a.example.com@R".to_owned())));
    let one = "HTTP/a.example.com@R";
    assert_eq!(negotiated(one, "a.example.com", false), Ok(Some(one.to_owned())));
    assert_eq!(negotiated(one, "b.example.com", false), Err("target-not-granted"), "it could pass it on to a");
    assert_eq!(negotiated(any, "a.example.com", true), Err("authorization-not-allowed"));
}

#[test]
fn kerberos_negotiate_needs_a_login_and_a_rule_that_has_it() {
    let mut grant = grant(&["HTTP/web.example.com@R"]);
    let permit = |grant: &Grant| {
        let request = HttpTarget::parse("https", "web.example.com", "GET", "/", []).unwrap();
        grant.permit_http(&request).unwrap()
    };
    assert_eq!(grant.permit_negotiate(&permit(&grant), true), Ok(None), "its own header is not the host's matter");
    grant.http[0].send.negotiate = Some("HTTP/web.example.com@R".parse().unwrap());
    grant.kerberos = None;
    assert_eq!(grant.permit_negotiate(&permit(&grant), false), Err(PolicyDenial::Kerberos));
}

#[test]
fn kerberos_context_is_for_the_granted_principal_alone() {
    let grant = grant(&["hdfs/nn1.example.com@R"]);
    for asked in ["hdfs/nn1.example.com@R", "hdfs/nn1.example.com"] {
        assert_eq!(permitted(&grant, asked, &[]), Ok("hdfs/nn1.example.com@R".to_owned()));
    }
    for asked in [
        "",
        "hdfs",
        "hdfs/nn2.example.com@R",
        "HDFS/nn1.example.com@R",
        "hdfs/NN1.example.com@R",
        "hdfs/nn1.example.com@S",
        "hdfs/nn1.example.com@",
        "hdfs/nn1.example.com@R@R",
        "hdfs/nn1.example.com@R\0",
        "krbtgt/R@R",
    ] {
        assert_eq!(permitted(&grant, asked, &[]), Err("target-not-granted"), "{asked:?}");
    }
    assert_eq!(permitted(&Grant::default(), "hdfs/nn1.example.com@R", &[]), Err("kerberos-not-granted"));
}

#[test]
fn kerberos_context_needs_a_host_of_the_network_rules() {
    let grant = grant(&["hdfs/nn9.example.com@R", "http/web.example.com@R"]);
    assert_eq!(permitted(&grant, "hdfs/nn9.example.com@R", &[]), Err("target-host-not-granted"));
    assert!(permitted(&grant, "http/web.example.com@R", &[]).is_ok(), "a host of an HTTP rule");
}

#[test]
fn kerberos_context_for_any_host_needs_a_connection_to_it() {
    let grant = grant(&["hbase/_HOST@R"]);
    let connected = [host("rs1.hbase.example.com")];
    for asked in ["hbase/rs1.hbase.example.com@R", "hbase/rs1.hbase.example.com"] {
        assert_eq!(permitted(&grant, asked, &connected), Ok("hbase/rs1.hbase.example.com@R".to_owned()));
        assert_eq!(permitted(&grant, asked, &[]), Err("target-not-connected"));
    }
    for (asked, code) in [
        ("hbase/rs2.hbase.example.com@R", "target-not-connected"),
        ("hbase/rs1.other.example.com@R", "target-host-not-granted"),
        ("hdfs/rs1.hbase.example.com@R", "target-not-granted"),
        ("hbase/rs1.hbase.example.com@S", "target-not-granted"),
        ("hbase/RS1.hbase.example.com@R", "target-not-granted"),
        ("hbase/_HOST@R", "target-not-granted"),
        ("hbase/rs1.hbase.example.com/x@R", "target-not-granted"),
        ("hbase", "target-not-granted"),
    ] {
        assert_eq!(permitted(&grant, asked, &connected), Err(code), "{asked}");
    }
}
