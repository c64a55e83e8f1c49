//! Has 8 MiB hashed with a secret that it may use.

use hostile_guests::secrets::{hmac, open};
use hostile_guests::{guest, report};

guest!(|settings| {
    let secret = open(&settings.text("secret")).expect("a granted secret");
    report([hmac(&secret, &vec![b'x'; 8 << 20])])
});
