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
            // The same exit code as for an invalid option.
            if error.is::<Misfit>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    probe::share_heap();
    log::start(&cli)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // An error here is found when the main thread drops its own capabilities.
        .on_thread_start(|| drop(probe::drop_helper_capabilities()))
        .build()?;
    let result = runtime.block_on(commands::execute(cli, app::start, app::checks));
    // A thread that waits for a reader of standard output must not keep the process alive.
    runtime.shutdown_background();
    result
}

/// `headless-obs trace | head` closes the pipe; that is no error.
fn nobody_reads(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
