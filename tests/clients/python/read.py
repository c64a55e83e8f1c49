"""Reads an object of a bucket again and again with one library, until a file is there. It ends with the first read that fails.

The libraries find their credentials by their environment alone.
"""

import os
import sys
import time


def boto3():
    import boto3

    s3 = boto3.client("s3")
    return lambda key: s3.get_object(Bucket="bucket", Key=key)["Body"].read()


def pyarrow():
    names = {}
    exec(open("open.py").read(), names)
    s3 = names["s3"]
    return lambda key: s3.open_input_stream(f"bucket/{key}").read()


def s3fs():
    import s3fs

    s3 = s3fs.S3FileSystem()
    return lambda key: s3.cat_file(f"bucket/{key}")


def duckdb():
    import duckdb

    extensions = [os.path.dirname(__import__(f"duckdb_extension_{name}").__file__) for name in ("httpfs", "aws")]
    database = duckdb.connect(config={"autoinstall_known_extensions": False, "home_directory": os.getcwd()})
    for name, folder in zip(("httpfs", "aws"), extensions):
        database.load_extension(f"{folder}/extensions/v{duckdb.__version__}/{name}.duckdb_extension")
    database.execute("SET enable_external_file_cache = false")
    database.execute(open("secret.sql").read())
    return lambda key: database.execute(f"SELECT content FROM read_blob('s3://bucket/{key}')").fetchone()[0]


def rclone():
    import ctypes
    import signal
    import socket
    import subprocess
    import urllib.request

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["serve", "http", "s3:bucket", "--config", "rclone.conf", "--addr", f"127.0.0.1:{port}", "--dir-cache-time", "1s"]
    # PR_SET_PDEATHSIG: it ends with this program, however that ends.
    end_with_parent = lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    subprocess.Popen([os.environ["RCLONE"], *command], preexec_fn=end_with_parent)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    return lambda key: urllib.request.urlopen(f"http://127.0.0.1:{port}/{key}").read()


read = {"boto3": boto3, "pyarrow": pyarrow, "s3fs": s3fs, "duckdb": duckdb, "rclone": rclone}[sys.argv[1]]()
while not os.path.exists(os.environ["UNTIL"]):
    content = read(os.environ["OBJECT"])
    assert content == b"what all clients read", content
    time.sleep(1)
