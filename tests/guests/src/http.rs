//! HTTP requests in every form that `wasi:http` lets a guest write, well-formed or not.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, OutgoingBody, OutgoingRequest,
    RequestOptions, http_error_code,
};
use wasip2::io::streams::{InputStream, StreamError};

pub use wasip2::http::types::{Method, Scheme};

/// A request that has not been sent.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The scheme, or none at all.
    pub scheme: Option<Scheme>,
    /// Host and port, in whatever form.
    pub authority: Option<String>,
    /// Path and query, in whatever form.
    pub path: Option<String>,
    /// Headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the guest asks for as its own deadlines, all of them, in nanoseconds.
    pub deadline: Option<u64>,
}

/// An answer whose body has not been read.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, Vec<u8>)>,
    body: InputStream,
    // Behind the stream, so that it is dropped after it.
    _incoming: IncomingBody,
}

/// A body that is being sent.
pub struct Upload {
    stream: wasip2::io::streams::OutputStream,
    body: OutgoingBody,
    answer: FutureIncomingResponse,
}

impl Request {
    /// A GET of a URL, which is taken apart without being judged.
    pub fn get(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        Self {
            method: Method::Get,
            scheme: Some(scheme),
            authority: Some(authority.to_owned()),
            path: Some(path.to_owned()),
            headers: Vec::new(),
            body: Vec::new(),
            deadline: None,
        }
    }

    /// The same with another method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The same with one more header.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and waits for the answer's head.
    ///
    /// # Errors
    /// With the name of the setter that refused, or of the host's error code.
    pub fn send(mut self) -> Result<Answer, String> {
        let body = std::mem::take(&mut self.body);
        let mut upload = self.begin()?;
        // Where sending fails, the answer says why.
        let sent = body.chunks(4096).all(|chunk| upload.write(chunk).is_ok());
        if sent { upload.finish() } else { upload.answer() }
    }

    /// Sends the head.
    ///
    /// # Errors
    /// With the name of the setter that refused, or of the host's error code.
    pub fn begin(self) -> Result<Upload, String> {
        let fields = Fields::new();
        for (name, value) in &self.headers {
            fields.append(name, value).map_err(|error| format!("append {error:?}").replace("HeaderError::", ""))?;
        }
        let request = OutgoingRequest::new(fields);
        request.set_method(&self.method).map_err(|()| "set-method")?;
        request.set_scheme(self.scheme.as_ref()).map_err(|()| "set-scheme")?;
        request.set_authority(self.authority.as_deref()).map_err(|()| "set-authority")?;
        request.set_path_with_query(self.path.as_deref()).map_err(|()| "set-path-with-query")?;
        let options = self.deadline.map(|nanoseconds| {
            let options = RequestOptions::new();
            let set = [
                options.set_connect_timeout(Some(nanoseconds)),
                options.set_first_byte_timeout(Some(nanoseconds)),
                options.set_between_bytes_timeout(Some(nanoseconds)),
            ];
            assert_eq!(set, [Ok(()); 3], "options");
            options
        });
        let body = request.body().map_err(|()| "body")?;
        let answer = outgoing_handler::handle(request, options).map_err(named)?;
        let stream = body.write().map_err(|()| "write")?;
        Ok(Upload { stream, body, answer })
    }
}

impl Upload {
    /// Sends at most 4,096 bytes more.
    ///
    /// # Errors
    /// If the host takes no more.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), String> {
        self.stream.blocking_write_and_flush(chunk).map_err(broken)
    }

    /// Ends the body and waits for the answer's head.
    ///
    /// # Errors
    /// With the name of the host's error code.
    pub fn finish(self) -> Result<Answer, String> {
        drop(self.stream);
        OutgoingBody::finish(self.body, None).map_err(named)?;
        wait(&self.answer)
    }

    /// Waits for the answer's head while the body is still open.
    ///
    /// # Errors
    /// With the name of the host's error code.
    pub fn answer(self) -> Result<Answer, String> {
        wait(&self.answer)
    }
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        String::from_utf8(value.clone()).ok()
    }

    /// The next piece of the body, or none at its end.
    ///
    /// # Errors
    /// With the name of the host's error code.
    pub fn read(&mut self, most: u64) -> Result<Option<Vec<u8>>, String> {
        match self.body.blocking_read(most) {
            Ok(piece) => Ok(Some(piece)),
            Err(StreamError::Closed) => Ok(None),
            Err(error) => Err(broken(error)),
        }
    }

    /// How many bytes of the body come before it ends, and whether it ends well.
    pub fn drain(&mut self) -> (usize, Result<(), String>) {
        let mut bytes = 0;
        loop {
            match self.read(64 * 1024) {
                Ok(Some(piece)) => bytes += piece.len(),
                Ok(None) => return (bytes, Ok(())),
                Err(error) => return (bytes, Err(error)),
            }
        }
    }

    /// The body as text.
    ///
    /// # Errors
    /// With the name of the host's error code.
    pub fn text(&mut self) -> Result<String, String> {
        let mut text = Vec::new();
        while let Some(piece) = self.read(64 * 1024)? {
            text.extend(piece);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A request and its answer in one line: `ok STATUS BODY`, or `err CODE`.
pub fn attempt(request: Request) -> String {
    match request.send() {
        Ok(mut answer) => match answer.text() {
            Ok(text) => format!("ok {} {text}", answer.status),
            Err(error) => format!("err {} {error}", answer.status),
        },
        Err(error) => format!("err {error}"),
    }
}

/// A GET and its answer in one line.
pub fn get(url: &str) -> String {
    attempt(Request::get(url))
}

/// A GET and the length of its answer in one line: `STATUS BYTES ok` or `STATUS BYTES err CODE`.
pub fn weigh(url: &str) -> String {
    match Request::get(url).send() {
        Ok(mut answer) => {
            let (bytes, end) = answer.drain();
            format!(
                "{} {bytes} {}",
                answer.status,
                end.map_or_else(|error| format!("err {error}"), |()| "ok".to_owned())
            )
        }
        Err(error) => format!("err {error}"),
    }
}

fn wait(answer: &FutureIncomingResponse) -> Result<Answer, String> {
    answer.subscribe().block();
    let response: IncomingResponse = answer.get().ok_or("not ready")?.map_err(|()| "taken")?.map_err(named)?;
    let (status, headers) = (response.status(), response.headers().entries());
    let incoming = response.consume().map_err(|()| "consume")?;
    let body = incoming.stream().map_err(|()| "stream")?;
    Ok(Answer { status, headers, body, _incoming: incoming })
}

/// The error code with all that the host put into it: a test looks for what should not be there.
fn named(code: ErrorCode) -> String {
    format!("{code:?}").replace("ErrorCode::", "")
}

fn broken(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => match http_error_code(&error) {
            Some(code) => named(code),
            None => format!("other {}", error.to_debug_string()),
        },
    }
}
