//! xtask's own command line parses its command lines in the documents.

use std::collections::BTreeSet;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};
use docs::options::OTHERS;
use docs::our_commands::{Words, is_placeholder, lines};

use crate::{Task, workspace};

/// Whether placeholders are the only reason for the error: text may have placeholders, and may omit other arguments.
fn is_of_placeholders(error: &clap::Error) -> bool {
    match error.kind() {
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand => true,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if is_placeholder(value))
        }
        _ => false,
    }
}

#[test]
fn tasks_in_the_documents_exist_with_their_options() {
    let documents = docs::read(&workspace::root()).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines(&documents).unwrap() {
        let Words::Task(words) = &line.words else { continue };
        count += 1;
        if let Err(error) = Task::try_parse_from(words)
            && error.kind() != ErrorKind::DisplayHelp
            && !(line.is_span && is_of_placeholders(&error))
        {
            wrong.push(format!("{}: `{}`: {error}", line.place, words.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "the documents have tasks: {count}");
}

/// The long options of a command and of those below it.
fn options(command: &clap::Command) -> BTreeSet<String> {
    let own =
        command.get_arguments().filter_map(|argument| argument.get_long()).map(|name| format!("--{name}"));
    own.chain(command.get_subcommands().flat_map(options)).collect()
}

#[test]
fn options_of_tasks_that_documents_may_name_exist() {
    for (option, program) in OTHERS {
        let Some(task) = program.strip_prefix("cargo xtask ") else { continue };
        let words: Vec<&str> = task.split(' ').collect();
        let command = Task::command();
        let task = words.iter().try_fold(&command, |task, word| task.find_subcommand(word));
        let has = options(task.unwrap_or_else(|| panic!("there is no task {program}"))).contains(option);
        assert!(has, "`{program}` has no option {option}");
    }
}
