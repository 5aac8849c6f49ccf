//! The manifest for krew, the plugin manager of kubectl.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::{Files, Plan, bundle};
use crate::target_arch::TargetArch;

/// The file; krew wants the plugin's name.
pub(super) const FILE: &str = "headless-obs.yaml";

/// The manifest for the architectures whose archives are there.
pub(super) fn manifest(plan: &Plan, files: &Files) -> Result<String> {
    let mut text = format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2\n\
         kind: Plugin\n\
         metadata:\n  name: headless-obs\n\
         spec:\n  version: v{}\n  homepage: {}\n\
         \x20 shortDescription: Shows how clients use headless Services\n\
         \x20 description: |\n\
         \x20   Shows how clients spread their TCP connections over the pods behind headless\n\
         \x20   Services, and why. It asks the headless-obs daemons in the cluster.\n\
         \x20 platforms:\n",
        plan.version, plan.downloads,
    );
    let mut count = 0;
    for architecture in TargetArch::ALL {
        let name = bundle::name(plan, architecture.name());
        let archive = format!("{name}.tar.gz");
        let Some(sum) = files.sha256(&archive) else { continue };
        count += 1;
        write!(
            text,
            "  - selector:\n      matchLabels:\n        os: linux\n        arch: {}\n    uri: {}/{archive}\n    \
             sha256: {sum}\n    files:\n    - from: {name}/headless-obs\n      to: .\n    - from: {name}/LICENSE-*\n      \
             to: .\n    bin: headless-obs\n",
            architecture.name(),
            plan.downloads,
        )?;
    }
    (count > 0).then_some(text).context("krew's manifest needs an archive of the program")
}
