//! Asks the API server whose token it is and what that account may, as kubelets and metrics endpoints do.
//!
//! In: the options of the kubeconfig, and tokens. Out: judgements. This needs the rights to create `tokenreviews` and
//! `subjectaccessreviews`, and changes nothing in the cluster.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::connect::{ConfigError, Transport};
use super::errors::{describe, of_answer};
use super::transport::{Monitored, WatchTransport};
use crate::config::Kubernetes as Options;
use crate::config::access::{Judgement, PATH, Reviewer};

/// The verb of every request that the server answers.
const VERB: &str = "get";

/// A reviewer of tokens. Reads configuration and credentials; makes no request.
///
/// # Errors
///
/// If there are no usable ones.
pub async fn reviewer(options: &Options) -> Result<Reviewer, ConfigError> {
    let transport = Transport::open(options).await?;
    let url: Arc<str> = transport.url().into();
    let line = WatchTransport::new(Default::default()).into();
    let client = Client::new(Monitored { transport, line }, "default");
    Ok(Arc::new(move |token| {
        let (client, url) = (client.clone(), Arc::clone(&url));
        Box::pin(async move { review(client, token, &url).await })
    }))
}

async fn review(client: Client, token: String, url: &str) -> Result<Judgement, String> {
    let asked = TokenReview {
        spec: TokenReviewSpec { token: Some(token), audiences: None },
        ..TokenReview::default()
    };
    let tokens = Api::<TokenReview>::all(client.clone());
    let review = tokens.create(&PostParams::default(), &asked).await;
    let status = review.map_err(|error| trouble(&error, "tokenreviews", url))?.status.unwrap_or_default();
    let Some(user) = status.user.filter(|_| status.authenticated == Some(true)) else {
        return Ok(Judgement::Unknown);
    };
    let name = user.username.clone().unwrap_or_default();
    let asked = SubjectAccessReview { spec: question(user), ..SubjectAccessReview::default() };
    let reviews = Api::<SubjectAccessReview>::all(client);
    let review = reviews.create(&PostParams::default(), &asked).await;
    let status = review.map_err(|error| trouble(&error, "subjectaccessreviews", url))?.status;
    let is_allowed = status.is_some_and(|status| status.allowed && status.denied != Some(true));
    Ok(if is_allowed { Judgement::Allowed } else { Judgement::Forbidden(name) })
}

/// Whether this user may read.
fn question(user: UserInfo) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: user.username,
        uid: user.uid,
        groups: user.groups,
        extra: user.extra,
        non_resource_attributes: Some(NonResourceAttributes {
            path: Some(PATH.to_owned()),
            verb: Some(VERB.to_owned()),
        }),
        resource_attributes: None,
    }
}

/// The reason that there is no judgement.
fn trouble(error: &kube::Error, resource: &str, url: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!(
                "{url} does not allow the daemon to create {resource}: {}; docs/install.md has the role",
                status.message
            )
        }
        kube::Error::Api(status) => of_answer(status, url),
        error => describe(error, url),
    }
}
