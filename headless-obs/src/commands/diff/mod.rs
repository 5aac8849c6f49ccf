//! `diff`: two snapshots, from before and after a change; did it help?

use anyhow::Context;

use super::output;
use super::snapshot_file::{is_stdin, read};
use crate::cli::observe::Misfit;
use crate::cli::{DiffArgs, Output};

pub(super) mod compare;
pub(super) mod render;

pub(super) async fn run(args: DiffArgs, format: Output) -> anyhow::Result<()> {
    if is_stdin(&args.before) && is_stdin(&args.after) {
        return Err(Misfit::TwoFromStandardInput.into());
    }
    let read = tokio::task::spawn_blocking(move || {
        Ok::<_, anyhow::Error>((read(&args.before)?, read(&args.after)?))
    });
    let (before, after) = read.await.context("reading crashed; please report this")??;
    let diff = compare::diff(&before, &after);
    let text = match format {
        Output::Table => render::render(&diff, output::look()),
        Output::Json => output::json(&diff)? + "\n",
    };
    Ok(output::write(text).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn standard_input_is_read_once() {
        let args = DiffArgs { before: "-".into(), after: "-".into() };
        let error = run(args, Output::Table).await.unwrap_err();
        assert!(error.is::<Misfit>() && error.to_string().contains("only one"), "{error}");
    }
}
