// Reads an object of a bucket again and again with AWS's SDK for JavaScript, until a file is there. It ends with the first
// read that fails.
const { existsSync } = require("node:fs");
const { setTimeout: pause } = require("node:timers/promises");
const { GetObjectCommand, S3Client } = require("@aws-sdk/client-s3");

async function main() {
  const s3 = new S3Client({ forcePathStyle: true });
  while (!existsSync(process.env.UNTIL)) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: "bucket", Key: process.env.OBJECT }));
    await Body.transformToString();
    await pause(1000);
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
