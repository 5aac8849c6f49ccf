//! The permissions at the API server, as findings of `doctor`.
//!
//! In: the same options as the source. Out: whether the server answers, and whether it permits each watch. The check
//! changes nothing: a SelfSubjectAccessReview only returns an answer.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client};

use super::connect::Transport;
use super::errors::{describe, of_answer};
use super::transport::{Monitored, WatchTransport};
use super::watches::{self, Watch, WatchKind};
use crate::config::Kubernetes as Options;
use crate::expose::doctor_check::Check;
use crate::topology::intent::{self, NotObeyed, Subject};

/// The verbs that each resource needs.
const VERBS: [&str; 2] = ["list", "watch"];

/// Objects in a page of a list, and the most pages.
const PAGE: u32 = 500;
const PAGES: usize = 100;

/// Asks the API server; each request has a time limit.
pub async fn checks(options: &Options, node: &str) -> Vec<Check> {
    let name = "Kubernetes API";
    let transport = match Transport::open(options).await {
        Ok(transport) => transport,
        Err(error) => {
            return vec![Check::fail(name, error.to_string(), "see the error above")];
        }
    };
    let url = transport.url().to_owned();
    let line = WatchTransport::new(Default::default()).into();
    let client = Client::new(Monitored { transport, line }, "default");
    let mut checks = match client.apiserver_version().await {
        Ok(version) => vec![Check::ok(name, format!("{url}, {}", version.git_version))],
        Err(error) => {
            let remedy = "see the error above; `run` keeps trying";
            return vec![Check::fail(name, explain(&error, &url), remedy)];
        }
    };
    let mut watches = watches::watches(&options.namespaces);
    // Both kinds of slices are one resource.
    watches.retain(|watch| watch.what != WatchKind::OtherSlices);
    for watch in &watches {
        checks.push(allowed(&client, watch, &url).await);
    }
    checks.extend(pods(&client, &watches, node).await);
    checks.extend(annotations(&client, &watches, node).await);
    checks
}

async fn allowed(client: &Client, watch: &Watch, url: &str) -> Check {
    let name = format!("access to {watch}");
    let mut refused = Vec::new();
    for verb in VERBS {
        match may(client, watch, verb).await {
            Ok(true) => {}
            Ok(false) => refused.push(verb),
            Err(error) => {
                return Check::warn(
                    name,
                    format!("the API server did not answer: {}", explain(&error, url)),
                    "try again",
                );
            }
        }
    }
    if refused.is_empty() {
        return Check::ok(name, "list and watch are allowed");
    }
    let found =
        format!("not allowed: {}; without it headless-obs lacks {}", refused.join(", "), watch.what.lost());
    if watch.what.is_vital() {
        Check::fail(name, found, watch.grant())
    } else {
        Check::warn(name, found, watch.grant())
    }
}

/// Whether the server permits this verb. If the server does not say, the verb is tried.
async fn may(client: &Client, watch: &Watch, verb: &str) -> kube::Result<bool> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(watch.what.group().to_owned()),
                resource: Some(watch.what.resource().to_owned()),
                verb: Some(verb.to_owned()),
                namespace: watch.namespace.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    match reviews.create(&PostParams::default(), &review).await {
        Ok(review) => Ok(review.status.is_some_and(|status| status.allowed)),
        Err(kube::Error::Api(status)) if status.is_forbidden() => try_to_list(client, watch).await,
        Err(error) => Err(error),
    }
}

async fn try_to_list(client: &Client, watch: &Watch) -> kube::Result<bool> {
    match objects(client, watch).list_metadata(&ListParams::default().limit(1)).await {
        Ok(_listed) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The objects of a watch.
fn objects(client: &Client, watch: &Watch) -> Api<DynamicObject> {
    let version = if watch.what.group().is_empty() { "v1" } else { "discovery.k8s.io/v1" };
    let resource = ApiResource {
        group: watch.what.group().to_owned(),
        version: "v1".to_owned(),
        api_version: version.to_owned(),
        kind: format!("{:?}", watch.what.kind()),
        plural: watch.what.resource().to_owned(),
    };
    match &watch.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Whether this node has pods under its name; nothing if the server does not say.
async fn pods(client: &Client, watches: &[Watch], node: &str) -> Option<Check> {
    let here = ListParams::default().fields(&format!("spec.nodeName={node}")).limit(1);
    for watch in watches.iter().filter(|watch| watch.what == WatchKind::Pods) {
        let api: Api<Pod> = match &watch.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        if !api.list_metadata(&here).await.ok()?.items.is_empty() {
            return Some(Check::ok("node name", format!("pods run on {node:?}")));
        }
    }
    Some(Check::warn(
        "node name",
        format!("no pod runs on a node called {node:?}"),
        "if this node has another name in the cluster (`kubectl get nodes`), give it with --node",
    ))
}

/// The annotations of headless Services and of the node's pods that are not obeyed; nothing if there are none, or if the
/// server does not say.
async fn annotations(client: &Client, watches: &[Watch], node: &str) -> Option<Check> {
    let mut wrong = Vec::new();
    for watch in watches {
        let of = match watch.what {
            WatchKind::Services => Subject::Service,
            WatchKind::Pods => Subject::Pod,
            WatchKind::HeadlessSlices | WatchKind::OtherSlices => continue,
        };
        let api = objects(client, watch);
        let field_selector = watch.what.selected(node).field_selector;
        let mut page = ListParams { field_selector, limit: Some(PAGE), ..ListParams::default() };
        for _ in 0..PAGES {
            let listed = api.list_metadata(&page).await.ok()?;
            for object in &listed.items {
                let all = object.metadata.annotations.iter().flatten();
                let said = intent::read(all.map(|(name, value)| (name.as_str(), value.as_str())), of);
                let name = (object.metadata.namespace.as_deref(), object.metadata.name.as_deref());
                let name = (name.0.unwrap_or_default(), name.1.unwrap_or_default());
                wrong.extend(said.iter().flat_map(|said| NotObeyed::all(of, name, said)));
            }
            page.continue_token = listed.metadata.continue_.filter(|token| !token.is_empty());
            if page.continue_token.is_none() {
                break;
            }
        }
    }
    Check::annotations(wrong)
}

fn explain(error: &kube::Error, url: &str) -> String {
    match error {
        kube::Error::Api(status) => of_answer(status, url),
        error => describe(error, url),
    }
}
