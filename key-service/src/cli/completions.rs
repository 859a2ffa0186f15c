//! `key-service completions` and `key-service man`: what a shell and a reader of manuals want.

use std::path::PathBuf;

use clap_complete::Shell;

use super::outcome::{Failure, Outcome};
use super::output::print_line;

/// For which shell.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  key-service completions bash > ~/.local/share/bash-completion/completions/key-service
  key-service completions zsh > ~/.zfunc/_key-service      # with fpath+=~/.zfunc before compinit
  key-service completions fish > ~/.config/fish/completions/key-service.fish")]
pub struct Completions {
    shell: Shell,
}

/// Where to.
#[derive(clap::Args)]
pub struct Man {
    /// Folder that gets a page a command, such as /usr/local/share/man/man1
    folder: PathBuf,
}

/// Prints the shell's script for all of these commands.
pub fn completions(arguments: &Completions, mut commands: clap::Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut commands, "key-service", &mut script);
    // For bash clap_complete writes the hyphen of the program's name in two ways, and would complete nothing
    // behind the first word.
    let script = String::from_utf8_lossy(&script).replace("key__subcmd__service", "key__service");
    print_line(script.trim_end());
    Ok(())
}

/// Writes the pages of all of these commands.
pub fn man(arguments: &Man, commands: clap::Command) -> Outcome {
    clap_mangen::generate_to(commands, &arguments.folder).map_err(|error| {
        Failure::Refused(format!(
            "cannot write the pages to {}: {error}",
            arguments.folder.display()
        ))
    })
}
