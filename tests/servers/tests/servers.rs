//! The servers start, do what tests need of them, and end.

use std::net::{Ipv4Addr, TcpListener};

use deputy_test_servers::{Moto, OAuth2, OidcProvider, Place, Seaweed, boto, get};

const ASSUME: &str = "
import boto3, os
sts = boto3.client('sts', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
c = sts.assume_role(RoleArn='arn:aws:iam::role/worker', RoleSessionName='test', DurationSeconds=900)['Credentials']
s3 = boto3.client('s3', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1', aws_access_key_id=c['AccessKeyId'],
                  aws_secret_access_key=c['SecretAccessKey'], aws_session_token=c['SessionToken'])
s3.create_bucket(Bucket='bucket')
s3.put_object(Bucket='bucket', Key='k', Body=b'hello')
print(s3.get_object(Bucket='bucket', Key='k')['Body'].read().decode())
";

/// Reads an object with a session that another script printed last.
const READ: &str = "
import boto3, os
key, secret, token = os.environ['SESSION'].split()[-3:]
s3 = boto3.client('s3', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1', aws_access_key_id=key,
                  aws_secret_access_key=secret, aws_session_token=token)
print(s3.get_object(Bucket='bucket', Key='k')['Body'].read().decode())
";

fn assume(endpoint: &str, secret: &str) -> Result<String, deputy_test_servers::Error> {
    let key = [("AWS_ACCESS_KEY_ID", Seaweed::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", secret), ("ENDPOINT", endpoint)];
    boto(ASSUME, &key)
}

#[test]
fn seaweed_sessions_work_and_wrong_keys_fail() {
    let seaweed = Seaweed::start().unwrap();
    assert_eq!(assume(&seaweed.endpoint(), Seaweed::SECRET_KEY).unwrap(), "hello\n");
    let refused = assume(&seaweed.endpoint(), "a/wrong/key").unwrap_err().to_string();
    assert!(refused.contains("AssumeRole operation"), "{refused}");
}

#[test]
fn seaweed_restart_keeps_objects_and_sessions() {
    let place = Place::new().unwrap();
    let seaweed = Seaweed::start_at(&place).unwrap();
    let assume = format!("{ASSUME}print(c['AccessKeyId'], c['SecretAccessKey'], c['SessionToken'])");
    let key = [("AWS_ACCESS_KEY_ID", Seaweed::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", Seaweed::SECRET_KEY)];
    let endpoint = seaweed.endpoint();
    let said = boto(&assume, &[&key[..], &[("ENDPOINT", &endpoint)]].concat()).unwrap();
    drop(seaweed);
    assert!(boto(READ, &[("ENDPOINT", &endpoint), ("SESSION", &said)]).is_err(), "it still answers");
    let seaweed = Seaweed::start_at(&place).unwrap();
    assert_eq!(seaweed.endpoint(), endpoint);
    assert_eq!(boto(READ, &[("ENDPOINT", &endpoint), ("SESSION", &said)]).unwrap(), "hello\n");
}

#[test]
fn moto_gives_a_session_token() {
    let moto = Moto::start().unwrap();
    let script = "
import boto3, os
sts = boto3.client('sts', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
print(sts.get_session_token()['Credentials']['AccessKeyId'])";
    let key = [("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any"), ("ENDPOINT", &moto.endpoint())];
    assert!(boto(script, &key).unwrap().starts_with("A"));
}

#[test]
fn server_paused_hangs_until_resumed() {
    let moto = Moto::start().unwrap();
    moto.server().signal("STOP").unwrap();
    assert!(get(moto.port(), "/moto-api/data.json").is_none());
    moto.server().signal("CONT").unwrap();
    assert!(get(moto.port(), "/moto-api/data.json").is_some());
}

#[test]
fn oauth2_gives_a_token_to_a_client() {
    let oauth2 = OAuth2::start().unwrap();
    let script = "
import json, os, urllib.request
form = b'grant_type=client_credentials&client_id=a&client_secret=b&scope=c'
print(json.load(urllib.request.urlopen(os.environ['URL'], data=form))['token_type'])";
    assert_eq!(boto(script, &[("URL", &oauth2.token_url())]).unwrap(), "Bearer\n");
}

#[test]
fn oidc_provider_takes_a_refresh_token_once() {
    let server = OidcProvider::start(60).unwrap();
    let script = "
import json, os, urllib.error, urllib.parse, urllib.request
def refresh(token):
    form = {'grant_type': 'refresh_token', 'refresh_token': token, 'client_id': os.environ['ID'],
            'client_secret': os.environ['SECRET']}
    try:
        url = 'http://127.0.0.1:%s/token' % os.environ['PORT']
        return json.load(urllib.request.urlopen(url, data=urllib.parse.urlencode(form).encode()))
    except urllib.error.HTTPError as error:
        return json.load(error)
first = os.environ['FIRST']
second = refresh(first)['refresh_token']
third = refresh(second)['refresh_token']
print(len({first, second, third}), refresh(second)['error'], refresh(third)['error'])";
    let first = server.login().unwrap();
    let port = server.port().to_string();
    let variables =
        [("ID", OidcProvider::CLIENT), ("SECRET", OidcProvider::SECRET), ("PORT", &port), ("FIRST", &first)];
    assert_eq!(boto(script, &variables).unwrap(), "3 invalid_grant invalid_grant\n", "a repetition ends the grant");
}

#[test]
fn server_ends_with_its_folder_on_drop() {
    let server = OAuth2::start().unwrap();
    let (port, folder) = (server.port(), server.server().folder().to_owned());
    assert!(get(port, "/jwks").is_some());
    drop(server);
    assert!(get(port, "/jwks").is_none(), "it still answers");
    assert!(!folder.exists(), "its folder is still there");
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("its port can be used again");
}
