//! The `headless-obs` program.

use std::io;
use std::process::ExitCode;

use headless_obs::cli::Cli;
use headless_obs::cli::observe::Misfit;
use headless_obs::{app, commands, log, probe};

fn main() -> ExitCode {
    let cli = Cli::read();
    match run(cli) {
        Ok(code) => code,
        Err(error) if nobody_reads(&error) => ExitCode::SUCCESS,
        Err(error) => {
            commands::output::note(&format!("error: {error:#}"));
            // As for an option that is wrong by itself.
            if error.is::<Misfit>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    log::start(&cli)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // What goes wrong here is found when this thread gives up its own.
        .on_thread_start(|| drop(probe::as_a_helper()))
        .build()?;
    let result = runtime.block_on(commands::execute(cli, app::start, app::checks));
    // A thread that waits for a reader of standard output must not keep the process.
    runtime.shutdown_background();
    result
}

/// As with `headless-obs trace | head`: that is no error.
fn nobody_reads(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
