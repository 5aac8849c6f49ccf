//! The command line: options and help.
