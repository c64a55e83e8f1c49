use super::*;
use crate::exit::Exit;
use crate::global_args::When;
use clap::CommandFactory;

/// Every visible command, with its name and all of its help.
fn commands() -> Vec<(String, String)> {
    fn visit(command: &mut clap::Command, parent: &str, commands: &mut Vec<(String, String)>) {
        let name = format!("{parent}{}", command.get_name());
        if command.is_hide_set() || command.get_name() == "help" {
            return;
        }
        let help = command.render_help().to_string() + "\n" + &command.render_long_help().to_string();
        commands.push((name.clone(), help));
        for command in command.get_subcommands_mut() {
            visit(command, &format!("{name} "), commands);
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut commands = Vec::new();
    visit(&mut command, "", &mut commands);
    assert!(commands.len() >= 6, "{} commands", commands.len());
    commands
}

/// The lines under `Examples:`.
fn examples(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| line.trim_end() != "Examples:");
    lines.skip(1).take_while(|line| line.starts_with("  ")).map(str::trim).collect()
}

#[test]
fn cli_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn help_of_each_command_has_examples_that_parse() {
    for (name, help) in commands() {
        let examples = examples(&help);
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            let arguments = example.split(['|', '>']).next().unwrap().split_whitespace();
            Cli::try_parse_from(arguments).unwrap_or_else(|error| panic!("{name}: {example}\n{error}"));
            assert!(example.starts_with(&name), "{name}: {example}");
        }
    }
}

#[test]
fn help_offers_json_for_each_command_that_prints_data() {
    for (name, help) in commands() {
        let others = [
            "deputy",
            "deputy completions",
            "deputy dev",
            "deputy exec",
            "deputy init",
            "deputy new",
            "deputy run",
            "deputy schema",
            "deputy state",
            "deputy token",
            "deputy worker",
        ];
        let prints_data = !others.contains(&name.as_str());
        let has_option = help.lines().any(|line| line.trim_start().starts_with("--json"));
        assert_eq!(has_option, prints_data, "{name}");
    }
}

#[test]
fn help_lines_are_short_and_end_without_a_full_stop() {
    for (name, help) in commands() {
        for line in help.lines() {
            assert!(line.chars().count() <= 120, "{name}: {line}");
        }
        let first = help.lines().next().unwrap_or_default();
        assert!(!first.ends_with('.') && first.starts_with(char::is_uppercase), "{name}: {first}");
    }
}

#[test]
fn help_of_exit_codes_has_each_code() {
    let (_, help) = commands().into_iter().find(|(name, _)| name == "deputy exit-codes").unwrap();
    for exit in Exit::ALL {
        assert!(help.contains(&format!("  {:<2}", exit.code())) && help.contains(exit.meaning()), "{exit:?}");
    }
}

#[test]
fn obtain_never_puts_the_payload_into_json() {
    assert!(Cli::try_parse_from(["deputy", "obtain", "a", "--json", "--reveal"]).is_err());
}

#[test]
fn color_is_known_before_the_command_line_is_parsed() {
    for (arguments, expected) in [
        (&["deputy", "--color", "never", "--nonsense"][..], When::Never),
        (&["deputy", "check", "--color=always"], When::Always),
        (&["deputy", "--color"], When::Auto),
        (&["deputy", "--color", "sometimes"], When::Auto),
        (&["deputy", "--colorful=never"], When::Auto),
    ] {
        assert_eq!(When::of_arguments(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn json_is_wanted_by_the_innermost_command_that_has_it() {
    for (arguments, expected) in [
        (&["deputy", "check", "--json"][..], true),
        (&["deputy", "check"], false),
        (&["deputy", "token", "list", "--json"], true),
        (&["deputy", "workers", "--json"], true),
        (&["deputy", "workers", "ban", "9f31c07a52d84e66", "--json"], true),
        (&["deputy", "workers", "ban", "9f31c07a52d84e66"], false),
        (&["deputy", "worker", "status", "--json"], true),
        (&["deputy", "worker"], false),
        (&["deputy", "run"], false),
        (&["deputy", "state", "backup", "file", "--json"], true),
    ] {
        let matches = Cli::command().try_get_matches_from(arguments).unwrap();
        assert_eq!(crate::wants_json(&matches), expected, "{arguments:?}");
    }
}
