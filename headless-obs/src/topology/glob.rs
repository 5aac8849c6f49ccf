//! Patterns for names: `*` stands for any characters, `?` for one. The filter of the `dns` topology and the patterns of
//! clients use them. Pure. The time is proportional to the product of the lengths, whatever the pattern is.

/// Whether `glob` matches all of `name`.
pub fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    // The position of the last `*`, and the length of the name that it covers.
    let mut star = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                g = at + 1;
                n = taken + 1;
            }
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        let cases = [
            ("db.corp", "db.corp", true),
            ("db.corp", "db.corp.x", false),
            ("*.svc.*", "web.prod.svc.cluster.local", true),
            ("*.svc.*", "svc.example.net", false),
            ("*", "", true),
            ("d?.corp", "db.corp", true),
            ("d?.corp", "d.corp", false),
            ("*a*b", "xaxxbxab", true),
            ("*a*b", "xaxxbxabx", false),
        ];
        for (glob, name, expected) in cases {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
    }
}
