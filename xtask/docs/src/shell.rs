//! The commands in a block of shell lines.
//!
//! In: the text as a user types it. Out: each command's words without quotes, including those of pipes, lists and
//! `$(…)`. It leaves out comments, redirections, assignments and `sudo`. Documents have no control flow.

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The line that it begins in, from 0.
    pub line: usize,
    /// The words.
    pub words: Vec<String>,
}

/// The replacement of `$(…)` in a word.
pub const SUBSTITUTED: &str = "$(…)";

/// The commands of a text.
///
/// # Errors
/// A quote or a bracket is not closed.
pub fn commands(text: &str) -> Result<Vec<Command>, String> {
    let mut reader = Reader { rest: text.chars().collect(), at: 0, line: 0, found: Vec::new() };
    reader.list(false)?;
    let mut found: Vec<Command> = reader.found.into_iter().map(without_prefix).collect();
    found.retain(|command| !command.words.is_empty());
    found.sort_by_key(|command| command.line);
    Ok(found)
}

/// The command without assignments and `sudo` in front of it.
fn without_prefix(mut command: Command) -> Command {
    let is_assignment = |word: &str| {
        let name = word.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    loop {
        match command.words.first().map(String::as_str) {
            Some("sudo") => {
                command.words.remove(0);
                while command.words.first().is_some_and(|word| word.starts_with('-')) {
                    command.words.remove(0);
                }
            }
            Some(word) if is_assignment(word) => drop(command.words.remove(0)),
            _ => return command,
        }
    }
}

struct Reader {
    rest: Vec<char>,
    at: usize,
    line: usize,
    found: Vec<Command>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        self.line += usize::from(next == '\n');
        Some(next)
    }

    /// Commands up to the end, or to the bracket that closes a substitution.
    fn list(&mut self, is_inner: bool) -> Result<(), String> {
        let mut command = Command { line: self.line, words: Vec::new() };
        loop {
            match self.peek() {
                None if is_inner => return Err("`$(` is not closed".to_owned()),
                None => break,
                Some(')') if is_inner => break,
                Some(' ' | '\t') => drop(self.next()),
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                Some('\n' | '|' | '&' | ';') => {
                    self.next();
                    let done =
                        std::mem::replace(&mut command, Command { line: self.line, words: Vec::new() });
                    self.found.push(done);
                }
                Some('>' | '<') => self.redirection()?,
                Some(_) => {
                    let word = self.word()?;
                    let is_descriptor = matches!(word.as_str(), "1" | "2") && self.peek() == Some('>');
                    if !is_descriptor && !word.is_empty() {
                        if command.words.is_empty() {
                            command.line = self.line;
                        }
                        command.words.push(word);
                    }
                }
            }
        }
        self.next();
        self.found.push(command);
        Ok(())
    }

    fn redirection(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(|c| matches!(c, '>' | '<' | '&' | ' ')) {
            self.next();
        }
        self.word().map(drop)
    }

    fn word(&mut self) -> Result<String, String> {
        let mut word = String::new();
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' | '\n' | '|' | '&' | ';' | ')' | '>' | '<' => break,
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') | None => {}
                        Some(escaped) => word.push(escaped),
                    }
                }
                '\'' => {
                    self.next();
                    word.push_str(&self.until_quote()?);
                }
                '"' => {
                    self.next();
                    self.double_quoted(&mut word)?;
                }
                '$' => self.dollar(&mut word)?,
                other => {
                    self.next();
                    word.push(other);
                }
            }
        }
        Ok(word)
    }

    fn until_quote(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err("`'` is not closed".to_owned()),
                Some('\'') => return Ok(text),
                Some(other) => text.push(other),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut String) -> Result<(), String> {
        loop {
            match self.peek() {
                None => return Err("`\"` is not closed".to_owned()),
                Some('"') => {
                    self.next();
                    return Ok(());
                }
                Some('$') => self.dollar(word)?,
                Some('\\') => {
                    self.next();
                    word.extend(self.next());
                }
                Some(other) => {
                    self.next();
                    word.push(other);
                }
            }
        }
    }

    /// A variable stays unchanged; the commands of a substitution are found, too.
    fn dollar(&mut self, word: &mut String) -> Result<(), String> {
        self.next();
        if self.peek() != Some('(') {
            word.push('$');
            return Ok(());
        }
        self.next();
        word.push_str(SUBSTITUTED);
        self.list(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        commands(text).unwrap().into_iter().map(|command| command.words.join("_")).collect()
    }

    #[test]
    fn words_are_those_that_a_shell_would_pass() {
        for (text, expected) in [
            ("a b  # c\n\nd", &["a_b", "d"][..]),
            ("a 'b c' \"d e\" f\\ g", &["a_b c_d e_f g"]),
            ("a \\\n  --b", &["a_--b"]),
            ("sudo -E a b | c && d; e &", &["a_b", "c", "d", "e"]),
            ("A=1 B='2 3' a > b 2>&1", &["a"]),
            ("A=$(b c \\\n -d)\na $A", &["b_c_-d", "a_$A"]),
            ("a \"$(b)\" c", &["b", "a_$(…)_c"]),
            ("a b=c", &["a_b=c"]),
            ("a -- 'x: y' > z.json", &["a_--_x: y"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn a_command_knows_its_line() {
        let found = commands("# a\nb \\\n c\nd\n").unwrap();
        assert_eq!(found.iter().map(|command| command.line).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        for text in ["a 'b", "a \"b", "a $(b"] {
            assert!(commands(text).unwrap_err().contains("not closed"), "{text}");
        }
    }
}
