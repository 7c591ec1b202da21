//! The help pages: examples for every command, and one page for the settings that commands share.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use crate::{WorkerCli, examples::EXAMPLES};

/// Layout of every help page: clap's layout, with the examples after the description.
const TEMPLATE: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

/// Name of the command that explains the shared settings.
const SETTINGS_COMMAND: &str = "settings";

const SEE_SETTINGS: &str = "Settings such as DATABASE_URL: sync-worker help settings";

const SETTINGS_INTRODUCTION: &str = "\
Each setting is a variable and also a flag: DATABASE_URL is --database-url. The flag takes
precedence. An empty variable counts as not set. A setting with [file: NAME_FILE] can also be
read from the file that the variable NAME_FILE names. A command that lacks required settings
names all of them.";

/// Titles of the groups of settings, by the help heading of their flags.
const SETTING_GROUPS: [(Option<&str>, &str); 5] = [
    (Some("PostgreSQL"), "PostgreSQL"),
    (Some("WHOOP"), "WHOOP"),
    (None, "Runs"),
    (Some("Retention"), "Retention"),
    (Some("Log"), "Log"),
];

/// A setting that several commands share.
struct SharedSetting {
    variable: String,
    heading: Option<String>,
    description: String,
}

/// Returns the definition of the command line with all help pages.
pub fn command() -> Command {
    let command = WorkerCli::command();
    let settings = shared_settings(&command);
    with_help(command, "", &settings)
}

/// Returns the page about the shared settings, with one line for each.
pub(crate) fn settings_page() -> String {
    settings_text(&shared_settings(&WorkerCli::command()))
}

/// Returns the settings of `run`. It has every setting that other commands have in common.
fn shared_settings(command: &Command) -> Vec<SharedSetting> {
    let run = command.find_subcommand("run");
    let args = run.into_iter().flat_map(|run| run.get_arguments());
    args.filter_map(shared_setting).collect()
}

fn shared_setting(arg: &Arg) -> Option<SharedSetting> {
    let variable = arg.get_env()?.to_str()?.to_owned();
    let mut description = arg.get_help()?.to_string();
    if let [default] = arg.get_default_values() {
        let _ = write!(description, " [default: {}]", default.to_string_lossy());
    }
    if arg.is_hide_env_values_set() {
        let _ = write!(description, " [file: {variable}_FILE]");
    }
    Some(SharedSetting {
        variable,
        heading: arg.get_help_heading().map(str::to_owned),
        description,
    })
}

/// Adds the help page to a command and to its subcommands. `path` has the names of the command and
/// its parents.
fn with_help(command: Command, path: &str, settings: &[SharedSetting]) -> Command {
    let mut notes: Vec<String> = Vec::new();
    notes.extend(command.get_after_help().map(ToString::to_string));
    if path == SETTINGS_COMMAND {
        notes.push(settings_text(settings));
    } else if uses_settings(&command, settings) {
        notes.push(SEE_SETTINGS.to_owned());
    }
    command
        .help_template(TEMPLATE)
        .before_help(examples_text(path))
        .after_help(notes.join("\n\n"))
        .mut_args(|arg| {
            if is_shared(&arg, settings) {
                arg.hide_short_help(true).hide_long_help(true)
            } else {
                // Without this, a flag is listed under the heading of the settings before it.
                arg.help_heading(None::<&'static str>)
            }
        })
        .mut_subcommands(|subcommand| {
            let path = format!("{path} {}", subcommand.get_name());
            with_help(subcommand, path.trim_start(), settings)
        })
}

fn is_shared(arg: &Arg, settings: &[SharedSetting]) -> bool {
    let variable = arg.get_env().and_then(|name| name.to_str());
    variable.is_some_and(|variable| settings.iter().any(|one| one.variable == variable))
}

fn uses_settings(command: &Command, settings: &[SharedSetting]) -> bool {
    command.get_arguments().any(|arg| is_shared(arg, settings))
        || command
            .get_subcommands()
            .any(|subcommand| uses_settings(subcommand, settings))
}

fn examples_text(path: &str) -> String {
    let found = EXAMPLES.iter().find(|(command, _)| *command == path);
    let examples = found.map_or("", |&(_, examples)| examples);
    format!("Examples:{examples}")
}

fn settings_text(settings: &[SharedSetting]) -> String {
    let width = settings.iter().map(|one| one.variable.len()).max();
    let width = width.unwrap_or(0);
    let mut text = SETTINGS_INTRODUCTION.to_owned();
    for (heading, title) in SETTING_GROUPS {
        let _ = write!(text, "\n\n{title}:");
        for one in settings {
            if one.heading.as_deref() == heading {
                let SharedSetting {
                    variable,
                    description,
                    ..
                } = one;
                let _ = write!(text, "\n  {variable:<width$}  {description}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    /// Returns all commands with their paths, the program itself first.
    fn all_commands() -> Vec<(String, Command)> {
        fn push(command: &Command, path: &str, all: &mut Vec<(String, Command)>) {
            all.push((path.to_owned(), command.clone()));
            for subcommand in command.get_subcommands() {
                let path = format!("{path} {}", subcommand.get_name());
                push(subcommand, path.trim_start(), all);
            }
        }
        let mut all = Vec::new();
        push(&command(), "", &mut all);
        all
    }

    /// Returns both help pages of a command: for `-h` and for `--help`.
    fn help_pages(command: &Command) -> [String; 2] {
        // Wider than the longest line, whatever the width of the terminal is.
        let mut command = command.clone().term_width(100);
        [
            command.render_help().to_string(),
            command.render_long_help().to_string(),
        ]
    }

    #[test]
    fn every_command_has_examples_before_its_usage_and_options() {
        let all = all_commands();
        assert!(all.len() > 25, "only {} commands", all.len());
        for (path, command) in &all {
            let about = command.get_about().unwrap().to_string();
            let examples = examples_text(path);
            assert!(
                examples.contains("\n  sync-worker"),
                "no examples of `{path}`"
            );
            for page in help_pages(command) {
                let position = |text: &str| {
                    let found = page.find(text);
                    found.unwrap_or_else(|| panic!("`{path}`: no {text:?} in {page}"))
                };
                let description = position(about.split(' ').next().unwrap());
                let examples = position(&format!("\n{examples}\n"));
                let usage = position("\nUsage: ");
                let options = position("\nOptions:\n");
                assert!(description < examples, "{page}");
                assert!(examples < usage && usage < options, "{page}");
            }
        }
        for (path, _) in EXAMPLES {
            let is_command = all.iter().any(|(command, _)| command == path);
            assert!(is_command, "examples of `{path}`, which is not a command");
        }
    }

    #[test]
    fn every_example_is_a_valid_use_of_its_command() {
        for (path, examples) in EXAMPLES {
            let lines = examples.lines().filter(|line| !line.is_empty());
            for line in lines.map(|line| line.strip_prefix("  ").unwrap()) {
                assert!(line.len() <= 78, "too long for a terminal: {line}");
                if line.starts_with("# ") {
                    continue;
                }
                let start = format!("sync-worker {path}");
                assert!(line.starts_with(start.trim_end()), "`{path}`: {line}");
                // The shell reads the rest.
                let words = line
                    .split(' ')
                    .take_while(|word| !["|", ">"].contains(word));
                if let Err(error) = command().try_get_matches_from(words) {
                    assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn shared_settings_are_explained_on_one_page_to_which_the_others_refer() {
        let settings = shared_settings(&WorkerCli::command());
        assert!(settings.len() > 15, "only {} settings", settings.len());
        for (path, command) in all_commands() {
            for page in help_pages(&command) {
                for one in &settings {
                    let flag = format!("\n      --{} ", flag_name(&one.variable));
                    assert!(!page.contains(&flag), "`{path}` explains {flag}");
                    let is_explained = page.contains(&format!("\n  {} ", one.variable));
                    assert_eq!(is_explained, path == SETTINGS_COMMAND, "{page}");
                }
                let refers = !["settings", "completions", "man"].contains(&path.as_str());
                assert_eq!(page.contains(SEE_SETTINGS), refers, "{page}");
            }
        }
    }

    #[test]
    fn the_settings_page_has_one_line_for_each_setting_that_commands_share() {
        let page = settings_page();
        assert!(
            page.lines().all(|line| line.chars().count() <= 100),
            "{page}"
        );
        let mut uses: Vec<(String, String)> = Vec::new();
        for (path, command) in all_commands() {
            for arg in command.get_arguments() {
                let Some(variable) = arg.get_env().and_then(|name| name.to_str()) else {
                    continue;
                };
                uses.push((variable.to_owned(), path.clone()));
                if page.contains(&format!("\n  {variable} ")) {
                    assert_eq!(arg.get_long(), Some(flag_name(variable).as_str()));
                }
            }
        }
        for (variable, path) in &uses {
            let line = format!("\n  {variable} ");
            let is_listed = page.contains(&line);
            assert_eq!(
                page.matches(&line).count(),
                usize::from(is_listed),
                "{page}"
            );
            let is_shared = uses.iter().filter(|(name, _)| name == variable).count() > 1;
            assert!(
                is_listed || !is_shared,
                "{variable} of `{path}` is not on {page}"
            );
        }
    }

    fn flag_name(variable: &str) -> String {
        variable.to_lowercase().replace('_', "-")
    }
}
