//! Reads which dynamic linker an ELF program needs; a static program needs none.
//!
//! In: the file's bytes, 64 bits and little-endian. Out: the path of the interpreter, if there is one.

use anyhow::{Context as _, Result, ensure};

/// `PT_INTERP`
const INTERPRETER: u64 = 3;

/// The dynamic linker of a program.
pub(crate) fn interpreter(bytes: &[u8]) -> Result<Option<String>> {
    ensure!(bytes.starts_with(b"\x7fELF\x02\x01"), "this is not a 64-bit little-endian ELF file");
    let (table, size, count) = (number(bytes, 32, 8)?, number(bytes, 54, 2)?, number(bytes, 56, 2)?);
    for entry in 0..count {
        let at = usize::try_from(table + entry * size)?;
        if number(bytes, at, 4)? == INTERPRETER {
            let (start, length) = (number(bytes, at + 8, 8)?, number(bytes, at + 32, 8)?);
            let path = bytes.get(usize::try_from(start)?..).context("cut short")?;
            let path = path.get(..usize::try_from(length)?).context("cut short")?;
            return Ok(Some(String::from_utf8_lossy(path).trim_end_matches('\0').to_owned()));
        }
    }
    Ok(None)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Result<u64> {
    let bytes = bytes.get(at..at + length).context("cut short")?;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_names_its_linker() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let linker = interpreter(&this).unwrap().unwrap();
        assert!(linker.contains("ld-linux"), "{linker}");
        assert!(interpreter(&this[..60]).is_err(), "cut short");
        assert!(interpreter(b"#!/bin/sh\n").is_err());
    }
}
