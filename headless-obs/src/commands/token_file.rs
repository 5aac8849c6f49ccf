//! A bearer token in a file, as the value of a header.

use std::path::Path;

use hyper::header::HeaderValue;

/// Reads it; the value begins with `scheme`. An error says what is wrong with the file.
pub(super) async fn read(file: &Path, scheme: &str) -> Result<HeaderValue, String> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    let token = read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let no_token = || "it is no token".to_owned();
    if token.trim().is_empty() {
        return Err(no_token());
    }
    let mut value =
        HeaderValue::from_str(&format!("{scheme}{}", token.trim())).map_err(|_error| no_token())?;
    value.set_sensitive(true);
    Ok(value)
}
