//! GSS-API with the Kerberos mechanism: `libgssapi_krb5`. Sources: RFC 2743, RFC 2744, RFC 4121, RFC 5588 (for
//! `gss_acquire_cred_from`), and MIT's `gssapi.h` and `gssapi_ext.h`.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use super::codes;
use super::shared_library::SharedLibrary;
use crate::backend::LibraryContext;
use crate::wire::{Stepped, Unwrapped};
use crate::{Fault, FaultCause};

/// The longest buffer that is taken from the library: a message and what protects it.
const LONGEST_BUFFER: usize = 8 << 20;

/// Texts that the library gives for one code. There are one or two.
const MOST_TEXTS: usize = 8;

/// The mechanism of RFC 4121: 1.2.840.113554.1.2.2.
static KERBEROS: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
/// The form of a name that is a principal as it is written, without any look-up: 1.2.840.113554.1.2.2.1.
static PRINCIPAL_NAME: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01");

/// RFC 2744: mutual, replay, sequence, confidentiality, integrity.
const FLAGS: u32 = 2 | 4 | 8 | 16 | 32;
const INITIATE: c_int = 1;
const CONTINUE_NEEDED: u32 = 1;
/// Calling errors and routine errors. The other bits are supplementary information.
const ERRORS: u32 = 0xffff_0000;
const ROUTINE: u32 = 0x00ff_0000;
const NO_CREDENTIAL: u32 = 7 << 16;
const CREDENTIALS_EXPIRED: u32 = 11 << 16;
const CONTEXT_EXPIRED: u32 = 12 << 16;
const FAILURE: u32 = 13 << 16;
/// The kinds of codes for `gss_display_status`.
const MAJOR: c_int = 1;
const MINOR: c_int = 2;

/// Something that the library made and that only the library knows.
type Handle = *mut c_void;

#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[repr(C)]
struct Oid {
    length: u32,
    elements: *const c_void,
}

#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

#[repr(C)]
struct KeyValue {
    key: *const libc::c_char,
    value: *const libc::c_char,
}

#[repr(C)]
struct KeyValueSet {
    count: u32,
    elements: *const KeyValue,
}

// SAFETY: it points to bytes that never change.
unsafe impl Sync for Oid {}

impl Oid {
    const fn new<const N: usize>(bytes: &'static [u8; N]) -> Self {
        assert!(N < 128, "the length of an identifier");
        #[expect(clippy::cast_possible_truncation, reason = "less than 128")]
        Self { length: N as u32, elements: bytes.as_ptr().cast() }
    }
}

impl Buffer {
    const EMPTY: Self = Self { length: 0, value: null_mut() };

    /// Lends bytes to the library, which may write into them: into its own copy, and never past the end.
    fn lend(bytes: &mut [u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_mut_ptr().cast() }
    }
}

type Minor = *mut u32;
type Major = u32;
type AcquireCredentialFrom = unsafe extern "C" fn(
    Minor,
    Handle,
    u32,
    *const OidSet,
    c_int,
    *const KeyValueSet,
    *mut Handle,
    *mut Handle,
    *mut u32,
) -> Major;
type ImportName = unsafe extern "C" fn(Minor, *const Buffer, *const Oid, *mut Handle) -> Major;
type InitContext = unsafe extern "C" fn(
    Minor,
    Handle,
    *mut Handle,
    Handle,
    *const Oid,
    u32,
    u32,
    *const c_void,
    *const Buffer,
    *mut Handle,
    *mut Buffer,
    *mut u32,
    *mut u32,
) -> Major;
type Wrap = unsafe extern "C" fn(Minor, Handle, c_int, u32, *const Buffer, *mut c_int, *mut Buffer) -> Major;
type Unwrap = unsafe extern "C" fn(Minor, Handle, *const Buffer, *mut Buffer, *mut c_int, *mut u32) -> Major;
type DeleteContext = unsafe extern "C" fn(Minor, *mut Handle, *mut Buffer) -> Major;
type Release = unsafe extern "C" fn(Minor, *mut Handle) -> Major;
type ReleaseBuffer = unsafe extern "C" fn(Minor, *mut Buffer) -> Major;
type DisplayStatus = unsafe extern "C" fn(Minor, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> Major;

/// The functions that are used, each with the type of the header.
pub(super) struct Gss {
    acquire_credential_from: AcquireCredentialFrom,
    import_name: ImportName,
    init_context: InitContext,
    wrap: Wrap,
    unwrap: Unwrap,
    delete_context: DeleteContext,
    release_name: Release,
    release_credential: Release,
    release_buffer: ReleaseBuffer,
    display_status: DisplayStatus,
}

/// A handle with the function that gives it back.
struct Owned {
    handle: Handle,
    release: Release,
}

/// A context that this end has begun.
struct Context {
    gss: Arc<Gss>,
    credential: Owned,
    target: Owned,
    handle: Handle,
}

impl Gss {
    pub(super) fn load(library: &SharedLibrary) -> Result<Self, Fault> {
        // SAFETY: the types above are those of `gssapi.h` and `gssapi_ext.h`, with every structure in C's layout.
        unsafe {
            Ok(Self {
                acquire_credential_from: library.function(c"gss_acquire_cred_from")?,
                import_name: library.function(c"gss_import_name")?,
                init_context: library.function(c"gss_init_sec_context")?,
                wrap: library.function(c"gss_wrap")?,
                unwrap: library.function(c"gss_unwrap")?,
                delete_context: library.function(c"gss_delete_sec_context")?,
                release_name: library.function(c"gss_release_name")?,
                release_credential: library.function(c"gss_release_cred")?,
                release_buffer: library.function(c"gss_release_buffer")?,
                display_status: library.function(c"gss_display_status")?,
            })
        }
    }

    /// The whole seconds for which a cache has a ticket-granting ticket of a principal. Asks no KDC.
    pub(super) fn seconds_left(&self, principal: &str, cache: &CStr) -> Result<u32, Fault> {
        let mut left = 0;
        self.credential(principal, cache, &mut left).map(|_| left)
    }

    fn credential(&self, principal: &str, cache: &CStr, left: &mut u32) -> Result<Owned, Fault> {
        let name = self.name(principal)?;
        let element = KeyValue { key: c"ccache".as_ptr(), value: cache.as_ptr() };
        let store = KeyValueSet { count: 1, elements: &raw const element };
        let mechanisms = OidSet { count: 1, elements: &raw const KERBEROS };
        let mut minor = 0;
        let mut handle = null_mut();
        // SAFETY: every pointer is to a value of the declared type that outlives the call; the library copies what it
        // keeps.
        let major = unsafe {
            (self.acquire_credential_from)(
                &raw mut minor,
                name.handle,
                u32::MAX,
                &raw const mechanisms,
                INITIATE,
                &raw const store,
                &raw mut handle,
                null_mut(),
                left,
            )
        };
        let credential = Owned { handle, release: self.release_credential };
        self.check(major, minor)?;
        Ok(credential)
    }

    fn name(&self, principal: &str) -> Result<Owned, Fault> {
        let mut text = principal.as_bytes().to_vec();
        let mut minor = 0;
        let mut handle = null_mut();
        let text = Buffer::lend(&mut text);
        // SAFETY: as above; the library copies the text.
        let major =
            unsafe { (self.import_name)(&raw mut minor, &raw const text, &raw const PRINCIPAL_NAME, &raw mut handle) };
        let name = Owned { handle, release: self.release_name };
        self.check(major, minor)?;
        Ok(name)
    }

    /// Copies a buffer of the library's, and gives it back.
    fn take(&self, mut buffer: Buffer) -> Result<Vec<u8>, Fault> {
        let is_sound = buffer.length <= LONGEST_BUFFER && (buffer.length == 0 || !buffer.value.is_null());
        let bytes = if is_sound && buffer.length > 0 {
            // SAFETY: the library filled the buffer with this many bytes and does not touch them until it is released.
            unsafe { std::slice::from_raw_parts(buffer.value.cast::<u8>(), buffer.length) }.to_vec()
        } else {
            Vec::new()
        };
        let mut minor = 0;
        // SAFETY: the library made it, or it is empty; it is not used again.
        unsafe { (self.release_buffer)(&raw mut minor, &raw mut buffer) };
        if is_sound { Ok(bytes) } else { Err(Fault::new(FaultCause::Other, "it returned a buffer of absurd length")) }
    }

    fn check(&self, major: u32, minor: u32) -> Result<(), Fault> {
        if major & ERRORS == 0 { Ok(()) } else { Err(self.fault(major, minor)) }
    }

    /// What a call's codes mean.
    fn fault(&self, major: u32, minor: u32) -> Fault {
        // The minor code is the Kerberos error where there is one.
        let cause = match (codes::cause(minor.cast_signed()), major & ROUTINE) {
            (_, CREDENTIALS_EXPIRED | CONTEXT_EXPIRED) => FaultCause::TicketExpired,
            (FaultCause::Other, NO_CREDENTIAL) => FaultCause::CredentialCache,
            (cause, _) => cause,
        };
        // "Unspecified GSS failure" says nothing.
        let major = if major & ROUTINE == FAILURE { String::new() } else { self.text(major, MAJOR) };
        let texts = [major, self.text(minor, MINOR)];
        let texts: Vec<&str> = texts.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        Fault::new(cause, texts.join(": "))
    }

    fn text(&self, code: u32, kind: c_int) -> String {
        let mut texts = Vec::new();
        let mut more = 0;
        for _ in 0..MOST_TEXTS {
            let mut minor = 0;
            let mut buffer = Buffer::EMPTY;
            // SAFETY: every pointer is to a value of the declared type that outlives the call.
            let major = unsafe {
                (self.display_status)(&raw mut minor, code, kind, &raw const KERBEROS, &raw mut more, &raw mut buffer)
            };
            let text = self.take(buffer).unwrap_or_default();
            if major != 0 {
                break;
            }
            texts.push(String::from_utf8_lossy(&text).into_owned());
            if more == 0 {
                break;
            }
        }
        texts.join(": ")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.handle.is_null() {
            // SAFETY: the handle came from the library, `release` is its own function for it, and this is the last use.
            unsafe { (self.release)(&raw mut minor, &raw mut self.handle) };
        }
    }
}

// SAFETY: the library ties no handle to a thread, and a context is used by one thread at a time (`&mut self`).
unsafe impl Send for Context {}

/// Begins a context for a target, with the tickets of a cache.
pub(super) fn begin(
    gss: &Arc<Gss>,
    principal: &str,
    cache: &CStr,
    target: &str,
) -> Result<(Box<dyn LibraryContext>, Stepped), Fault> {
    let credential = gss.credential(principal, cache, &mut 0)?;
    let target = gss.name(target)?;
    let mut context = Context { gss: Arc::clone(gss), credential, target, handle: null_mut() };
    let stepped = context.advance(Vec::new())?;
    Ok((Box::new(context), stepped))
}

impl Context {
    fn advance(&mut self, mut token: Vec<u8>) -> Result<Stepped, Fault> {
        let input = Buffer::lend(&mut token);
        let mut minor = 0;
        let mut output = Buffer::EMPTY;
        let mut flags = 0;
        // SAFETY: every pointer is to a value of the declared type that outlives the call; the handles are the
        // library's own.
        let major = unsafe {
            (self.gss.init_context)(
                &raw mut minor,
                self.credential.handle,
                &raw mut self.handle,
                self.target.handle,
                &raw const KERBEROS,
                FLAGS,
                0,
                null(),
                &raw const input,
                null_mut(),
                &raw mut output,
                &raw mut flags,
                null_mut(),
            )
        };
        let token = self.gss.take(output)?;
        self.gss.check(major, minor)?;
        let established = major & CONTINUE_NEEDED == 0;
        // Anything else in the status is a warning, and anything less than all flags is less than was asked for.
        if major & !CONTINUE_NEEDED != 0 || (established && flags & FLAGS != FLAGS) {
            let text = format!("the peer offers less than mutual authentication (status {major:#x}, flags {flags:#x})");
            return Err(Fault::new(FaultCause::BadToken, text));
        }
        Ok(Stepped { token, established })
    }
}

impl LibraryContext for Context {
    fn step(&mut self, token: Vec<u8>) -> Result<Stepped, Fault> {
        // Whatever the codes are: the peer's token was the only new thing.
        self.advance(token).map_err(|fault| Fault::new(FaultCause::BadToken, fault.detail))
    }

    fn wrap(&mut self, mut message: Vec<u8>, confidential: bool) -> Result<Vec<u8>, Fault> {
        let input = Buffer::lend(&mut message);
        let mut minor = 0;
        let mut output = Buffer::EMPTY;
        let mut sealed = 0;
        // SAFETY: as above.
        let major = unsafe {
            (self.gss.wrap)(
                &raw mut minor,
                self.handle,
                c_int::from(confidential),
                0,
                &raw const input,
                &raw mut sealed,
                &raw mut output,
            )
        };
        let token = self.gss.take(output)?;
        if major != 0 {
            return Err(self.gss.fault(major, minor));
        }
        if confidential && sealed == 0 {
            return Err(Fault::new(FaultCause::Other, "it did not encrypt the message"));
        }
        Ok(token)
    }

    fn unwrap(&mut self, mut token: Vec<u8>) -> Result<Unwrapped, Fault> {
        let input = Buffer::lend(&mut token);
        let mut minor = 0;
        let mut output = Buffer::EMPTY;
        let mut sealed = 0;
        let mut quality = 0;
        // SAFETY: as above. The library rotates a signed token in place: it has a buffer of its own here.
        let major = unsafe {
            (self.gss.unwrap)(
                &raw mut minor,
                self.handle,
                &raw const input,
                &raw mut output,
                &raw mut sealed,
                &raw mut quality,
            )
        };
        let message = self.gss.take(output)?;
        // Replays and reordering are supplementary bits of a call that succeeded.
        match major {
            0 => Ok(Unwrapped { message, sealed: sealed != 0 }),
            _ if major & ERRORS == 0 => {
                Err(Fault::new(FaultCause::BadToken, format!("replayed or out of order (status {major:#x})")))
            }
            _ => Err(Fault::new(FaultCause::BadToken, self.gss.fault(major, minor).detail)),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.handle.is_null() {
            // SAFETY: the library made the context, no output token is wanted, and this is the last use.
            unsafe { (self.gss.delete_context)(&raw mut minor, &raw mut self.handle, null_mut()) };
        }
    }
}
