//! Panics, with a text that nobody hears.

use hostile_guests::guest;

guest!(|settings| panic!("{}", settings.text("url")));
