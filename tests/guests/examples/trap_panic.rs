//! Panics, with a text that is never shown.

use hostile_guests::guest;

guest!(|settings| panic!("{}", settings.text("url")));
