//! Judgements that are kept for a while, so that the API server is not asked for each request. Time is an argument.
//!
//! Invariants: none is given after its end. Their number is limited, and what is refused never displaces what is allowed:
//! anyone can send wrong tokens.

use std::time::Duration;

use tokio::time::Instant;

use super::Judgement;
use crate::hash::HashMap;

/// The time that a token that was allowed is not reviewed again.
const ALLOWED: Duration = Duration::from_secs(60);
/// The same for one that was refused: a right that was just given should soon count.
const REFUSED: Duration = Duration::from_secs(10);
/// The most that are kept.
const MOST: usize = 128;

/// Judgements by token, and when each of them ends.
#[derive(Debug, Default)]
pub(super) struct KeptJudgements(HashMap<String, (Judgement, Instant)>);

impl KeptJudgements {
    /// The judgement on this token, if it still counts.
    pub(super) fn get(&self, token: &str, now: Instant) -> Option<Judgement> {
        let (judgement, end) = self.0.get(token)?;
        (*end > now).then(|| judgement.clone())
    }

    pub(super) fn put(&mut self, token: String, judgement: Judgement, now: Instant) {
        self.0.retain(|_, (_, end)| *end > now);
        let is_allowed = judgement == Judgement::Allowed;
        if self.0.len() >= MOST {
            let ranked =
                self.0.iter().map(|(token, (other, end))| ((*other == Judgement::Allowed, *end), token));
            let least = ranked.min().filter(|((other_is_allowed, _), _)| is_allowed || !other_is_allowed);
            let Some(least) = least.map(|(_, token)| token.clone()) else { return };
            self.0.remove(&least);
        }
        self.0.insert(token, (judgement, now + if is_allowed { ALLOWED } else { REFUSED }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judgement_ends() {
        let forbidden = Judgement::Forbidden("x".to_owned());
        for (judgement, life) in
            [(Judgement::Allowed, ALLOWED), (Judgement::Unknown, REFUSED), (forbidden, REFUSED)]
        {
            let (mut kept, now) = (KeptJudgements::default(), Instant::now());
            kept.put("a".to_owned(), judgement.clone(), now);
            let nearly = now + life - Duration::from_millis(1);
            assert_eq!(kept.get("a", nearly), Some(judgement));
            assert_eq!(kept.get("a", now + life), None);
            assert_eq!(kept.get("b", now), None);
        }
    }

    #[test]
    fn what_is_refused_displaces_nothing_that_is_allowed() {
        let (mut kept, now) = (KeptJudgements::default(), Instant::now());
        kept.put("good".to_owned(), Judgement::Allowed, now);
        for number in 0..3 * MOST {
            kept.put(number.to_string(), Judgement::Unknown, now);
        }
        assert_eq!((kept.0.len(), kept.get("good", now)), (MOST, Some(Judgement::Allowed)));
        for number in 0..3 * MOST {
            kept.put(format!("good-{number}"), Judgement::Allowed, now);
        }
        kept.put("other".to_owned(), Judgement::Unknown, now);
        assert_eq!((kept.0.len(), kept.get("other", now)), (MOST, None));
        kept.put("late".to_owned(), Judgement::Unknown, now + ALLOWED);
        assert_eq!(kept.0.len(), 1, "what has ended takes no room");
    }
}
