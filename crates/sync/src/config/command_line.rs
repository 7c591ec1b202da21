//! Reads flags and environment variables, in the same way for the API and the worker:
//!
//! - an empty variable counts as absent;
//! - a secret (an argument with `hide_env_values`) is also read from the file that the variable
//!   `NAME_FILE` names;
//! - all settings that are wrong are reported together, by the names of their variables.
//!
//! Flags without a variable are handled by clap alone, which ends the program at the first wrong
//! flag and prints the usage.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgMatches, Command, Error,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{
    fault::{SettingFault, SettingFaults},
    secret_file,
};

/// Result of reading the command line and the environment.
#[derive(Debug)]
pub struct CommandLine {
    /// The parsed arguments, from which clap's derived types are created.
    pub matches: ArgMatches,
    /// The unusable settings of the chosen command. `matches` contains the default values of these
    /// settings.
    pub faults: SettingFaults,
}

/// Reads the command line and the environment variables of this process. Unusable variables are no
/// error here; they are listed in [`CommandLine::faults`].
///
/// # Errors
///
/// [`CommandLineError::Usage`] for wrong usage, and for a request for help or the version;
/// [`clap::Error::exit`] prints it. [`CommandLineError::Settings`] if a flag has an unusable value.
pub fn read_command_line(command: Command) -> Result<CommandLine, CommandLineError> {
    read_command_line_from(command, env::args_os(), &|name| env::var_os(name))
}

/// Reason for which the command line is refused.
#[derive(Debug)]
pub enum CommandLineError {
    /// Wrong usage, or a request for help or the version. clap's `exit` prints help and version as
    /// normal output, and ends the process successfully.
    Usage(Box<Error>),
    /// A flag has an unusable value. All unusable settings of the command are listed, including
    /// variables.
    Settings(SettingFaults),
}

type EnvLookup<'a> = &'a dyn Fn(&OsStr) -> Option<OsString>;

fn read_command_line_from(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
    variables: EnvLookup<'_>,
) -> Result<CommandLine, CommandLineError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut faults = SettingFaults::default();
    let mut secrets = SecretFiles::default();
    let mut command = map_args(command, &mut |arg| {
        apply_environment(arg, variables, &mut secrets, &mut faults)
    });
    let mut invalid_flags: Vec<String> = Vec::new();
    let matches = loop {
        let error = match command.clone().try_get_matches_from(&arguments) {
            Ok(matches) => break matches,
            Err(error) => error,
        };
        let Some(invalid) = wrong_setting(&command, &error) else {
            return Err(CommandLineError::Usage(Box::new(error)));
        };
        // If the argument no longer reads its variable, the wrong value is that of the flag.
        let is_flag = !invalid.reads_environment;
        if is_flag {
            if invalid_flags.contains(&invalid.name) {
                // The flag already accepts every value, so its value cannot be the reason for the
                // error. The value may be missing.
                return Err(CommandLineError::Usage(Box::new(error)));
            }
            invalid_flags.push(invalid.name.clone());
        }
        faults.remove(&invalid.name);
        faults.add(SettingFault::unusable(&invalid.name, &invalid.reason));
        command = map_args(command, &mut |arg| {
            if variable_name(&arg).as_deref() != Some(invalid.name.as_str()) {
                arg
            } else if is_flag {
                arg.value_parser(clap::value_parser!(OsString))
            } else {
                without_environment(arg)
            }
        });
    };
    let (chosen, chosen_matches) = chosen_subcommand(&command, &matches);
    let names: Vec<String> = chosen.get_arguments().filter_map(variable_name).collect();
    if let Some(flag) = find_empty_flag(chosen, chosen_matches) {
        let message = format!("{flag} is empty; give it a value or omit the flag");
        let error = command.clone().error(ErrorKind::InvalidValue, message);
        return Err(CommandLineError::Usage(Box::new(error)));
    }
    faults.retain_names(|name| names.iter().any(|known| known == name));
    if !invalid_flags.is_empty() {
        return Err(CommandLineError::Settings(faults));
    }
    Ok(CommandLine { matches, faults })
}

/// Applies a change to all arguments of a command and of its subcommands.
fn map_args(command: Command, change: &mut dyn FnMut(Arg) -> Arg) -> Command {
    command
        .mut_args(&mut *change)
        .mut_subcommands(|subcommand| map_args(subcommand, &mut *change))
}

/// Returns the name of an argument's environment variable; `None` if the argument has none.
///
/// If [`without_environment`] has removed the variable from the argument, its name is taken from
/// the end of the argument's help text.
fn variable_name(arg: &Arg) -> Option<String> {
    if let Some(name) = arg.get_env() {
        return name.to_str().map(str::to_owned);
    }
    let help = arg.get_help()?.to_string();
    let (_, name) = help.rsplit_once("[env: ")?;
    name.split_once('=').map(|(name, _)| name.to_owned())
}

fn append_help(arg: Arg, more: &str) -> Arg {
    let long = arg.get_long_help().map(|help| format!("{help} {more}"));
    let short = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let arg = arg.help(format!("{short} {more}"));
    match long {
        Some(long) => arg.long_help(long),
        None => arg,
    }
}

/// Returns the argument without its environment variable. The help text still names the variable.
fn without_environment(arg: Arg) -> Arg {
    match variable_name(&arg) {
        Some(name) if arg.get_env().is_some() => {
            append_help(arg.env(Resettable::Reset), &format!("[env: {name}=]"))
        }
        _ => arg,
    }
}

/// Contents of the secret files, by the name of the setting's variable; `None` if no file is used.
/// Several commands can have the same secret, but its file is read only once.
#[derive(Default)]
struct SecretFiles(BTreeMap<String, Option<String>>);

fn apply_environment(
    arg: Arg,
    variables: EnvLookup<'_>,
    secrets: &mut SecretFiles,
    faults: &mut SettingFaults,
) -> Arg {
    let Some(name) = variable_name(&arg) else {
        return arg;
    };
    let raw = variables(OsStr::new(&name));
    let is_empty = raw.as_ref().is_some_and(|value| value.is_empty());
    let value = raw.filter(|value| !value.is_empty());
    let arg = if arg.is_hide_env_values_set() {
        let arg = append_help(arg, &format!("[or the content of the file: {name}_FILE]"));
        let secret = secrets.0.entry(name.clone()).or_insert_with(|| {
            secret_from_file(&arg, &name, value.is_some(), variables).unwrap_or_else(|reason| {
                faults.add(SettingFault::unusable(&name, &reason));
                None
            })
        });
        match secret {
            Some(secret) => arg.default_value(secret.clone()).hide_default_value(true),
            None => arg,
        }
    } else {
        arg
    };
    let is_path = arg.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>();
    match value {
        Some(value) if value.to_str().is_none() && !is_path => {
            faults.add(SettingFault::unusable(&name, "it is not UTF-8 text"));
            without_environment(arg)
        }
        Some(_) if faults.has(&name) => without_environment(arg),
        None if is_empty => without_environment(arg),
        Some(_) | None => arg,
    }
}

/// Reads a secret from the file that the variable `NAME_FILE` names. Returns `None` if that
/// variable is not set.
///
/// Fails if the variable `NAME` itself is set as well (`has_value`).
fn secret_from_file(
    arg: &Arg,
    name: &str,
    has_value: bool,
    variables: EnvLookup<'_>,
) -> Result<Option<String>, String> {
    let file_variable = format!("{name}_FILE");
    let Some(path) = variables(OsStr::new(&file_variable)).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    if has_value {
        return Err(format!(
            "{name} and {file_variable} are both set; remove one of them"
        ));
    }
    let secret = secret_file::read_secret(Path::new(&path))
        .map_err(|reason| format!("{file_variable} is not usable: {reason}"))?;
    // The secret is checked before it becomes a default value, because clap panics in a debug build
    // if a default value is invalid.
    let command = Command::new("setting")
        .no_binary_name(true)
        .arg(arg.clone().env(Resettable::Reset));
    let flag = format!("--{}={secret}", arg.get_long().unwrap_or_default());
    match command.try_get_matches_from([flag]) {
        Ok(_) => Ok(Some(secret)),
        Err(error) => Err(rejection_reason(&error)),
    }
}

/// A setting whose value clap rejected.
struct WrongSetting {
    /// Name of the setting's environment variable.
    name: String,
    reason: String,
    /// Whether the argument still reads its variable. If not, the rejected value is that of the
    /// flag.
    reads_environment: bool,
}

/// Returns the setting whose value caused the error; `None` if the error does not concern the value
/// of a setting.
fn wrong_setting(command: &Command, error: &Error) -> Option<WrongSetting> {
    if !matches!(
        error.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation
    ) {
        return None;
    }
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    // clap shows the argument as `--flag <VALUE>`.
    let flag = shown.strip_prefix("--")?;
    let flag = flag.split([' ', '=', '[']).next();
    let arg = find_arg(command, &|arg| {
        variable_name(arg).is_some() && arg.get_long() == flag
    })?;
    let name = variable_name(arg)?;
    let example = arg
        .get_default_values()
        .first()
        .filter(|_| !arg.is_hide_default_value_set())
        .map(|value| format!("; example: {name}={}", value.to_string_lossy()));
    Some(WrongSetting {
        reason: rejection_reason(error) + &example.unwrap_or_default(),
        name,
        reads_environment: arg.get_env().is_some(),
    })
}

/// Returns the reason for which clap rejected a value. The reason does not contain the value.
fn rejection_reason(error: &Error) -> String {
    match (
        std::error::Error::source(error),
        error.get(ContextKind::ValidValue),
    ) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(ContextValue::Strings(valid))) => format!("use one of: {}", valid.join(", ")),
        (None, _) => "the value is invalid".to_owned(),
    }
}

fn find_arg<'c>(command: &'c Command, is_wanted: &dyn Fn(&Arg) -> bool) -> Option<&'c Arg> {
    command
        .get_arguments()
        .find(|arg| is_wanted(arg))
        .or_else(|| {
            command
                .get_subcommands()
                .find_map(|subcommand| find_arg(subcommand, is_wanted))
        })
}

/// Returns the innermost subcommand that was chosen, and its matches.
fn chosen_subcommand<'c, 'm>(
    command: &'c Command,
    matches: &'m ArgMatches,
) -> (&'c Command, &'m ArgMatches) {
    let below = matches
        .subcommand()
        .and_then(|(name, below)| Some((command.find_subcommand(name)?, below)));
    match below {
        Some((subcommand, below)) => chosen_subcommand(subcommand, below),
        None => (command, matches),
    }
}

/// Returns the name of a flag that was given with an empty value; `None` if there is none.
fn find_empty_flag(command: &Command, matches: &ArgMatches) -> Option<String> {
    let is_empty = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        matches.value_source(id) == Some(ValueSource::CommandLine)
            && matches
                .get_raw(id)
                .is_some_and(|values| values.into_iter().all(|value| value.is_empty()))
    };
    let takes_values = |arg: &&Arg| arg.get_action().takes_values() && arg.get_long().is_some();
    let arg = command
        .get_arguments()
        .filter(takes_values)
        .find(is_empty)?;
    Some(format!("--{}", arg.get_long()?))
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches, Parser, Subcommand};

    use super::*;

    #[derive(Debug, Parser)]
    struct TestProgram {
        #[command(subcommand)]
        command: TestCommand,
    }

    #[derive(Debug, Subcommand)]
    enum TestCommand {
        Serve(TestServeArgs),
        Count {
            /// Another setting.
            #[arg(long, env = "COUNT", default_value_t = 3)]
            count: u8,
        },
    }

    #[derive(Debug, Args)]
    struct TestServeArgs {
        /// A number.
        #[arg(long, env = "NUMBER", default_value_t = 7)]
        number: u8,
        /// A word.
        #[arg(long, env = "WORD")]
        word: Option<String>,
        /// A list.
        #[arg(long, env = "KEYS", hide_env_values = true, value_delimiter = ',')]
        keys: Vec<String>,
    }

    // clap reads the variables of the process when the command is created. Therefore these tests
    // cover only the error loop and the secret files; the tests of the programs cover variables.
    fn read(
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<(TestProgram, SettingFaults), CommandLineError> {
        let variables: BTreeMap<OsString, OsString> = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let arguments = ["program"].iter().chain(arguments).map(OsString::from);
        let line = read_command_line_from(
            <TestProgram as clap::CommandFactory>::command(),
            arguments,
            &|name| variables.get(name).cloned(),
        )?;
        let program = TestProgram::from_arg_matches(&line.matches).unwrap();
        Ok((program, line.faults))
    }

    fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> (TestServeArgs, SettingFaults) {
        let arguments: Vec<&str> = ["serve"].iter().chain(arguments).copied().collect();
        match read(&arguments, variables).unwrap() {
            (
                TestProgram {
                    command: TestCommand::Serve(serve),
                },
                faults,
            ) => (serve, faults),
            other => panic!("{other:?}"),
        }
    }

    fn file(content: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("whoop-keys-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_secret_is_read_from_its_file_unless_a_flag_sets_it() {
        let path = file("a,b\n");
        let variables = [("KEYS_FILE", path.to_str().unwrap())];

        let (from_file, faults) = serve(&[], &variables);
        assert!(faults.is_empty(), "{faults}");
        assert_eq!(from_file.keys, ["a", "b"]);

        let (from_flag, faults) = serve(&["--keys=c"], &variables);
        assert!(faults.is_empty(), "{faults}");
        assert_eq!(from_flag.keys, ["c"]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_secret_that_is_also_set_by_its_file_is_refused() {
        let (serve, faults) = serve(&[], &[("KEYS", "hush"), ("KEYS_FILE", "/nowhere")]);

        let faults = faults.to_string();
        assert!(faults.contains("KEYS_FILE are both set"), "{faults}");
        assert!(!faults.contains("hush"), "{faults}");
        assert!(serve.keys.is_empty());
    }

    #[test]
    fn only_secrets_are_read_from_files() {
        let (serve, faults) = serve(&[], &[("WORD_FILE", "/nowhere"), ("NUMBER_FILE", "/none")]);

        assert!(faults.is_empty(), "{faults}");
        assert_eq!((serve.word, serve.number), (None, 7));
    }

    #[test]
    fn an_unusable_setting_of_one_command_does_not_prevent_another_command() {
        let (program, faults) = read(&["count"], &[("KEYS_FILE", "/nowhere")]).unwrap();

        assert!(faults.is_empty(), "{faults}");
        assert!(matches!(program.command, TestCommand::Count { count: 3 }));
    }

    #[test]
    fn every_invalid_setting_is_reported_with_a_valid_example() {
        let error = read(&["serve", "--number=many"], &[("KEYS_FILE", "/nowhere")]).unwrap_err();

        let CommandLineError::Settings(faults) = error else {
            panic!("{error:?}");
        };
        let names: Vec<&str> = faults.iter().map(SettingFault::name).collect();
        assert_eq!(names, ["KEYS", "NUMBER"]);
        assert!(faults.to_string().contains("example: NUMBER=7"), "{faults}");
    }

    #[test]
    fn an_empty_flag_is_wrong_usage() {
        for arguments in [["serve", "--word="], ["serve", "--keys="]] {
            let error = read(&arguments, &[]).unwrap_err();

            let CommandLineError::Usage(error) = error else {
                panic!("{error:?}");
            };
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("is empty"), "{error}");
        }
    }

    #[test]
    fn help_shows_the_variable_of_each_setting_and_the_file_of_each_secret() {
        let error = read(&["serve", "--help"], &[]).unwrap_err();

        let CommandLineError::Usage(help) = error else {
            panic!("{error:?}");
        };
        let help = help.to_string();
        assert!(help.contains("KEYS_FILE"), "{help}");
        assert!(!help.contains("WORD_FILE"), "{help}");
        for name in ["NUMBER", "WORD", "KEYS"] {
            assert_eq!(help.matches(&format!("[env: {name}")).count(), 1, "{help}");
        }
    }
}
