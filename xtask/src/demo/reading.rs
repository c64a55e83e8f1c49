//! The client of a demonstration: it reads an object of S3 with what each worker has.

use std::path::Path;
use std::time::Duration;

use deputy_test_servers::boto;

use crate::failure::{Doing, Failure, Result};

/// Makes the object, with what a worker has.
const MAKER: &str = "
import boto3, os
session = boto3.Session(profile_name='s3-demo')
s3 = session.client('s3', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
s3.create_bucket(Bucket='demo')
s3.put_object(Bucket='demo', Key='greeting', Body=b'Good morning from a worker without a key.')
";

/// Reads the object again and again, each time with what a worker's file holds then, as a job that starts again does. It
/// knows AWS's shared credentials file, and nothing of Deputy.
const CLIENT: &str = "
import boto3, os, time
end = time.time() + float(os.environ['SECONDS'])
while time.time() < end:
    for worker in os.environ['WORKERS'].split():
        os.environ['AWS_SHARED_CREDENTIALS_FILE'] = worker + '/aws/credentials'
        try:
            session = boto3.Session(profile_name='s3-demo')
            s3 = session.client('s3', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
            s3.get_object(Bucket='demo', Key='greeting')['Body'].read()
            print('read', os.path.basename(worker), session.get_credentials().access_key)
        except Exception as error:
            print('failed', os.path.basename(worker), type(error).__name__, error)
    time.sleep(0.1)
";

pub(super) fn make_object(folder: &Path, endpoint: &str, worker: &str) -> Result<()> {
    let file = folder.join(worker).join("aws/credentials").display().to_string();
    let environment = [("ENDPOINT", endpoint), ("AWS_SHARED_CREDENTIALS_FILE", &*file)];
    boto(MAKER, &environment).doing(|| "writing the object".into()).map(drop)
}

/// Reads for some time, and gives what the client said.
pub(super) fn read(folder: &Path, endpoint: &str, workers: &[&str], time: Duration) -> Result<String> {
    let seconds = time.as_secs().to_string();
    let folders: Vec<_> = workers.iter().map(|worker| folder.join(worker).display().to_string()).collect();
    let folders = folders.join(" ");
    let environment = [("ENDPOINT", endpoint), ("SECONDS", &*seconds), ("WORKERS", &*folders)];
    boto(CLIENT, &environment).doing(|| "reading".into())
}

/// How many reads there were: none failed, and each worker rotated.
pub(super) fn judge(said: &str, workers: &[&str], leases: usize) -> Result<usize> {
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("failed")).collect();
    if let Some(first) = failed.first() {
        return Err(Failure::new(format!("{} reads failed, the first: {first}", failed.len())));
    }
    let mut reads = 0;
    for worker in workers {
        let begin = format!("read {worker} ");
        let mut keys: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(&begin)).collect();
        reads += keys.len();
        keys.dedup();
        if keys.len() < leases {
            let text = format!("the client saw {} leases at {worker}, where {leases} were to be seen", keys.len());
            return Err(Failure::new(text));
        }
    }
    Ok(reads)
}
