//! What is made from the command line itself.

use clap::CommandFactory;

use crate::{Cli, Console, Exit, exit::Refusal};

const NAME: &str = "sync-worker";

pub(crate) fn completions(shell: clap_complete::Shell, console: &Console) -> Result<Exit, Refusal> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    console.say(String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::Done)
}

/// The page of the program, then one of each command.
pub(crate) fn man(console: &Console) -> Result<Exit, Refusal> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let mut pages = vec![command.clone()];
    pages.extend(command.get_subcommands().cloned());
    for command in pages {
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|error| Refusal::could_not_run(error.to_string()))?;
    }
    console.say(String::from_utf8_lossy(&page).trim_end());
    Ok(Exit::Done)
}
