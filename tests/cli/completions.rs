//! `deputy completions`

use crate::home::TestEnvironment;

#[test]
fn completions_of_every_shell_know_the_commands() {
    let home = TestEnvironment::empty();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = home.run(&["completions", shell]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{shell}");
        for word in ["inspect", "obtain", "exit-codes", "--config", "--reveal"] {
            assert!(run.stdout.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
    }
}
