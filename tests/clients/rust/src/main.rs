//! Reads an object of a bucket again and again with AWS's SDK for Rust, until a file is there. It ends with the first read that
//! fails.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::from_env().http_client(http).load().await;
    let settings = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(settings);
    let (object, until) = (std::env::var("OBJECT")?, std::env::var("UNTIL")?);
    while !Path::new(&until).exists() {
        client.get_object().bucket("bucket").key(&object).send().await?.body.collect().await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
