//! Puts one file twice, so that the second could take the place of the first.

use hostile_guests::receiver;
use hostile_guests::receiver::{put, report};

receiver!(|_, _| report([put("conf/a", "first"), put("conf/a", "second"), put("conf/b", "other")]));
