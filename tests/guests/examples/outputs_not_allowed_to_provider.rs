//! A provider that leaves files.

use hostile_guests::receiver::put;
use hostile_guests::{guest, report};

guest!(|_| report([put("credentials", "x"), put("../x", "x")]));
