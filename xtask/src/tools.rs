//! Stand-in: replaced by the merge of `rules`.
use std::path::PathBuf;
use anyhow::{Context as _, Result};
#[derive(Clone, Copy)]
pub(crate) enum Tool { Helm }
pub(crate) fn ensure(_tool: Tool) -> Result<PathBuf> {
    std::env::var_os("HEADLESS_OBS_HELM").map(Into::into).context("set HEADLESS_OBS_HELM")
}
