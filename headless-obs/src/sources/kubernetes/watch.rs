//! One watch: kube's watcher, until it is cancelled.
//!
//! In: an API, and a selector. Out: [`WatchReport`], in order. An object becomes the topology's own as soon as it arrives;
//! the rest of it is dropped here.
//!
//! Lists are streamed if the server can do that. Otherwise they are read page by page. The server answers from memory
//! either way.

use std::fmt::Debug;
use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event, InitialListStrategy, ListSemantic};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::super::convert::{self, Invalid};
use super::errors::{WatchError, trouble};
use super::merge::{Item, Word, version};
use crate::topology::model::Object;

/// Watches begin at random moments within this time, so that daemons that start together do not send their requests
/// together.
const SPREAD: Duration = Duration::from_secs(1);
/// The first and the longest pause after failures. A server that comes back is asked within the longest pause.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Pause after a refusal, which somebody may correct by a grant.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// A server that can stream lists sends something within this time.
const STREAMED: Duration = Duration::from_secs(30);
/// Seconds after which the server ends a watch; different for each watch.
const LIFETIME: std::ops::Range<u32> = 240..290;

/// A report of a watch: an event or an error.
#[derive(Debug)]
pub(super) enum WatchReport {
    Word(Word),
    WatchError(WatchError),
}

/// Kubernetes objects that the topology uses.
pub(super) trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug + Send + 'static
{
    /// The content; nothing if it cannot matter.
    fn content(&self) -> Result<Option<Object>, Invalid>;
}

impl Watched for EndpointSlice {
    fn content(&self) -> Result<Option<Object>, Invalid> {
        // Controllers of several clusters write slices that name no Service.
        let is_ours = convert::names_service(self);
        Ok(if is_ours { convert::slice(self)?.map(Object::Slice) } else { None })
    }
}

impl Watched for Service {
    fn content(&self) -> Result<Option<Object>, Invalid> {
        Ok(convert::service(self)?.map(Object::Service))
    }
}

impl Watched for Pod {
    fn content(&self) -> Result<Option<Object>, Invalid> {
        Ok(Some(Object::Pod(convert::pod(self)?)))
    }
}

/// Runs a watch; `place` is its number. Ends when the receiver is gone.
pub(super) async fn run<K: Watched>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    url: String,
    place: usize,
    listener: mpsc::Sender<(usize, WatchReport)>,
) {
    let lifetime = LIFETIME.start + chance(u64::from(LIFETIME.end - LIFETIME.start));
    let config = config.timeout(lifetime).list_semantic(ListSemantic::Any);
    let streamed =
        watcher::Config { initial_list_strategy: InitialListStrategy::StreamingList, ..config.clone() };
    sleep(jittered(SPREAD, 0)).await;
    let watch = async |config| follow(&api, config, &url, place, &listener).await;
    watch(streamed).await;
    tracing::debug!(place, "the API server does not stream lists, so headless-obs reads them page by page");
    watch(config).await;
}

/// Runs a watch with one way to list; ends if the server does not support that way.
async fn follow<K: Watched>(
    api: &Api<DeserializeGuard<K>>,
    config: watcher::Config,
    url: &str,
    place: usize,
    listener: &mpsc::Sender<(usize, WatchReport)>,
) {
    let is_streamed = config.initial_list_strategy == InitialListStrategy::StreamingList;
    let mut events = pin!(watcher::watcher(api.clone(), config));
    let mut is_listing = false;
    let (mut pause, mut refusals) = (PAUSE, 0_u32);
    loop {
        let event = match is_streamed && is_listing {
            true => match timeout(STREAMED, events.next()).await {
                Ok(event) => event,
                Err(_elapsed) => return,
            },
            false => events.next().await,
        };
        // The stream has no end of its own.
        let Some(event) = event else { return };
        let heard = match event {
            Ok(event) => {
                is_listing = matches!(event, Event::Init | Event::InitApply(_));
                // If lists are read page by page, this event only says that an attempt begins.
                if !matches!(event, Event::Init) {
                    (pause, refusals) = (PAUSE, 0);
                }
                word(event).map(WatchReport::Word)
            }
            Err(error) => match trouble(&error, url) {
                WatchError::NoStreamingLists if is_streamed => return,
                trouble => {
                    tracing::debug!(place, %error, "a watch failed");
                    Some(WatchReport::WatchError(trouble))
                }
            },
        };
        let Some(heard) = heard else { continue };
        let rest = match &heard {
            WatchReport::Word(_) => None,
            WatchReport::WatchError(WatchError::Refused(_)) => {
                refusals = refusals.saturating_add(1);
                Some(jittered(refused_pause(refusals), 80))
            }
            WatchReport::WatchError(_) => {
                refusals = 0;
                let rest = jittered(pause, 50);
                pause = (pause * 2).min(LONGEST_PAUSE);
                Some(rest)
            }
        };
        if listener.send((place, heard)).await.is_err() {
            // The source will end this task.
            pending::<()>().await;
        }
        if let Some(rest) = rest {
            sleep(rest).await;
        }
    }
}

/// The pause after this number of consecutive refusals. A server that has just started refuses everything until it has
/// read the roles, so the first pauses are short.
fn refused_pause(refusals: u32) -> Duration {
    let pause = PAUSE.saturating_mul(2_u32.saturating_pow(refusals));
    if pause < LONGEST_PAUSE { pause } else { REFUSED_PAUSE }
}

fn word<K: Watched>(event: Event<DeserializeGuard<K>>) -> Option<Word> {
    Some(match event {
        Event::Init => Word::Begin,
        Event::InitApply(object) => Word::Listed(item(&object)?),
        Event::InitDone => Word::Complete,
        Event::Apply(object) => Word::Apply(item(&object)?),
        Event::Delete(object) => Word::Delete(convert::key(object.meta()).ok()?),
    })
}

/// Nothing for an object without a name, which no server sends.
fn item<K: Watched>(object: &DeserializeGuard<K>) -> Option<Item> {
    let content = match &object.0 {
        Ok(object) => object.content(),
        Err(broken) => Err(Invalid { path: "object".to_owned(), reason: broken.error.clone() }),
    };
    Some(Item { key: convert::key(object.meta()).ok()?, version: version(object), content })
}

/// A random number below `bound`.
fn chance(bound: u64) -> u32 {
    u32::try_from(RandomState::new().hash_one(0) % bound.max(1)).unwrap_or(0)
}

/// A random time between this percentage of `time` and `time`.
fn jittered(time: Duration, percent: u32) -> Duration {
    time * (percent + chance(u64::from(101 - percent.min(100)))) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_bounds_and_varies() {
        let second = Duration::from_secs(1);
        let times: Vec<_> = (0..100).map(|_| jittered(second, 50)).collect();
        assert!(times.iter().all(|time| (second / 2..=second).contains(time)), "{times:?}");
        assert!(times.iter().any(|time| *time != times[0]));
        assert_eq!(jittered(second, 100), second);
    }

    #[test]
    fn a_refusal_that_lasts_is_one_for_good() {
        let pauses: Vec<_> = (1..=6).map(|refusals| refused_pause(refusals).as_millis()).collect();
        assert_eq!(pauses, [400, 800, 1600, 3200, 30_000, 30_000]);
        assert_eq!(refused_pause(u32::MAX), REFUSED_PAUSE);
    }

    #[test]
    fn an_object_that_cannot_be_read_keeps_its_name() {
        let text =
            r#"{"metadata": {"name": "a", "namespace": "shop", "resourceVersion": "7"}, "endpoints": 1}"#;
        let object: DeserializeGuard<EndpointSlice> = serde_json::from_str(text).unwrap();
        let item = item(&object).unwrap();
        assert_eq!((&*item.key.name, item.version), ("a", Some(7)));
        assert!(item.content.unwrap_err().reason.contains("sequence"), "{object:?}");
    }
}
