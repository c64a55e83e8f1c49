//! Breaks off.

use hostile_guests::guest;

guest!(|_| core::arch::wasm32::unreachable());
