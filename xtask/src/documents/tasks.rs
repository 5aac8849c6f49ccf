//! xtask's own command line parses its command lines in the documents.

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
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
