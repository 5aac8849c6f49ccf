//! The daemon's command line parses the command lines in the documents, and has the options that documents name.

use std::collections::BTreeSet;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use docs::options::{OTHERS, named};
use docs::our_commands::{Words, is_placeholder, lines};

use super::*;

fn documents() -> Vec<docs::Document> {
    docs::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
}

/// Whether placeholders are the only reason for the error: text may have placeholders, and may omit other arguments.
fn is_of_placeholders(error: &clap::Error) -> bool {
    match error.kind() {
        ErrorKind::MissingRequiredArgument
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayHelp => true,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = error.get(ContextKind::InvalidValue);
            matches!(value, Some(ContextValue::String(value)) if is_placeholder(value))
        }
        ErrorKind::InvalidSubcommand => {
            let name = error.get(ContextKind::InvalidSubcommand);
            matches!(name, Some(ContextValue::String(name)) if is_placeholder(name))
        }
        _ => false,
    }
}

#[test]
fn commands_in_the_documents_exist_with_their_options() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in lines(&documents()).unwrap() {
        let Words::Daemon(words) = &line.words else { continue };
        count += 1;
        if let Err(error) = Cli::of(words.iter().map(OsString::from).collect())
            && !(line.is_span && is_of_placeholders(&error))
        {
            wrong.push(format!("{}: `{}`: {error}", line.place, words.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 30, "the documents have commands: {count}");
}

/// The long options of a command and of those below it.
fn options(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(clap::Arg::get_long).map(|name| format!("--{name}"));
    own.chain(command.get_subcommands().flat_map(options)).collect()
}

#[test]
fn options_in_the_documents_exist() {
    let mut ours = options(&Cli::command());
    ours.extend(["--help", "--version"].map(str::to_owned));
    let others = OTHERS.map(|(option, _)| option);
    let wrong: Vec<String> = named(&documents())
        .into_iter()
        .filter(|named| !ours.contains(&named.option) && !others.contains(&named.option.as_str()))
        .map(|named| format!("{}: {}", named.place, named.option))
        .collect();
    assert!(
        wrong.is_empty(),
        "no command of headless-obs has these options; for an option of another program, name the program in \
         docs::options::OTHERS:\n{}",
        wrong.join("\n")
    );
    for (option, program) in OTHERS {
        assert!(
            !ours.contains(option),
            "{option} of {program} is an option of headless-obs, too: take it out of OTHERS"
        );
    }
}
