//! A service: the other end of a Kerberos context, with the system's library in the test's own process.

#![expect(unsafe_code, reason = "it calls the library for the service's side")]
#![expect(clippy::unwrap_used, reason = "what fails here is a failed test")]
#![allow(clippy::missing_panics_doc, reason = "what fails here is a failed test")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

type Handle = *mut c_void;

#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[repr(C)]
struct KeyValue {
    key: *const c_char,
    value: *const c_char,
}

#[repr(C)]
struct KeyValueSet {
    count: u32,
    elements: *const KeyValue,
}

type AcquireFrom = unsafe extern "C" fn(
    *mut u32,
    Handle,
    u32,
    *const c_void,
    c_int,
    *const KeyValueSet,
    *mut Handle,
    *mut Handle,
    *mut u32,
) -> u32;
type Accept = unsafe extern "C" fn(
    *mut u32,
    *mut Handle,
    Handle,
    *const Buffer,
    *const c_void,
    *mut Handle,
    *mut Handle,
    *mut Buffer,
    *mut u32,
    *mut u32,
    *mut Handle,
) -> u32;
type Wrap = unsafe extern "C" fn(*mut u32, Handle, c_int, u32, *const Buffer, *mut c_int, *mut Buffer) -> u32;
type Unwrap = unsafe extern "C" fn(*mut u32, Handle, *const Buffer, *mut Buffer, *mut c_int, *mut u32) -> u32;
type DisplayName = unsafe extern "C" fn(*mut u32, Handle, *mut Buffer, *mut Handle) -> u32;

const ACCEPT: c_int = 2;

/// A service with the keys of a keytab. What it allocates ends with the test's process.
pub struct Acceptor {
    credential: Handle,
    context: Handle,
    client: Handle,
}

fn function<F: Copy>(name: &CStr) -> F {
    // SAFETY: the names end with zeros, and each type is the one that `gssapi.h` declares.
    unsafe {
        let library = libc::dlopen(c"libgssapi_krb5.so.2".as_ptr(), libc::RTLD_NOW);
        let symbol = libc::dlsym(library, name.as_ptr());
        assert!(!symbol.is_null(), "{name:?}");
        std::mem::transmute_copy(&symbol)
    }
}

fn taken(buffer: &Buffer) -> Vec<u8> {
    if buffer.length == 0 {
        return Vec::new();
    }
    // SAFETY: the library filled it with this many bytes.
    unsafe { std::slice::from_raw_parts(buffer.value.cast::<u8>(), buffer.length) }.to_vec()
}

fn lent(bytes: &mut [u8]) -> Buffer {
    Buffer { length: bytes.len(), value: bytes.as_mut_ptr().cast() }
}

const EMPTY: Buffer = Buffer { length: 0, value: null_mut() };

impl Acceptor {
    /// One that accepts clients of each service in the keytab, and remembers no token: a test sees its client's own checks.
    #[must_use]
    pub fn new(keytab: &Path) -> Self {
        let keytab = CString::new(format!("FILE:{}", keytab.display())).unwrap();
        let pairs = [
            KeyValue { key: c"keytab".as_ptr(), value: keytab.as_ptr() },
            KeyValue { key: c"rcache".as_ptr(), value: c"none:".as_ptr() },
        ];
        let store = KeyValueSet { count: 2, elements: pairs.as_ptr() };
        let (mut minor, mut credential) = (0, null_mut());
        // SAFETY: every pointer is to a value of the declared type that outlives the call.
        let major = unsafe {
            function::<AcquireFrom>(c"gss_acquire_cred_from")(
                &raw mut minor,
                null_mut(),
                u32::MAX,
                null(),
                ACCEPT,
                &raw const store,
                &raw mut credential,
                null_mut(),
                null_mut(),
            )
        };
        assert_eq!(major, 0, "minor {minor}");
        Self { credential, context: null_mut(), client: null_mut() }
    }

    /// Takes the client's token, and returns the next one.
    ///
    /// # Errors
    /// The library's major code, if it is refused.
    pub fn accept(&mut self, token: &[u8]) -> Result<Vec<u8>, u32> {
        let mut token = token.to_vec();
        let input = lent(&mut token);
        let (mut minor, mut output) = (0, EMPTY);
        // SAFETY: as above.
        let major = unsafe {
            function::<Accept>(c"gss_accept_sec_context")(
                &raw mut minor,
                &raw mut self.context,
                self.credential,
                &raw const input,
                null(),
                &raw mut self.client,
                null_mut(),
                &raw mut output,
                null_mut(),
                null_mut(),
                null_mut(),
            )
        };
        if major == 0 { Ok(taken(&output)) } else { Err(major) }
    }

    #[must_use]
    pub fn client(&self) -> String {
        let (mut minor, mut name) = (0, EMPTY);
        // SAFETY: as above.
        let major = unsafe {
            function::<DisplayName>(c"gss_display_name")(&raw mut minor, self.client, &raw mut name, null_mut())
        };
        assert_eq!(major, 0);
        String::from_utf8(taken(&name)).unwrap()
    }

    /// Protects a message.
    #[must_use]
    pub fn wrap(&self, message: &[u8], confidential: bool) -> Vec<u8> {
        let mut message = message.to_vec();
        let input = lent(&mut message);
        let (mut minor, mut output, mut sealed) = (0, EMPTY, 0);
        // SAFETY: as above.
        let major = unsafe {
            function::<Wrap>(c"gss_wrap")(
                &raw mut minor,
                self.context,
                c_int::from(confidential),
                0,
                &raw const input,
                &raw mut sealed,
                &raw mut output,
            )
        };
        assert_eq!((major, sealed != 0), (0, confidential));
        taken(&output)
    }

    /// The client's message, and whether it was encrypted.
    ///
    /// # Errors
    /// The library's major code, if it is refused.
    pub fn unwrap(&self, token: &[u8]) -> Result<(Vec<u8>, bool), u32> {
        let mut token = token.to_vec();
        let input = lent(&mut token);
        let (mut minor, mut output, mut sealed, mut quality) = (0, EMPTY, 0, 0);
        // SAFETY: as above.
        let major = unsafe {
            function::<Unwrap>(c"gss_unwrap")(
                &raw mut minor,
                self.context,
                &raw const input,
                &raw mut output,
                &raw mut sealed,
                &raw mut quality,
            )
        };
        if major == 0 { Ok((taken(&output), sealed != 0)) } else { Err(major) }
    }
}
