//! Patterns of DNS names: `*.svc.example`, `!internal.*`.

use std::str::FromStr;

/// Longest pattern: a DNS name has 253 characters at most.
const MAX_PATTERN: usize = 255;

/// A pattern; `*` stands for any characters, dots included, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    /// Leaves out what matches.
    pub exclude: bool,
    /// In lower case, without a final dot.
    pub glob: String,
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (exclude, glob) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let glob = glob.strip_suffix('.').unwrap_or(glob).to_ascii_lowercase();
        if glob.is_empty() || glob.len() > MAX_PATTERN {
            return Err(format!("a pattern has 1 to {MAX_PATTERN} characters, as in *.example.org"));
        }
        match glob.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.*?".contains(*c))) {
            Some(wrong) => {
                Err(format!("{wrong:?} is in no DNS name; * stands for any characters, ? for one"))
            }
            None => Ok(Self { exclude, glob }),
        }
    }
}

/// All patterns of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameFilter(Vec<NamePattern>);

/// What a filter says about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Asked for by pattern: take it, whatever it looks like.
    Take,
    /// Not wanted.
    Leave,
    /// No pattern says which names are wanted: the usual rule decides.
    Usual,
}

impl NameFilter {
    /// The filter made of these patterns.
    pub fn new(patterns: Vec<NamePattern>) -> Self {
        Self(patterns)
    }

    /// What to do with a name (lower case, no final dot). Exclusion wins over inclusion.
    pub fn verdict(&self, name: &str) -> Verdict {
        let matched = |exclude| {
            self.0.iter().any(|pattern| pattern.exclude == exclude && matches(pattern.glob.as_bytes(), name))
        };
        if matched(true) {
            Verdict::Leave
        } else if self.0.iter().all(|pattern| pattern.exclude) {
            Verdict::Usual
        } else if matched(false) {
            Verdict::Take
        } else {
            Verdict::Leave
        }
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Goes back to the last `*` only, so the time is bounded by the product of both lengths.
fn matches(glob: &[u8], name: &str) -> bool {
    let name = name.as_bytes();
    let (mut g, mut n) = (0, 0);
    // Where to go on if the characters after the last `*` do not match: behind it, one character later.
    let mut again = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                again = Some((g + 1, n + 1));
                g += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => match again {
                Some((star, next)) => {
                    (g, n) = (star, next);
                    again = Some((star, next + 1));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(patterns: &[&str]) -> NameFilter {
        NameFilter::new(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect())
    }

    #[test]
    fn globs() {
        for (glob, name, expected) in [
            ("db.example.org", "db.example.org", true),
            ("db.example.org", "db.example.orgs", false),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*", "", true),
            ("?", "", false),
            ("db-?.*", "db-1.x", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("**a", "ba", true),
        ] {
            assert_eq!(matches(glob.as_bytes(), name), expected, "{glob} {name}");
        }
        let long = "a".repeat(253);
        assert!(!matches(format!("{}b", "a*".repeat(120)).as_bytes(), &long));
    }

    #[test]
    fn patterns_widen_and_narrow() {
        assert_eq!(filter(&[]).verdict("x.org"), Verdict::Usual);
        assert_eq!(filter(&["!*.org"]).verdict("x.org"), Verdict::Leave);
        assert_eq!(filter(&["!*.org"]).verdict("x.net"), Verdict::Usual);
        assert_eq!(filter(&["*.ORG."]).verdict("x.org"), Verdict::Take);
        assert_eq!(filter(&["*.org"]).verdict("x.net"), Verdict::Leave);
        assert_eq!(filter(&["*.org", "!a.*"]).verdict("a.org"), Verdict::Leave);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in ["", "!", ".", "a b", "ä.org", &"a".repeat(300)] {
            assert!(wrong.parse::<NamePattern>().is_err(), "{wrong}");
        }
    }
}
