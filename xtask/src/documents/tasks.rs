//! xtask's own command line parses its command lines in the documents.

use std::collections::BTreeSet;
use std::fs;

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
            && !(line.is_span && is_of_placeholders(&error))
        {
            wrong.push(format!("{}: `{}`: {error}", line.place, words.join(" ")));
        }
        wrong
            .extend(wrong_of_lab(words).map(|what| format!("{}: `{}`: {what}", line.place, words.join(" "))));
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

/// The folder below `tests/src` of the program that gets all arguments of a task; `None` if xtask parses them itself.
fn passed_on(words: &[&str]) -> Option<&'static str> {
    match words {
        ["demo", ..] => Some("demo"),
        ["e2e", "soak", ..] => Some("soak"),
        ["e2e", "scenarios", ..] => Some("scenarios"),
        _ => None,
    }
}

/// Whether a program of the lab has this option: a field with this name, or with an attribute that names it.
fn lab_has(program: &str, option: &str) -> bool {
    let name = option.trim_start_matches('-');
    let folder = workspace::root().join("tests/src").join(program);
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()));
    files.flatten().any(|text| {
        let field = format!("{}:", name.replace('-', "_"));
        text.contains(&format!("long = \"{name}\""))
            || text.split("#[arg(").skip(1).any(|rest| {
                let (attribute, field_after) = rest.split_once(")]").unwrap_or_default();
                attribute.contains("long") && field_after.trim_start().starts_with(&field)
            })
    })
}

/// The error in the options of a command line whose arguments go to a program of the lab.
fn wrong_of_lab(words: &[String]) -> Option<String> {
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let program = passed_on(&words)?;
    let options = words.iter().filter(|word| word.starts_with("--") && **word != "--help");
    let mut names = options.map(|word| word.split('=').next().unwrap());
    names.find(|name| !lab_has(program, name)).map(|name| format!("tests/src/{program} has no option {name}"))
}

#[test]
fn options_of_tasks_that_documents_may_name_exist() {
    for (option, program) in OTHERS {
        let Some(task) = program.strip_prefix("cargo xtask ") else { continue };
        let words: Vec<&str> = task.split(' ').collect();
        let has = match passed_on(&words) {
            Some(folder) => lab_has(folder, option),
            None => {
                let command = Task::command();
                let task = words.iter().try_fold(&command, |task, word| task.find_subcommand(word));
                options(task.unwrap_or_else(|| panic!("there is no task {program}"))).contains(option)
            }
        };
        assert!(has, "`{program}` has no option {option}");
    }
}
