//! Whether everything that stands in a configuration is still there with a new instance.

use deputy_config::CoordinatorFile;
use deputy_core::InstanceName;

use crate::error::CommandError;
use crate::exit::Exit;

/// Compares both texts by their lines, and both configurations by all other instances.
pub(super) fn check(
    (old_text, old): (&str, &CoordinatorFile),
    (new_text, new): (&str, &CoordinatorFile),
    name: &InstanceName,
) -> Result<(), CommandError> {
    let others = new.instances.iter().filter(|(other, _)| *other != name);
    if has_all_lines(old_text, new_text) && others.eq(old.instances.iter()) {
        return Ok(());
    }
    let error = format!("an instance cannot be added to {} without changing something else in it", new.path.display());
    Err(CommandError::new(Exit::Misconfigured, error).hint("write the instance by hand; nothing was written"))
}

/// Whether all lines are there, in their order.
fn has_all_lines(old: &str, new: &str) -> bool {
    let mut new = new.lines();
    old.lines().all(|line| new.any(|found| found == line))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const OLD: &str = "# mine\n[instances.a]\ncomponent = \"a.wasm\" # first\n";
    const NEW: &str = "\n[instances.b]\ncomponent = \"b.wasm\"\n";

    fn is_kept(new: &str) -> bool {
        let [before, after] = [OLD, new].map(|text| CoordinatorFile::parse(text, Path::new("deputy.toml")).unwrap());
        check((OLD, &before), (new, &after), &"b".parse().unwrap()).is_ok()
    }

    #[test]
    fn add_notices_whatever_would_be_lost_or_another_one() {
        assert!(is_kept(&format!("{OLD}{NEW}")));
        assert!(is_kept(&format!("# mine{NEW}\n[instances.a]\ncomponent = \"a.wasm\" # first\n")));
        for new in [
            format!("[instances.a]\ncomponent = \"a.wasm\" # first\n{NEW}"),
            format!("# mine\n[instances.a]\ncomponent = \"a.wasm\"\n{NEW}"),
            format!("{OLD}enabled = false\n{NEW}"),
            format!("{OLD}{NEW}[instances.c]\ncomponent = \"c.wasm\"\n"),
            format!("{OLD}[[instances.a.http]]\nallow = \"https://a.example\"\n{NEW}"),
        ] {
            assert!(!is_kept(&new), "{new}");
        }
    }
}
