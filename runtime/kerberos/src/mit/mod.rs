//! MIT Kerberos, opened while the program runs.
//!
//! # Why `unsafe` is here
//! The library is C, and a program that is linked with it would not start where it is missing. So it is opened with
//! `dlopen`, and its functions are called by pointers. No crate does this for one login's own keytab and cache, and the
//! pure ones in Rust lack replay detection, SHA-2 keys and a ticket cache.
//!
//! # What bounds it
//! - It is in this folder alone, and this folder runs in a process of its own for each login
//!   ([`login_process`](crate::login_process)): an error in the library, or in these declarations, reaches the keys of
//!   that login and nothing else of Deputy. The coordinator never opens the library.
//! - Each handle has an owner that gives it back once, and no handle leaves its owner. What the library returns is copied
//!   at once, up to a bound; what it gets is a buffer of its own, because it writes into its input.
//! - Everything above is safe code behind the traits of [`backend`](crate::backend).

#![expect(
    unsafe_code,
    reason = "calls a C library through pointers; see the documentation of this module for the bounds"
)]

mod codes;
mod gss;
mod krb5;
mod shared_library;

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use deputy_core::{Span, TicketSource};
use deputy_files::ambient;
use deputy_support::LockUnpoisoned as _;
use rustix::fs::{MemfdFlags, memfd_create};

use self::gss::Gss;
use self::krb5::Krb5;
use self::shared_library::SharedLibrary;
use crate::backend::{Backend, LibraryContext};
use crate::keytab_file::KeytabFile;
use crate::wire::{Configuration, LoginSetup, Stepped, Ticket};
use crate::{Fault, FaultCause, network};

/// The library for one login.
pub(crate) struct Mit {
    gss: Arc<Gss>,
    krb5: Krb5,
    login: LoginSetup,
    caches: Mutex<Caches>,
}

/// Caches in memory: nothing of a ticket touches the disk. A new ticket gets a new cache, so that a context never finds
/// one half filled; the one before stays for contexts that have just looked up its name.
#[derive(Default)]
struct Caches {
    made: u64,
    current: Option<CString>,
    previous: Option<CString>,
}

impl Mit {
    /// Opens the library. The process's environment must name the login's krb5.conf already.
    pub(crate) fn open(login: LoginSetup) -> Result<Self, Fault> {
        let gss = SharedLibrary::open(c"libgssapi_krb5.so.2")?;
        let krb5 = SharedLibrary::open(c"libkrb5.so.3")?;
        let gss = Arc::new(Gss::load(&gss)?);
        let krb5 = Krb5::load(&krb5)?;
        Ok(Self { gss, krb5, login, caches: Mutex::default() })
    }

    fn fill(&self, cache: &CString) -> Result<Ticket, Fault> {
        if let Configuration::File(path) = &self.login.configuration {
            // The library takes a missing file for an empty one.
            ambient::open_file(path)
                .map_err(|error| Fault::new(FaultCause::Configuration, format!("{}: {error}", path.display())))?;
        }
        match &self.login.source {
            TicketSource::Keytab(path) => {
                let keytab = KeytabFile::open(path, &self.login.principal)?;
                let principal = c_string(&self.login.principal)?;
                let ticket = self.krb5.log_in_with_keytab(&principal, &c_string(&keytab.name())?, cache);
                // Only the file knows which types were refused.
                ticket.map_err(|fault| keytab.explain(fault))
            }
            TicketSource::Cache(name) => self.copy(name, cache).map_err(|fault| Fault {
                cause: FaultCause::CredentialCache,
                detail: format!("{name}: {}", fault.detail),
            }),
        }
    }

    /// The library says the same of a KDC that is away and of a machine that has no network.
    fn without_network(&self, fault: Fault) -> Fault {
        match fault.cause {
            FaultCause::KdcUnreachable if !self.login.is_local && !network::is_there() => {
                Fault { cause: FaultCause::NoNetwork, ..fault }
            }
            _ => fault,
        }
    }

    fn copy(&self, from: &str, cache: &CString) -> Result<Ticket, Fault> {
        let principal = self.krb5.copy_to_memory(&c_string(from)?, cache)?;
        if principal != self.login.principal {
            return Err(Fault::new(FaultCause::CredentialCache, format!("it belongs to {principal}")));
        }
        let seconds = self.gss.seconds_left(&principal, cache)?;
        if seconds == 0 {
            return Err(Fault::new(FaultCause::CredentialCache, "its ticket has expired"));
        }
        Ok(Ticket { life: Span::secs(u64::from(seconds)), clock_offset_seconds: 0 })
    }
}

impl Backend for Mit {
    fn log_in(&self) -> Result<Ticket, Fault> {
        let number = {
            let mut caches = self.caches.lock_unpoisoned();
            caches.made += 1;
            caches.made
        };
        let cache = c_string(&format!("MEMORY:deputy-{number}"))?;
        let ticket = match self.fill(&cache) {
            Ok(ticket) => ticket,
            Err(fault) => {
                self.krb5.destroy(&cache).ok();
                return Err(self.without_network(fault));
            }
        };
        let unused = {
            let mut caches = self.caches.lock_unpoisoned();
            let before = caches.current.replace(cache);
            std::mem::replace(&mut caches.previous, before)
        };
        unused.map_or(Ok(()), |cache| self.krb5.destroy(&cache)).map(|()| ticket)
    }

    fn begin(&self, target: &str) -> Result<(Box<dyn LibraryContext>, Stepped), Fault> {
        let cache = self.caches.lock_unpoisoned().current.clone();
        let cache = cache.ok_or(Fault::plain(FaultCause::TicketExpired))?;
        gss::begin(&self.gss, &self.login.principal, &cache, target).map_err(|fault| self.without_network(fault))
    }
}

fn c_string(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault::new(FaultCause::Configuration, "a name has a zero byte"))
}

/// Has the library read this as its krb5.conf: a file, or a text from a file in memory, which must stay open. To be called
/// while the process has one thread.
pub(crate) fn configure(configuration: &Configuration) -> io::Result<Option<File>> {
    let (path, memory) = match configuration {
        Configuration::File(path) => (path.clone(), None),
        Configuration::Text(text) => {
            let mut file = File::from(memfd_create("deputy-krb5-conf", MemfdFlags::CLOEXEC)?);
            file.write_all(text.as_bytes())?;
            (PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())), Some(file))
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the only thread of this process, and before the library is opened")]
    // SAFETY: no other thread exists that could read the environment meanwhile.
    unsafe {
        std::env::set_var("KRB5_CONFIG", path);
    }
    Ok(memory)
}
