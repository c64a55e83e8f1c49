//! A shared library that is opened while the program runs, and its functions by name.

use std::ffi::{CStr, c_void};
use std::mem::{size_of, transmute_copy};
use std::ptr::NonNull;

use crate::{Fault, FaultCause};

/// An open library. It is never closed: its functions are valid until the process ends.
pub(super) struct SharedLibrary(NonNull<c_void>);

impl SharedLibrary {
    /// Opens a library by its name, wherever the system keeps it.
    pub(super) fn open(name: &CStr) -> Result<Self, Fault> {
        // SAFETY: the name ends with a zero. The code that runs while a system library is loaded is trusted like the
        // system's C library.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(handle).map(Self).ok_or_else(failed)
    }

    /// A function by its name.
    ///
    /// # Safety
    /// `F` is a pointer to a function with the arguments and the result that the library's header declares.
    pub(super) unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F, Fault> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>(), "a pointer") };
        // SAFETY: the library is open, and the name ends with a zero.
        let symbol = unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) };
        let symbol = NonNull::new(symbol).ok_or_else(failed)?;
        // SAFETY: both have the size of a pointer, the caller vouches for the type, and it is not null.
        Ok(unsafe { transmute_copy::<NonNull<c_void>, F>(&symbol) })
    }
}

/// The loader's own text, which names the file or symbol.
fn failed() -> Fault {
    // SAFETY: the text belongs to this thread until its next call of the loader, and is copied before that.
    let text = unsafe {
        let text = libc::dlerror();
        if text.is_null() { None } else { Some(CStr::from_ptr(text).to_string_lossy().into_owned()) }
    };
    Fault::new(FaultCause::Library, text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mit_library_that_is_missing_is_named_with_its_packages() {
        let fault = SharedLibrary::open(c"libgssapi_krb5.so.999").err().unwrap();
        assert_eq!(fault.cause, FaultCause::Library);
        assert!(fault.detail.contains("libgssapi_krb5.so.999"), "{fault}");
        for package in ["libgssapi-krb5-2", "krb5-libs"] {
            assert!(fault.cause.fix().contains(package), "{}", fault.cause.fix());
        }
    }
}
