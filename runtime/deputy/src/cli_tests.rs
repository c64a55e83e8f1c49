use super::*;
use clap::CommandFactory;

/// Every command that a user can see, with its name and all of its help.
fn commands() -> Vec<(String, String)> {
    fn walk(command: &mut clap::Command, above: &str, found: &mut Vec<(String, String)>) {
        let name = format!("{above}{}", command.get_name());
        if command.is_hide_set() || command.get_name() == "help" {
            return;
        }
        let help = command.render_help().to_string() + "\n" + &command.render_long_help().to_string();
        found.push((name.clone(), help));
        for command in command.get_subcommands_mut() {
            walk(command, &format!("{name} "), found);
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut found = Vec::new();
    walk(&mut command, "", &mut found);
    assert!(found.len() >= 6, "{} commands", found.len());
    found
}

/// The lines under `Examples:`.
fn examples(help: &str) -> Vec<&str> {
    let from = |line: &&str| line.trim_end() != "Examples:";
    help.lines().skip_while(from).skip(1).take_while(|line| line.starts_with("  ")).map(str::trim).collect()
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example_of_its_own_and_each_example_is_understood() {
    for (name, help) in commands() {
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            let words = example.split(['|', '>']).next().unwrap().split_whitespace();
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{name}: {example}\n{error}"));
            assert!(example.starts_with(&name), "{name}: {example}");
        }
    }
}

#[test]
fn every_command_that_prints_data_can_print_json() {
    for (name, help) in commands() {
        let others = [
            "deputy",
            "deputy completions",
            "deputy exec",
            "deputy run",
            "deputy state",
            "deputy token",
            "deputy worker",
        ];
        let prints_data = !others.contains(&name.as_str());
        assert_eq!(help.contains("--json"), prints_data, "{name}");
    }
}

#[test]
fn help_lines_end_without_a_full_stop_and_fit_into_a_line() {
    for (name, help) in commands() {
        for line in help.lines() {
            assert!(line.chars().count() <= 120, "{name}: {line}");
        }
        let first = help.lines().next().unwrap_or_default();
        assert!(!first.ends_with('.') && first.starts_with(char::is_uppercase), "{name}: {first}");
    }
}

#[test]
fn every_exit_code_is_in_the_help_topic() {
    let (_, help) = commands().into_iter().find(|(name, _)| name == "deputy exit-codes").unwrap();
    for exit in Exit::ALL {
        assert!(help.contains(&format!("  {:<2}", exit.code())) && help.contains(exit.meaning()), "{exit:?}");
    }
}

#[test]
fn the_payload_is_never_part_of_the_json() {
    assert!(Cli::try_parse_from(["deputy", "obtain", "a", "--json", "--reveal"]).is_err());
}

#[test]
fn colours_are_known_before_the_command_line_is_understood() {
    for (arguments, expected) in [
        (&["deputy", "--color", "never", "--nonsense"][..], Colours::Never),
        (&["deputy", "check", "--color=always"], Colours::Always),
        (&["deputy", "--color"], Colours::Auto),
        (&["deputy", "--color", "sometimes"], Colours::Auto),
        (&["deputy", "--colorful=never"], Colours::Auto),
    ] {
        assert_eq!(Colours::asked(arguments), expected, "{arguments:?}");
    }
}
