//! Getting a ticket-granting ticket: `libkrb5`. Source: MIT's `krb5.h`.
//!
//! GSS-API could do it, too, but hides the reason while an older ticket is valid, and asks for a new one when it likes.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};

use deputy_core::Span;

use super::codes;
use super::shared_library::SharedLibrary;
use crate::wire::Ticket;
use crate::{Fault, FaultCause};

/// Something that the library made and that only the library knows.
type Handle = *mut c_void;
type Code = i32;

/// `krb5_ticket_times`: seconds since 1970, the KDC's.
#[repr(C)]
#[derive(Default)]
struct TicketTimes {
    authenticated: i32,
    start: i32,
    end: i32,
    renew_until: i32,
}

type InitContext = unsafe extern "C" fn(*mut Handle) -> Code;
type FreeContext = unsafe extern "C" fn(Handle);
type Resolve = unsafe extern "C" fn(Handle, *const c_char, *mut Handle) -> Code;
type Free = unsafe extern "C" fn(Handle, Handle);
type Close = unsafe extern "C" fn(Handle, Handle) -> Code;
type New = unsafe extern "C" fn(Handle, *mut Handle) -> Code;
type Set = unsafe extern "C" fn(Handle, Handle, Handle) -> Code;
type InitCredentials =
    unsafe extern "C" fn(Handle, Handle, *const c_void, *const c_void, i32, Handle, *mut Handle) -> Code;
type CredentialTimes = unsafe extern "C" fn(Handle, Handle, *mut TicketTimes) -> Code;
type CachePrincipal = unsafe extern "C" fn(Handle, Handle, *mut Handle) -> Code;
type TimeOffsets = unsafe extern "C" fn(Handle, *mut i32, *mut i32) -> Code;
type ErrorMessage = unsafe extern "C" fn(Handle, Code) -> *const c_char;
type FreeMessage = unsafe extern "C" fn(Handle, *const c_char);

/// The functions that are used, each with the type of the header.
pub(super) struct Krb5 {
    init_context: InitContext,
    free_context: FreeContext,
    parse_name: Resolve,
    free_principal: Free,
    unparse_name: unsafe extern "C" fn(Handle, Handle, *mut *mut c_char) -> Code,
    free_name: unsafe extern "C" fn(Handle, *mut c_char),
    resolve_keytab: Resolve,
    close_keytab: Close,
    resolve_cache: Resolve,
    initialize_cache: Set,
    close_cache: Close,
    destroy_cache: Close,
    copy_cache: Set,
    cache_principal: CachePrincipal,
    new_options: New,
    free_options: Free,
    set_out_cache: Set,
    init_credentials: InitCredentials,
    set_keytab: Set,
    get_credentials: Close,
    credential_times: CredentialTimes,
    free_credentials: Free,
    time_offsets: TimeOffsets,
    error_message: ErrorMessage,
    free_message: FreeMessage,
}

impl Krb5 {
    pub(super) fn load(library: &SharedLibrary) -> Result<Self, Fault> {
        // SAFETY: the types above are those of `krb5.h`, with every structure in C's layout.
        unsafe {
            Ok(Self {
                init_context: library.function(c"krb5_init_context")?,
                free_context: library.function(c"krb5_free_context")?,
                parse_name: library.function(c"krb5_parse_name")?,
                free_principal: library.function(c"krb5_free_principal")?,
                unparse_name: library.function(c"krb5_unparse_name")?,
                free_name: library.function(c"krb5_free_unparsed_name")?,
                resolve_keytab: library.function(c"krb5_kt_resolve")?,
                close_keytab: library.function(c"krb5_kt_close")?,
                resolve_cache: library.function(c"krb5_cc_resolve")?,
                initialize_cache: library.function(c"krb5_cc_initialize")?,
                close_cache: library.function(c"krb5_cc_close")?,
                destroy_cache: library.function(c"krb5_cc_destroy")?,
                copy_cache: library.function(c"krb5_cc_copy_creds")?,
                cache_principal: library.function(c"krb5_cc_get_principal")?,
                new_options: library.function(c"krb5_get_init_creds_opt_alloc")?,
                free_options: library.function(c"krb5_get_init_creds_opt_free")?,
                set_out_cache: library.function(c"krb5_get_init_creds_opt_set_out_ccache")?,
                init_credentials: library.function(c"krb5_init_creds_init")?,
                set_keytab: library.function(c"krb5_init_creds_set_keytab")?,
                get_credentials: library.function(c"krb5_init_creds_get")?,
                credential_times: library.function(c"krb5_init_creds_get_times")?,
                free_credentials: library.function(c"krb5_init_creds_free")?,
                time_offsets: library.function(c"krb5_get_time_offsets")?,
                error_message: library.function(c"krb5_get_error_message")?,
                free_message: library.function(c"krb5_free_error_message")?,
            })
        }
    }

    /// Gets a ticket with a keytab and puts it into a cache in memory, which must not exist.
    pub(super) fn log_in_with_keytab(&self, principal: &CStr, keytab: &CStr, cache: &CStr) -> Result<Ticket, Fault> {
        let context = Context::new(self)?;
        let principal = context.resolve(self.parse_name, principal, Release::Free(self.free_principal))?;
        let keytab = context.resolve(self.resolve_keytab, keytab, Release::Close(self.close_keytab))?;
        let cache = context.resolve(self.resolve_cache, cache, Release::Close(self.close_cache))?;
        let options = context.new_handle(self.new_options, self.free_options)?;
        // SAFETY: all handles belong to this context, and the options keep the cache only until they are freed.
        context.check(unsafe { (self.set_out_cache)(context.handle, options.handle, cache.handle) })?;
        let mut credentials = context.own(null_mut(), Release::Free(self.free_credentials));
        // SAFETY: as above; there is no prompter, and so no data for one.
        context.check(unsafe {
            (self.init_credentials)(
                context.handle,
                principal.handle,
                null(),
                null(),
                0,
                options.handle,
                &raw mut credentials.handle,
            )
        })?;
        // SAFETY: as above.
        context.check(unsafe { (self.set_keytab)(context.handle, credentials.handle, keytab.handle) })?;
        // SAFETY: as above. This asks the KDC.
        context.check(unsafe { (self.get_credentials)(context.handle, credentials.handle) })?;
        let mut times = TicketTimes::default();
        // SAFETY: as above, and the structure is the caller's.
        context.check(unsafe { (self.credential_times)(context.handle, credentials.handle, &raw mut times) })?;
        Ok(Ticket { life: life(&times), clock_offset_seconds: context.clock_offset() })
    }

    /// Copies an existing cache to one in memory, which must not exist. Returns the name of its principal.
    pub(super) fn copy_to_memory(&self, from: &CStr, to: &CStr) -> Result<String, Fault> {
        let context = Context::new(self)?;
        let from = context.resolve(self.resolve_cache, from, Release::Close(self.close_cache))?;
        let mut principal = context.own(null_mut(), Release::Free(self.free_principal));
        // SAFETY: all handles belong to this context.
        context.check(unsafe { (self.cache_principal)(context.handle, from.handle, &raw mut principal.handle) })?;
        let to = context.resolve(self.resolve_cache, to, Release::Close(self.close_cache))?;
        // SAFETY: as above.
        context.check(unsafe { (self.initialize_cache)(context.handle, to.handle, principal.handle) })?;
        // SAFETY: as above.
        context.check(unsafe { (self.copy_cache)(context.handle, from.handle, to.handle) })?;
        context.name(&principal)
    }

    /// Removes a cache in memory. Contexts that were begun with it go on.
    pub(super) fn destroy(&self, cache: &CStr) -> Result<(), Fault> {
        let context = Context::new(self)?;
        let mut cache = context.resolve(self.resolve_cache, cache, Release::Close(self.close_cache))?;
        let handle = std::mem::replace(&mut cache.handle, null_mut());
        // SAFETY: the handle belongs to this context; the function gives it back, too, so that it is used no more.
        context.check(unsafe { (self.destroy_cache)(context.handle, handle) })
    }
}

/// From when the ticket is valid until when, by the KDC's clock. Numbers above `i32::MAX` are years after 2038.
fn life(times: &TicketTimes) -> Span {
    let start = if times.start == 0 { times.authenticated } else { times.start };
    let seconds = times.end.cast_unsigned().saturating_sub(start.cast_unsigned());
    Span::secs(u64::from(seconds))
}

/// The library's context: configuration, and the last error's text. One for each attempt to log in.
struct Context<'a> {
    krb5: &'a Krb5,
    handle: Handle,
}

/// A handle that belongs to a context.
struct Owned<'a> {
    context: &'a Context<'a>,
    handle: Handle,
    release: Release,
}

/// How a handle is given back.
#[derive(Clone, Copy)]
enum Release {
    Free(Free),
    Close(Close),
}

impl<'a> Context<'a> {
    fn new(krb5: &'a Krb5) -> Result<Self, Fault> {
        let mut handle = null_mut();
        // SAFETY: the pointer is to a handle of the caller's.
        let code = unsafe { (krb5.init_context)(&raw mut handle) };
        let context = Self { krb5, handle };
        context.check(code)?;
        Ok(context)
    }

    fn own(&'a self, handle: Handle, release: Release) -> Owned<'a> {
        Owned { context: self, handle, release }
    }

    fn resolve(&'a self, by: Resolve, name: &CStr, release: Release) -> Result<Owned<'a>, Fault> {
        let mut owned = self.own(null_mut(), release);
        // SAFETY: the name ends with a zero and is copied; the new handle belongs to this context.
        self.check(unsafe { by(self.handle, name.as_ptr(), &raw mut owned.handle) })?;
        Ok(owned)
    }

    fn new_handle(&'a self, by: New, free: Free) -> Result<Owned<'a>, Fault> {
        let mut owned = self.own(null_mut(), Release::Free(free));
        // SAFETY: the new handle belongs to this context.
        self.check(unsafe { by(self.handle, &raw mut owned.handle) })?;
        Ok(owned)
    }

    fn name(&self, principal: &Owned<'_>) -> Result<String, Fault> {
        let mut text = null_mut();
        // SAFETY: the principal belongs to this context.
        self.check(unsafe { (self.krb5.unparse_name)(self.handle, principal.handle, &raw mut text) })?;
        if text.is_null() {
            return Err(Fault::plain(FaultCause::Other));
        }
        // SAFETY: the library made a text that ends with a zero; it is copied, and then given back.
        let name = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: as above.
        unsafe { (self.krb5.free_name)(self.handle, text) };
        Ok(name)
    }

    /// By how many seconds the KDC's clock is ahead.
    fn clock_offset(&self) -> i32 {
        let mut seconds = 0;
        let mut micros = 0;
        // SAFETY: both pointers are to numbers of the caller's.
        let code = unsafe { (self.krb5.time_offsets)(self.handle, &raw mut seconds, &raw mut micros) };
        if code == 0 { seconds } else { 0 }
    }

    fn check(&self, code: Code) -> Result<(), Fault> {
        if code == 0 { Ok(()) } else { Err(Fault::new(codes::cause(code), self.text(code))) }
    }

    fn text(&self, code: Code) -> String {
        // SAFETY: the text is the library's until it is given back, ends with a zero, and is copied before. Without a
        // context, which is then null, both functions know the library's own texts.
        unsafe {
            let text = (self.krb5.error_message)(self.handle, code);
            let copy = if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() };
            (self.krb5.free_message)(self.handle, text);
            copy
        }
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the library made it, its handles are gone before it, and this is the last use.
            unsafe { (self.krb5.free_context)(self.handle) };
        }
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        if self.handle.is_null() {
            return;
        }
        // SAFETY: the library made the handle, `release` is its own function for it, and this is the last use.
        match self.release {
            Release::Free(free) => unsafe { free(self.context.handle, self.handle) },
            Release::Close(close) => {
                // A cache or keytab that cannot be closed was in memory or is read: nothing is lost.
                unsafe { close(self.context.handle, self.handle) };
            }
        }
    }
}
