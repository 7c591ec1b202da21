//! Shell completions and manual pages, generated from the command line's definition.

use clap::CommandFactory;

use crate::{Console, ExitStatus, WorkerCli, exit::CommandError};

const PROGRAM_NAME: &str = "sync-worker";

pub(crate) fn print_completions(
    shell: clap_complete::Shell,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut WorkerCli::command(), PROGRAM_NAME, &mut script);
    console.print(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitStatus::Done)
}

/// Prints the manual page of the program, followed by one page per command.
pub(crate) fn print_man_pages(console: &Console) -> Result<ExitStatus, CommandError> {
    let mut command = WorkerCli::command();
    command.build();
    let mut page = Vec::new();
    let mut pages = vec![command.clone()];
    pages.extend(command.get_subcommands().cloned());
    for command in pages {
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|error| CommandError::could_not_run(error.to_string()))?;
    }
    console.print(String::from_utf8_lossy(&page).trim_end());
    Ok(ExitStatus::Done)
}
