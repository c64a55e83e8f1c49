//! Fills the bodies of requests that it never sends: the host must not keep them without an end.

use hostile_guests::wasip2::http::types::{Fields, OutgoingRequest};
use hostile_guests::{guest, report};

guest!(|_| {
    let mut held = Vec::new();
    for _ in 0..100_000 {
        let request = OutgoingRequest::new(Fields::new());
        let body = request.body().expect("the first body");
        let stream = body.write().expect("the first stream");
        while let Ok(room @ 1..) = stream.check_write() {
            let room = room.min(1 << 20) as usize;
            if stream.write(&vec![b'x'; room]).is_err() {
                break;
            }
        }
        held.push((stream, body, request));
    }
    report([held.len().to_string()])
});
