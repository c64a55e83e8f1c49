// Reads an object of a bucket again and again with AWS's SDK for Go, until a file is there. It ends with the first read that fails.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client := s3.NewFromConfig(settings, func(options *s3.Options) { options.UsePathStyle = true })
	for {
		if _, err := os.Stat(os.Getenv("UNTIL")); err == nil {
			return
		}
		object, err := client.GetObject(ctx, &s3.GetObjectInput{
			Bucket: aws.String("bucket"),
			Key:    aws.String(os.Getenv("OBJECT")),
		})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, object.Body); err != nil {
			log.Fatal(err)
		}
		object.Body.Close()
		time.Sleep(time.Second)
	}
}
