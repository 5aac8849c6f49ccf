//! `completions` and `man`, generated from the definition of the command line.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;

/// A completion script.
pub(super) fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "headless-obs", &mut script);
    script
}

/// One manual page with all commands.
pub(super) fn man() -> std::io::Result<Vec<u8>> {
    // The examples are added line by line further down; the generator would join their lines.
    let examples = |command: &Command| command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let main = Man::new(command.clone());
    main.render_title(&mut page)?;
    main.render_name_section(&mut page)?;
    main.render_synopsis_section(&mut page)?;
    main.render_subcommands_section(&mut page)?;
    page.extend_from_slice(verbatim(&examples(&command)).as_bytes());
    page.extend_from_slice(b".SH COMMANDS\n");
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let examples = verbatim(&examples(sub));
        let man = Man::new(sub.clone());
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part)?;
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        part.extend_from_slice(examples.as_bytes());
        // The sections of a command become paragraphs under its name.
        let part = String::from_utf8_lossy(&part).replace(".SH SYNOPSIS", "").replace(".SH ", ".SS ");
        page.extend_from_slice(format!(".SS {}\n{part}", sub.get_name().to_uppercase()).as_bytes());
    }
    Ok(page)
}

/// Lines that are not joined; the first one is the heading.
fn verbatim(text: &str) -> String {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default().trim_end_matches(':').to_uppercase();
    let lines = lines.map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A full stop or quote at the start of a line would be a request.
        format!("\\&{line}\n")
    });
    format!(".SH {heading}\n.nf\n{}.fi\n", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let script = String::from_utf8(completions(shell)).unwrap();
            for command in ["run", "report", "top", "trace", "doctor", "dns-names"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }

    #[test]
    fn the_manual_has_every_command_with_its_examples() {
        let page = String::from_utf8(man().unwrap()).unwrap();
        for command in Cli::command().get_subcommands() {
            assert!(page.contains(&format!(".SS {}\n", command.get_name().to_uppercase())), "{page}");
        }
        assert!(page.contains("\\&  sudo headless\\-obs report \\-\\-for 1m\n"), "{page}");
        assert!(page.contains("\\-\\-ring\\-size"), "{page}");
    }
}
